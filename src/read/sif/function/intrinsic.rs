//! Fortran's intrinsic functions. Results keep the type of their arguments unless the name says otherwise.

use super::Mode;
use super::graph::{Graph, Type, Value};
use super::operation::{Binary, Unary};

/// What a name computes.
#[derive(Clone, Copy)]
enum Intrinsic {
    /// A function of one real number.
    Real(Unary),
    Absolute,
    /// To a type.
    To(Type),
    NearestInteger,
    /// Whole numbers that stay real.
    Whole(Unary),
    Two(Binary),
    /// Two or more arguments.
    Fold(Binary),
}

fn lookup(name: &str) -> Option<Intrinsic> {
    use Intrinsic::{Absolute, Fold, NearestInteger, Real, To, Two, Whole};
    Some(match name {
        "SQRT" | "DSQRT" => Real(Unary::SquareRoot),
        "EXP" | "DEXP" => Real(Unary::Exponential),
        "LOG" | "DLOG" | "ALOG" => Real(Unary::Logarithm),
        "LOG10" | "DLOG10" | "ALOG10" => Real(Unary::Logarithm10),
        "SIN" | "DSIN" => Real(Unary::Sine),
        "COS" | "DCOS" => Real(Unary::Cosine),
        "TAN" | "DTAN" => Real(Unary::Tangent),
        "ASIN" | "DASIN" => Real(Unary::ArcSine),
        "ACOS" | "DACOS" => Real(Unary::ArcCosine),
        "ATAN" | "DATAN" => Real(Unary::ArcTangent),
        "SINH" | "DSINH" => Real(Unary::HyperbolicSine),
        "COSH" | "DCOSH" => Real(Unary::HyperbolicCosine),
        "TANH" | "DTANH" => Real(Unary::HyperbolicTangent),
        "ASINH" | "DASINH" => Real(Unary::InverseHyperbolicSine),
        "ACOSH" | "DACOSH" => Real(Unary::InverseHyperbolicCosine),
        "ATANH" | "DATANH" => Real(Unary::InverseHyperbolicTangent),
        "ERF" | "DERF" => Real(Unary::ErrorFunction),
        "ERFC" | "DERFC" => Real(Unary::ComplementaryErrorFunction),
        "GAMMA" | "DGAMMA" => Real(Unary::Gamma),
        "LOG_GAMMA" => Real(Unary::LogarithmGamma),
        "BESSEL_J0" => Real(Unary::BesselJ0),
        "BESSEL_J1" => Real(Unary::BesselJ1),
        "BESSEL_Y0" => Real(Unary::BesselY0),
        "BESSEL_Y1" => Real(Unary::BesselY1),
        "ABS" | "DABS" | "IABS" => Absolute,
        "INT" | "IFIX" | "IDINT" => To(Type::Integer),
        "REAL" | "FLOAT" | "SNGL" => To(Type::Single),
        "DBLE" | "DFLOAT" => To(Type::Double),
        "NINT" | "IDNINT" => NearestInteger,
        "AINT" | "DINT" => Whole(Unary::Truncate),
        "ANINT" | "DNINT" => Whole(Unary::Round),
        "SIGN" | "DSIGN" | "ISIGN" => Two(Binary::Sign),
        "MOD" | "DMOD" | "AMOD" => Two(Binary::Modulo),
        "DIM" | "DDIM" | "IDIM" => Two(Binary::PositiveDifference),
        "ATAN2" | "DATAN2" => Two(Binary::ArcTangent2),
        "HYPOT" => Two(Binary::Hypotenuse),
        "MAX" | "DMAX1" | "AMAX1" | "MAX0" => Fold(Binary::Maximum),
        "MIN" | "DMIN1" | "AMIN1" | "MIN0" => Fold(Binary::Minimum),
        _ => return None,
    })
}

/// True for the name of an intrinsic function, in upper case.
pub(super) fn is_known(name: &str) -> bool {
    lookup(name).is_some()
}

/// The intrinsic `name` of numbers; an error says what is wrong with the arguments.
pub(super) fn apply(graph: &mut Graph, mode: Mode, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let Some(intrinsic) = lookup(name) else {
        return Err(format!("Unsupported external function {name}"));
    };
    if let Intrinsic::Two(operation) = intrinsic {
        let &[a, b] = arguments else {
            return Err(format!("{name} takes two arguments, found {}", arguments.len()));
        };
        return Ok(graph.arithmetic(operation, a, b));
    }
    if let Intrinsic::Fold(operation) = intrinsic {
        let [first, rest @ ..] = arguments else {
            return Err(format!("{name} takes two arguments or more"));
        };
        return Ok(rest.iter().fold(*first, |most, &next| graph.arithmetic(operation, most, next)));
    }
    let &[a] = arguments else {
        return Err(format!("{name} takes one argument, found {}", arguments.len()));
    };
    Ok(match intrinsic {
        Intrinsic::Real(_) | Intrinsic::Whole(_) if a.kind == Type::Integer => {
            return Err(format!("{name} takes a real number, found an integer"));
        }
        Intrinsic::Real(operation) | Intrinsic::Whole(operation) => graph.function(operation, a),
        Intrinsic::Absolute => graph.function(Unary::Absolute, a),
        Intrinsic::To(Type::Single) if mode == Mode::Exact => graph.convert(a, Type::Double),
        Intrinsic::To(kind) => graph.convert(a, kind),
        _ => {
            let node = graph.unary(Unary::Round, a.node);
            Value { node, kind: Type::Integer }
        }
    })
}
