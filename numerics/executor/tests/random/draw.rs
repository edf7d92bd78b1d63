//! Random shapes, types and elements.

use porter_ir::{Builder, DType, Kind, Literal, TensorType, Value, float};

/// Random numbers from a seed (splitmix64): the same ones for the same seed, whatever is drawn beside.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` up to and with `high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    pub(crate) fn size(&mut self, low: usize, high: usize) -> usize {
        self.within(low as i64, high as i64) as usize
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.bits().is_multiple_of(one_in)
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.size(0, items.len() - 1)]
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Sizes of one to five, now and then zero.
    pub(crate) fn shape(&mut self, low: usize, high: usize) -> Vec<usize> {
        let rank = self.size(low, high);
        (0..rank).map(|_| if self.chance(24) { 0 } else { self.size(1, 5) }).collect()
    }

    /// As [`Draw::shape`], without zeros.
    pub(crate) fn solid(&mut self, low: usize, high: usize) -> Vec<usize> {
        let rank = self.size(low, high);
        (0..rank).map(|_| self.size(1, 5)).collect()
    }

    pub(crate) fn shuffled(&mut self, rank: usize) -> Vec<usize> {
        let mut dims: Vec<usize> = (0..rank).collect();
        for i in (1..rank).rev() {
            dims.swap(i, self.size(0, i));
        }
        dims
    }

    /// Some of the dimensions, ascending.
    pub(crate) fn some(&mut self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|_| self.chance(2)).collect()
    }
}

/// Which elements a tensor holds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Elements {
    /// Everything: NaN, infinities, the largest and the smallest, all patterns of integers.
    Any,
    /// Floats between -8 and 8, integers between -100 and 100.
    Moderate,
    /// Small whole numbers, of which every sum and product here is exact.
    Whole,
    /// Floats from 1/8 to 8, integers from 1.
    Positive,
}

impl Elements {
    fn float(self, draw: &mut Draw) -> f64 {
        let special =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 0.5, 1e30, -3e4, 1e-3];
        match self {
            Elements::Any if draw.chance(6) => draw.pick(&special),
            Elements::Any if draw.chance(3) => draw.unit() * 1000.0,
            Elements::Any | Elements::Moderate => draw.unit() * 8.0,
            Elements::Whole => draw.within(-2, 2) as f64,
            Elements::Positive => 0.125 + (draw.unit() + 1.0) * 3.9,
        }
    }

    fn integer(self, draw: &mut Draw, dtype: DType) -> u64 {
        let signed = dtype.kind() == Kind::Signed;
        let low = |bound: i64| if signed { -bound } else { 0 };
        let number = match self {
            Elements::Any if draw.chance(3) => draw.bits() as i64,
            Elements::Any if draw.chance(4) => draw.pick(&[0, -1, 1 << (dtype.bits() - 1)]),
            Elements::Any => draw.within(low(9), 9),
            Elements::Moderate => draw.within(low(100).max(-(1 << (dtype.bits() - 1).min(7))), 100),
            Elements::Whole => draw.within(low(2), 2),
            Elements::Positive => draw.within(1, if dtype.bits() == 4 { 7 } else { 100 }),
        };
        number as u64
    }

    /// The bytes of an element in a host buffer.
    fn bytes(self, draw: &mut Draw, dtype: DType) -> Vec<u8> {
        let bits = match dtype.kind() {
            Kind::Bool => draw.bits() & 1,
            Kind::Float => float::encode(dtype, self.float(draw)).unwrap(),
            _ => self.integer(draw, dtype),
        };
        let bits = match dtype {
            DType::I4 => ((bits << 60) as i64 >> 60) as u64,
            DType::U4 => bits & 15,
            _ => bits,
        };
        bits.to_le_bytes()[..dtype.host_bytes()].to_vec()
    }
}

/// How far a result may be from the plugin's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    /// In units of the last place of the plugin's value.
    pub(crate) ulps: f64,
    /// Beside that, the same for every element.
    pub(crate) absolute: f64,
}

impl Tolerance {
    /// The same bits, but any NaN is like any other.
    pub(crate) const EXACT: Self = Self { ulps: 0.0, absolute: 0.0 };

    pub(crate) fn ulps(ulps: f64) -> Self {
        Self { ulps, absolute: 0.0 }
    }
}

/// A program of many instances of one op, being built.
pub(crate) struct Case<'b> {
    pub(crate) b: &'b Builder,
    pub(crate) draw: Draw,
    /// The inputs of all instances, in the order of the program's.
    pub(crate) inputs: Vec<Literal>,
    /// The results of this instance.
    pub(crate) results: Vec<(Value, Tolerance)>,
}

impl Case<'_> {
    pub(crate) fn input(&mut self, dtype: DType, shape: &[usize], elements: Elements) -> Value {
        let ty = TensorType::new(dtype, shape);
        let n = ty.shape.elements();
        let bytes: Vec<u8> = (0..n).flat_map(|_| elements.bytes(&mut self.draw, dtype)).collect();
        self.literal(Literal::from_bytes(ty, bytes).unwrap())
    }

    pub(crate) fn literal(&mut self, literal: Literal) -> Value {
        let name = format!("x{}", self.inputs.len());
        let value = self.b.argument(&name, literal.ty().clone()).unwrap();
        self.inputs.push(literal);
        value
    }

    /// Integers between two bounds.
    pub(crate) fn indices(&mut self, dtype: DType, shape: &[usize], low: i64, high: i64) -> Value {
        let ty = TensorType::new(dtype, shape);
        let n = ty.shape.elements();
        let number = |draw: &mut Draw| {
            let number = draw.within(if dtype.kind() == Kind::Signed { low } else { low.max(0) }, high);
            number.to_le_bytes()[..dtype.host_bytes()].to_vec()
        };
        let bytes: Vec<u8> = (0..n).flat_map(|_| number(&mut self.draw)).collect();
        self.literal(Literal::from_bytes(ty, bytes).unwrap())
    }

    pub(crate) fn gives(&mut self, value: Value, tolerance: Tolerance) {
        self.results.push((value, tolerance));
    }

    pub(crate) fn exactly(&mut self, value: Value) {
        self.gives(value, Tolerance::EXACT);
    }
}

/// The distance from one number of a float type to the next, at `value`.
pub(crate) fn ulp(dtype: DType, value: f64) -> f64 {
    let (mantissa, least) = match dtype {
        DType::F4E2M1FN => (1, 0),
        DType::F8E4M3FN => (3, -6),
        DType::F8E5M2 => (2, -14),
        DType::BF16 => (7, -126),
        DType::F16 => (10, -14),
        DType::F32 => (23, -126),
        _ => (52, -1022),
    };
    let exponent = if value == 0.0 { least } else { value.abs().log2().floor().max(f64::from(least)) as i32 };
    2_f64.powi(exponent.max(least) - mantissa)
}
