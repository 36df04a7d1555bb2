//! Expressions against values worked out by hand.

use super::*;
use crate::read::sif::decoded::{FunctionPart, FunctionSource, StatementKind, Temporary, TemporaryKind};

fn statement(kind: StatementKind, text: &str) -> Statement {
    Statement { kind, text: text.into(), cards: vec![(0, 7)] }
}

fn assign(target: &str, text: &str) -> Statement {
    statement(StatementKind::Assign { target: target.into() }, text)
}

fn part(statements: Vec<Statement>) -> FunctionPart {
    use TemporaryKind::{Integer, Logical, Real};
    let declared = [("A", Real), ("W", Real), ("K", Integer), ("POS", Logical)];
    let temporary = |(name, kind): (&str, TemporaryKind)| Temporary {
        kind,
        name: name.into(),
        dimensions: Vec::new(),
        line: 1,
    };
    let source = FunctionSource {
        name: "T".into(),
        arguments: vec!["X".into(), "Y".into()],
        statements,
        ..FunctionSource::default()
    };
    FunctionPart {
        temporaries: declared.into_iter().map(temporary).collect(),
        globals: Vec::new(),
        types: vec![source],
    }
}

/// Value, first and second derivatives at the arguments, in the lanes of one group.
fn run(part: &FunctionPart, mode: Mode, x: &[f64]) -> Result<[Vec<f64>; 3], FunctionError> {
    let function = compile(part, 0, &[], &ExternalFunctions::default(), mode)?;
    let mut registers = vec![[0.0; 4]; function.registers()];
    for (register, constant) in registers.iter_mut().zip(&function.layout.constants) {
        *register = [*constant; 4];
    }
    for (k, &x) in x.iter().enumerate() {
        registers[function.layout.input(k)] = [x; 4];
    }
    registers[function.layout.weight()] = [1.0; 4];
    let mut value = [[0.0; 4]];
    let mut first = vec![[0.0; 4]; function.first.len()];
    let mut second = vec![[0.0; 4]; function.second.len()];
    let mut outputs = Outputs { value: &mut value, first: &mut first, second: &mut second };
    function.value_gradient_hessian.run(&function.layout, &mut registers, 1, 1, &mut outputs);
    Ok([&value[..], &first, &second].map(|lanes| lanes.iter().map(|lanes| lanes[0]).collect()))
}

fn value(text: &str, mode: Mode, x: f64) -> f64 {
    run(&part(vec![statement(StatementKind::Value, text)]), mode, &[x, 3.0]).unwrap()[0][0]
}

#[test]
fn operators_bind_as_in_fortran() {
    for (text, expected) in [
        ("-X**2", -4.0),
        ("-X*Y", -6.0),
        ("X**Y**2", 512.0),
        ("X-Y-1", -2.0),
        ("X/Y/2.0", 2.0 / 3.0 / 2.0),
        ("X*-Y", -6.0),
        ("X**(-2)", 0.25),
        ("x * ( y + 1 )", 8.0),
        ("2 0 . 5 D 0 + X", 22.5),
        ("1/2*X", 0.0),
        ("7/2*X", 6.0),
        ("(-7)/2*X", -6.0),
        ("2**(-1)*X", 0.0),
        ("7/2.0*X", 7.0),
        ("X**0.5D0", 2f64.sqrt()),
        ("X**3.0", 8.0),
        ("X**11", 2048.0),
    ] {
        assert!((value(text, Mode::Exact, 2.0) - expected).abs() < 1e-14, "{text}");
    }
}

#[test]
fn intrinsics() {
    let x = 0.6f64;
    for (text, expected) in [
        ("EXP(X)", x.exp()),
        ("DLOG(X)", x.ln()),
        ("LOG10(X)", x.log10()),
        ("SIN(X)+COS(X)+TAN(X)", x.sin() + x.cos() + x.tan()),
        ("ASIN(X)+ACOS(X)+ATAN(X)", x.asin() + x.acos() + x.atan()),
        ("SINH(X)+COSH(X)+TANH(X)", x.sinh() + x.cosh() + x.tanh()),
        ("DSQRT(X)", x.sqrt()),
        ("ABS(-X)", x),
        ("SIGN(X,-Y)", -x),
        ("MOD(-7,3)*X", -x),
        ("MOD(X,-0.25D0)", x % 0.25),
        ("MAX(X,Y,1)", 3.0),
        ("MIN(X,Y)", x),
        ("ATAN2(X,Y)", x.atan2(3.0)),
        ("INT(2.9*Y)*X", 8.0 * x),
        ("NINT(-2.5D0)*X", -3.0 * x),
        ("AINT(-2.5D0)*X", -2.0 * x),
        ("DBLE(3)/2*X", 1.5 * x),
        ("ERF(X)+GAMMA(X)", libm::erf(x) + libm::tgamma(x)),
    ] {
        assert!((value(text, Mode::Exact, x) - expected).abs() < 1e-14, "{text}");
    }
}

#[test]
fn literals_without_d_are_single_in_mode_cutest_alone() {
    assert_eq!(value("0.1*X", Mode::Cutest, 1.0), f64::from(0.1f32));
    assert_eq!(value("0.1D0*X", Mode::Cutest, 1.0), 0.1);
    assert_eq!(value("7.0/3.0*X", Mode::Cutest, 1.0), f64::from(7f32 / 3f32));
    assert_eq!(value("0.1*X", Mode::Exact, 1.0), 0.1);
    let statements = || {
        vec![
            assign("K", "2.9"),
            assign("A", "0.1 * X + 1/3 + 1.0/3.0 + K"),
            statement(StatementKind::Value, "A - X ** 2 ** 3 - 2.0**2"),
            statement(StatementKind::First { variable: Some("X".into()) }, "0.1"),
        ]
    };
    let [f, g, _] = run(&part(statements()), Mode::Cutest, &[0.7, 0.0]).unwrap();
    assert!((f[0] + 1.6543146656894776).abs() < 1e-14, "{f:?}");
    assert_eq!(g[0], 0.10000000149011612);
    let [f, ..] = run(&part(statements()), Mode::Exact, &[0.7, 0.0]).unwrap();
    assert!((f[0] + 1.6543146766666668).abs() < 1e-14, "{f:?}");
}

#[test]
fn conditions_choose_and_internal_variables_are_transformed_back() {
    // u = x - y, w = 2 y + z, f = 3 u w + sign(u).
    let mut part = part(vec![
        assign("POS", "U .GT. 0.0 .AND. .NOT. (1.EQ.2)"),
        statement(StatementKind::AssignIf { condition: "POS".into(), target: "A".into() }, "1.0"),
        statement(StatementKind::AssignUnless { condition: "POS".into(), target: "A".into() }, "-1.0"),
        statement(StatementKind::Value, "3 * U * V + A"),
        statement(StatementKind::First { variable: Some("U".into()) }, "3*V"),
        statement(StatementKind::First { variable: Some("V".into()) }, "3*U"),
        statement(StatementKind::Second { variables: Some(("U".into(), "V".into())) }, "3.0"),
    ]);
    let source = &mut part.types[0];
    source.arguments = vec!["A1".into(), "A2".into(), "A3".into()];
    source.internal = vec!["U".into(), "V".into()];
    source.transformation = vec![(0, 0, 1.0), (0, 1, -1.0), (1, 1, 2.0), (1, 2, 1.0)];
    let [f, g, h] = run(&part, Mode::Exact, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(f, [-22.0]);
    assert_eq!(g, [21.0, -27.0, -3.0]);
    // (1,1) and (3,3) are identically zero: (2,1), (2,2), (3,1), (3,2) remain.
    assert_eq!(h, [6.0, -12.0, 3.0, -3.0]);
}

#[test]
fn errors_say_where_and_what() {
    let fail = |text: &str| run(&part(vec![statement(StatementKind::Value, text)]), Mode::Exact, &[1.0, 1.0]);
    for (text, column, message) in [
        ("X + Z", 29, "`Z` is not declared"),
        ("X + FOO(X)", 29, "Unsupported external function FOO"),
        ("X .AND. Y", 27, "logical"),
        ("(X + 1", 31, "expected `)`"),
        ("X +", 28, "ends"),
        ("ATAN2(X)", 25, "two arguments"),
        ("1/0", 26, "division by zero"),
    ] {
        let error = fail(text).unwrap_err();
        assert_eq!((error.line, error.column), (7, column), "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
    }
    assert!(fail(&"(".repeat(10_000)).is_err());
    assert!(fail(&"-".repeat(10_000)).is_err());
    assert!(fail(&format!("X{}", "**X".repeat(10_000))).is_err());
    assert!(fail(&format!("X{}", "+X".repeat(10_000))).is_ok());
}
