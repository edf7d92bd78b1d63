"""Writes expected.json: what numpy says about pairs of recorded tensors.

    pip install numpy==2.4.6 ml_dtypes==0.6.0 safetensors && python numerics/tests/data/generate.py
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file

TINY = Path(__file__).parents[3] / "ci/fixtures/tiny"


def rank(values):
    """The place of each number among all numbers of its type: neighbours differ by one."""
    bits = values.view({2: np.int16, 4: np.int32, 8: np.int64}[values.dtype.itemsize]).astype(object)
    sign = 1 << (8 * values.dtype.itemsize - 1)
    return np.where(np.signbit(values.astype(np.float64)), -(bits + sign), bits)


def comparison(ours, reference, rows=None):
    narrow = min([ours.dtype, reference.dtype], key=lambda dtype: dtype.itemsize)
    index = np.indices(reference.shape).reshape(reference.ndim, -1).T
    if rows is not None:
        keep = np.broadcast_to(rows.astype(bool).reshape(*rows.shape, *[1] * (ours.ndim - rows.ndim)), ours.shape)
        index, ours, reference = index[keep.reshape(-1)], ours[keep], reference[keep]
    ours, reference = ours.reshape(-1), reference.reshape(-1)
    ulps = np.array(np.abs(rank(ours.astype(narrow)) - rank(reference.astype(narrow))), dtype=np.float64)
    a, b = ours.astype(np.float64), reference.astype(np.float64)
    d = np.abs(a - b)
    relative = d[b != 0] / np.abs(b[b != 0])
    worst = np.argsort(-d, kind="stable")[:10]
    at = lambda share: float(np.percentile(d, 100 * share, method="inverted_cdf"))
    return {
        "count": d.size,
        "max_abs": d.max(), "mean_abs": d.mean(), "max_rel": relative.max(), "mean_rel": relative.mean(),
        "rmse": np.sqrt((d * d).mean()), "scale": b.std(),
        "cosine": (a @ b) / np.linalg.norm(a) / np.linalg.norm(b),
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
        "rel": [float(np.percentile(relative, 100 * q, method="inverted_cdf")) for q in (0.5, 0.9, 0.99, 0.999)],
        "ulp_p99": float(np.percentile(ulps, 99, method="inverted_cdf")),
        "within_half": float((d <= d.max() / 2).mean()),
        "ulp_max": int(ulps.max()), "ulp_median": float(np.percentile(ulps, 50, method="inverted_cdf")),
        "worst": [{"index": index[i].tolist(), "ours": a[i], "reference": b[i]} for i in worst],
    }


def rank_biased_overlap(x, y, p=0.9):
    """RBO_EXT of Webber, Moffat and Zobel 2010, at equal depths."""
    shared = [len(set(x[:d]) & set(y[:d])) / d for d in range(1, len(x) + 1)]
    return shared[-1] * p ** len(x) + (1 - p) / p * sum(a * p ** d for d, a in enumerate(shared, 1))


def perplexity(logits, ids):
    x = logits.astype(np.float64)[:, :-1]
    log_p = x - x.max(-1, keepdims=True) - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))
    return float(np.exp(-np.take_along_axis(log_p, ids[:, 1:, None], -1).mean()))


def logits(ours, reference, noise, rows=None):
    a, b = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (ours, reference))
    if rows is not None:
        a, b = a[rows.reshape(-1).astype(bool)], b[rows.reshape(-1).astype(bool)]
    log_softmax = lambda x: x - x.max(-1, keepdims=True) - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))
    log_q, log_p = log_softmax(a), log_softmax(b)
    kl, reverse = (np.exp(log_p) * (log_p - log_q)).sum(-1), (np.exp(log_q) * (log_q - log_p)).sum(-1)
    top = lambda x, k: np.argsort(-x, -1, kind="stable")[:, :k]
    overlap = lambda k: float(np.mean([len(set(x) & set(y)) / k for x, y in zip(top(a, k), top(b, k))]))
    best, ours_best = b.argmax(-1), a.argmax(-1)
    row = np.arange(len(b))
    margin = b[row, best] - b[row, ours_best]
    return {
        "noise": noise, "positions": len(b),
        "kl_mean": kl.mean(), "kl_max": kl.max(), "reverse_kl_mean": reverse.mean(), "reverse_kl_max": reverse.max(),
        "rbo": float(np.mean([rank_biased_overlap(x, y) for x, y in zip(top(a, 10), top(b, 10))])),
        "top1": overlap(1), "top5": overlap(5), "top10": overlap(10),
        "flips": int((best != ours_best).sum()), "ties": int(((best != ours_best) & (margin <= 2 * noise)).sum()),
    }


def load(model):
    return load_file(TINY / model / "reference.safetensors"), load_file(TINY / model / "inputs.safetensors")


def main():
    llama, inputs = load("llama")
    bert, _ = load("bert")
    qwen3, _ = load("qwen3")
    mask = inputs["padded.attention_mask"]
    bf16 = lambda x: x.astype(ml_dtypes.bfloat16)
    expected = {
        "twin": comparison(llama["logits"], llama["logits_f64"]),
        "padded": comparison(llama["padded.logits"], llama["logits"], mask),
        "layers": comparison(qwen3["hidden_states.1"], qwen3["hidden_states.2"]),
        "bf16": comparison(bf16(bert["hidden_states.1"]), bert["hidden_states.1"]),
        "logits_twin": logits(llama["logits"], llama["logits_f64"], 0.0),
        "logits_padded": logits(llama["padded.logits"], llama["logits"], 0.5, mask),
        "logits_bf16": logits(bf16(bert["logits"]), bert["logits"], 0.01),
    }
    ids = inputs["input_ids"]
    expected["perplexity"] = {"ours": perplexity(bf16(llama["logits"]), ids), "reference": perplexity(llama["logits"], ids)}
    path = Path(__file__).with_name("expected.json")
    path.write_text(json.dumps(expected, indent=1, default=float) + "\n")


main()
