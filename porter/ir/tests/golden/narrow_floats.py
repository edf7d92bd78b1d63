"""Records how ml_dtypes converts float64 to narrow floats: run with numpy and ml_dtypes installed.

    python3 narrow_floats.py > narrow_floats.csv
"""
import ml_dtypes
import numpy as np

DTYPES = {
    "f4E2M1FN": (ml_dtypes.float4_e2m1fn, np.uint8),
    "f8E4M3FN": (ml_dtypes.float8_e4m3fn, np.uint8),
    "f8E5M2": (ml_dtypes.float8_e5m2, np.uint8),
    "bf16": (ml_dtypes.bfloat16, np.uint16),
}
random = np.random.default_rng(0)
print("dtype,f64_bits,bits")
for name, (dtype, unsigned) in DTYPES.items():
    info = ml_dtypes.finfo(dtype)
    largest, smallest = float(info.max), float(info.smallest_subnormal)
    values = [0.0, -0.0, np.inf, -np.inf, np.nan, largest, -largest, smallest, smallest / 2, smallest * 1.5]
    for factor in (1.01, 1.02, 1.03, 1.0357142857142858, 1.04, 1.06, 1.0625, 1.1, 1.125, 1.2, 2.0, 1e3):
        values += [largest * factor, -largest * factor]
    # float32 values: ml_dtypes converts float64 through float32, so only these round once.
    spread = np.exp2(random.uniform(np.log2(smallest) - 2, np.log2(largest), 150)) * random.choice([-1, 1], 150)
    values = np.array(values + list(spread)).astype(np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        bits = values.astype(np.float32).astype(dtype).view(unsigned)
    for value, pattern in zip(values, bits):
        print(f"{name},{value.view(np.uint64):016x},{pattern:x}")
