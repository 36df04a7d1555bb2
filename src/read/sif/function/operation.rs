//! The arithmetic of programs: every operation maps binary64 numbers to a binary64 number.
//!
//! Integers and binary32 numbers are held as binary64 ones: integers are cut after a division, binary32 results are
//! rounded after each operation (which is correct: 53 >= 2 * 24 + 2 bits, Figueroa 1995). True is 1, false is 0.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    Negate,
    Not,
    /// To binary32 and back.
    RoundSingle,
    /// Towards zero.
    Truncate,
    /// To nearest, ties away from zero.
    Round,
    Absolute,
    SquareRoot,
    Exponential,
    Logarithm,
    Logarithm10,
    Sine,
    Cosine,
    Tangent,
    ArcSine,
    ArcCosine,
    ArcTangent,
    HyperbolicSine,
    HyperbolicCosine,
    HyperbolicTangent,
    InverseHyperbolicSine,
    InverseHyperbolicCosine,
    InverseHyperbolicTangent,
    ErrorFunction,
    ComplementaryErrorFunction,
    Gamma,
    LogarithmGamma,
    BesselJ0,
    BesselJ1,
    BesselY0,
    BesselY1,
}

impl Unary {
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Negate => -x,
            Self::Not => 1.0 - x,
            Self::RoundSingle => f64::from(x as f32),
            Self::Truncate => x.trunc(),
            Self::Round => x.round(),
            Self::Absolute => x.abs(),
            Self::SquareRoot => x.sqrt(),
            Self::Exponential => x.exp(),
            Self::Logarithm => x.ln(),
            Self::Logarithm10 => x.log10(),
            Self::Sine => x.sin(),
            Self::Cosine => x.cos(),
            Self::Tangent => x.tan(),
            Self::ArcSine => x.asin(),
            Self::ArcCosine => x.acos(),
            Self::ArcTangent => x.atan(),
            Self::HyperbolicSine => x.sinh(),
            Self::HyperbolicCosine => x.cosh(),
            Self::HyperbolicTangent => x.tanh(),
            Self::InverseHyperbolicSine => x.asinh(),
            Self::InverseHyperbolicCosine => x.acosh(),
            Self::InverseHyperbolicTangent => x.atanh(),
            Self::ErrorFunction => libm::erf(x),
            Self::ComplementaryErrorFunction => libm::erfc(x),
            Self::Gamma => libm::tgamma(x),
            Self::LogarithmGamma => libm::lgamma(x),
            Self::BesselJ0 => libm::j0(x),
            Self::BesselJ1 => libm::j1(x),
            Self::BesselY0 => libm::y0(x),
            Self::BesselY1 => libm::y1(x),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// a**b by logarithms.
    Power,
    /// a**k for an integer k, by multiplications.
    PowerInteger,
    Minimum,
    Maximum,
    /// |a| with the sign of b.
    Sign,
    /// The remainder with the sign of a.
    Modulo,
    /// max(a - b, 0).
    PositiveDifference,
    ArcTangent2,
    Hypotenuse,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    And,
    Or,
}

impl Binary {
    pub fn apply(self, a: f64, b: f64) -> f64 {
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Power => a.powf(b),
            Self::PowerInteger => power_integer(a, b),
            Self::Minimum => a.min(b),
            Self::Maximum => a.max(b),
            Self::Sign => a.abs().copysign(b),
            Self::Modulo => a % b,
            Self::PositiveDifference => (a - b).max(0.0),
            Self::ArcTangent2 => a.atan2(b),
            Self::Hypotenuse => a.hypot(b),
            Self::Equal => truth(a == b),
            Self::NotEqual => truth(a != b),
            Self::Less => truth(a < b),
            Self::LessEqual => truth(a <= b),
            Self::And => a * b,
            Self::Or => a.max(b),
        }
    }

    pub fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Multiply | Self::Equal | Self::NotEqual | Self::And | Self::Or)
    }
}

/// a**k by repeated squaring; the reciprocal where k < 0.
fn power_integer(a: f64, k: f64) -> f64 {
    let (mut rest, mut square, mut product) = (k.abs() as u64, a, 1.0);
    while rest > 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        square *= square;
        rest >>= 1;
    }
    if k < 0.0 { 1.0 / product } else { product }
}
