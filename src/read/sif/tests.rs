//! Small problems, decoded, with every number checked by hand.

use super::decoded::{Decoded, GroupKind, StatementKind, TemporaryKind};
use super::{Metadata, Mode, Options, SifErrorKind, decode};

fn read(text: &str) -> (Metadata, Decoded) {
    decode(text.as_bytes(), &Options::default()).unwrap()
}

const SHARED_STEPS: &str = "\
NAME          STEPS
 IE N                   4              $-PARAMETER
*IE N                   100            $-PARAMETER
 IE 1                   1
 IA N-1       N         -1
 RI RN        N
 RD H         RN        1.0
VARIABLES
 DO I         1                        N
 X  X(I)
 ND
GROUPS
 DO I         1                        N-1
 IA I+1       I         1
 ZN D(I)      X(I)                     H
 XN D(I)      X(I+1)    -1.0
 ND
CONSTANTS
    STEPS     'DEFAULT' 0.5
 X  STEPS     D(1)      2.0
BOUNDS
 FR STEPS     'DEFAULT'
 XL STEPS     X(1)      0.25
START POINT
    STEPS     'DEFAULT' 1.0
 X  STEPS     X(N)      3.0
GROUP TYPE
 GV L2        T
GROUP USES
 T  'DEFAULT' L2
ENDATA
GROUPS        STEPS
INDIVIDUALS
 T  L2
 F                      T * T
 G                      T + T
 H                      2.0
ENDATA
";

#[test]
fn loops_defaults_and_a_group_type() {
    let (metadata, decoded) = read(SHARED_STEPS);
    let groups = &decoded.groups;
    assert_eq!(groups.kind, [GroupKind::Objective; 3]);
    assert_eq!(groups.constant, [2.0, 0.5, 0.5]);
    assert_eq!(groups.function, [Some(0); 3]);
    for i in 0..3 {
        assert_eq!(groups.linear.row(i as usize), [(i, 0.25), (i + 1, -1.0)]);
    }
    assert_eq!(metadata.x0, [1.0, 1.0, 1.0, 3.0]);
    assert_eq!(metadata.lower, [0.25, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    assert_eq!(metadata.upper, [f64::INFINITY; 4]);
    assert_eq!(metadata.variable_names, ["X1", "X2", "X3", "X4"]);
    let part = &decoded.group_part;
    assert_eq!(
        (part.types[0].name.as_str(), part.types[0].arguments.as_slice()),
        ("L2", &["T".to_string()][..])
    );
    let texts: Vec<&str> = part.types[0].statements.iter().map(|statement| statement.text.as_str()).collect();
    assert_eq!(texts, ["T * T", "T + T", "2.0"]);
}

#[test]
fn a_parameter_takes_the_value_of_the_options() {
    let options = Options { parameters: vec![("N".into(), 7.0)], ..Options::default() };
    let (metadata, decoded) = decode(SHARED_STEPS.as_bytes(), &options).unwrap();
    assert_eq!((decoded.variables, decoded.groups.kind.len()), (7, 6));
    assert_eq!(decoded.groups.linear.row(0)[0], (0, 1.0 / 7.0));
    let parameter = &metadata.parameters[0];
    assert_eq!(
        (parameter.name.as_str(), parameter.value, parameter.default, parameter.line),
        ("N", 7.0, 4.0, 2)
    );
    assert_eq!(parameter.alternatives, [100.0]);

    let cutest = Options { mode: Mode::Cutest, ..options };
    let (_, decoded) = decode(SHARED_STEPS.as_bytes(), &cutest).unwrap();
    assert_eq!(decoded.groups.linear.row(0)[0], (0, 0.14285714286));
    for (name, value) in [("M", 3.0), ("N", 2.5), ("N", 1e10)] {
        let options = Options { parameters: vec![(name.into(), value)], ..Options::default() };
        let error = decode(SHARED_STEPS.as_bytes(), &options).unwrap_err();
        assert_eq!(error.line, None, "{error}");
    }
}

#[test]
fn constraints_scales_ranges_and_odd_bounds() {
    let (metadata, decoded) = read(
        "\
NAME          ROWS
VARIABLES
    X
    Y         'SCALE'   5.0
    Z
GROUPS
 N  OBJ       X         1.0            Y         1.0
 N  OBJ       Z         1.0
 L  C1        X         2.0            Y         4.0
 L  C1        'SCALE'   2.0
 G  C2        X         1.0            Z         -1.0
 E  C3        Y         1.0
CONSTANTS
    ROWS      OBJ       7.0            C1        6.0
    ROWS      C3        1.0
    OTHER     C3        9.0
RANGES
    ROWS      C1        5.0            C2        -3.0
    ROWS      C3        9.0
BOUNDS
 MI ROWS      X
 UP ROWS      Y         0.0
 UP ROWS      Z         -1.0
START POINT
    ROWS      X         1.0            Y         2.0
    ROWS      C2        0.5
 M  ROWS      C3        -2.0
    OTHER     X         9.0
ELEMENT TYPE
 EV SQUARE    V
ELEMENT USES
 T  E         SQUARE
 V  E         V                        Z
GROUP USES
 E  C2        E         3.0
OBJECT BOUND
 LO ROWS                -4.5
ENDATA
ELEMENTS      ROWS
INDIVIDUALS
 T  SQUARE
 F                      V**2
 G  V                   2.0 * V
 H  V         V         2.0
ENDATA
",
    );
    let infinity = f64::INFINITY;
    assert_eq!(metadata.lower, [-infinity, -infinity, 0.0]);
    assert_eq!(metadata.upper, [0.0, 0.0, -1.0]);
    assert_eq!((metadata.c_lower, metadata.c_upper), (vec![-5.0, 0.0, 0.0], vec![0.0, 3.0, 0.0]));
    assert_eq!(metadata.v0, [0.0, 0.5, -2.0]);
    assert_eq!((metadata.linear, metadata.equation), (vec![true, false, true], vec![false, false, true]));
    assert_eq!((metadata.x0, metadata.objective_lower), (vec![1.0, 2.0, 0.0], Some(-4.5)));
    assert_eq!(metadata.constraint_names, ["C1", "C2", "C3"]);
    let groups = &decoded.groups;
    assert_eq!(
        (&groups.constant[..], &groups.scale[..]),
        (&[7.0, 6.0, 0.0, 1.0][..], &[1.0, 2.0, 1.0, 1.0][..])
    );
    assert_eq!(groups.inverse_scale, [1.0, 0.5, 1.0, 1.0]);
    assert_eq!(groups.linear.row(1), [(0, 2.0), (1, 4.0)]);
    assert_eq!((groups.elements.row(0), groups.elements.row(2)), (&[][..], &[(0, 3.0)][..]));
}

#[test]
fn quadratic_terms_and_variables_that_come_with_elements() {
    let (metadata, decoded) = read(
        "\
NAME          LATE
VARIABLES
    X
    Y
GROUPS
 N  OBJ       X         0.25
 N  OBJ       X         0.75           Y         1.0
 N  OBJ       Y         -1.0
BOUNDS
 FR LATE      'DEFAULT'
START POINT
    LATE      'DEFAULT' 9.0
    LATE      X         2.0            Y         3.0
QUADRATIC
    X         X         4.0            Y         1.5
    Y         X         0.5
ELEMENT TYPE
 EV PR        A                        B
ELEMENT USES
 T  'DEFAULT' PR
 V  E1        A                        X
 V  E1        B                        X
 V  E2        A                        Y
 V  E2        B                        W
GROUP USES
 E  OBJ       E1        2.0            E2
 E  OBJ       E2        1.0
ENDATA
ELEMENTS      LATE
INDIVIDUALS
 T  PR
 F                      A * B
 G  A                   B
 G  B                   A
 H  A         B         1.0
ENDATA
",
    );
    assert_eq!((decoded.variables, metadata.variable_names[2].as_str()), (3, "W"));
    assert_eq!(metadata.lower, [f64::NEG_INFINITY; 3]);
    assert_eq!(metadata.x0, [2.0, 3.0, 0.0]);
    assert_eq!(decoded.quadratic, [(0, 0, 4.0), (1, 0, 2.0)]);
    assert_eq!(
        (decoded.elements.variables.row(0), decoded.elements.variables.row(1)),
        (&[0, 0][..], &[1, 2][..])
    );
    assert_eq!(decoded.groups.elements.row(0), [(0, 2.0), (1, 1.0), (1, 1.0)]);
    assert_eq!(decoded.groups.linear.row(0), [(0, 1.0)]);
}

const INTERNAL: &str = "\
NAME          INNER
VARIABLES
    X
    Y
    Z
GROUPS
 N  OBJ       Z         1.0
 N  OBJ       'SCALE'   0.5
BOUNDS
 FR INNER     'DEFAULT'
ELEMENT TYPE
 EV PAIR      A                        B
 EV PAIR      C
 IV PAIR      U                        V
 EP PAIR      P
ELEMENT USES
 T  E         PAIR
 V  E         A                        X
 V  E         B                        Y
 V  E         C                        Z
 P  E         P         3.0
GROUP TYPE
 GV CUBE      T
 GP CUBE      Q
GROUP USES
 T  OBJ       CUBE
 E  OBJ       E         2.0
 P  OBJ       Q         0.1
ENDATA
ELEMENTS      INNER
TEMPORARIES
 R  W
 L  POS
 R  Y(8)
 M  EXP
GLOBALS
 A  W                   1.0D0
INDIVIDUALS
 T  PAIR
 R  U         A         1.0            B         -1.0
 R  V         B         0.3333333333   C         1.0
 A  POS                 U .GT. 0.0
 I  POS       W         1.0
 E  POS       W         -1.0
 F                      P * U * V +
 F+                     W
 G  U                   P*V
 G  V                   P*U
 H  U         V         P
ENDATA
GROUPS        INNER
INDIVIDUALS
 T  CUBE
 F                      Q * T**3
 G                      3.0 * Q * T**2
 H                      6.0 * Q * T
ENDATA
      SUBROUTINE WHATEVER
";

#[test]
fn internal_variables_statements_and_parameters() {
    let (metadata, decoded) = read(INTERNAL);
    assert_eq!(metadata.warnings, []);
    let part = &decoded.element_part;
    let kinds: Vec<TemporaryKind> = part.temporaries.iter().map(|temporary| temporary.kind).collect();
    use TemporaryKind::{Intrinsic, Logical, Real};
    assert_eq!(kinds, [Real, Logical, Real, Intrinsic]);
    assert_eq!(part.temporaries[2].dimensions, [8]);
    assert_eq!(part.globals[0].kind, StatementKind::Assign { target: "W".into() });
    let pair = &part.types[0];
    assert_eq!(
        (pair.arguments.join(" "), pair.internal.join(" "), pair.parameters.join(" ")),
        ("A B C".into(), "U V".into(), "P".into())
    );
    assert_eq!(pair.transformation, [(0, 0, 1.0), (0, 1, -1.0), (1, 1, 0.3333333333), (1, 2, 1.0)]);
    let value = &pair.statements[3];
    assert_eq!((value.kind.clone(), value.text.as_str()), (StatementKind::Value, "P * U * V +W"));
    assert_eq!(value.cards, [(0, 45), (11, 46)]);
    assert_eq!(
        pair.statements[1].kind,
        StatementKind::AssignIf { condition: "POS".into(), target: "W".into() }
    );
    assert_eq!(pair.statements[6].kind, StatementKind::Second { variables: Some(("U".into(), "V".into())) });
    assert_eq!(
        (decoded.elements.parameters.row(0), decoded.groups.parameters.row(0)),
        (&[3.0][..], &[0.1][..])
    );

    let cutest = Options { mode: Mode::Cutest, ..Options::default() };
    let (_, decoded) = decode(INTERNAL.as_bytes(), &cutest).unwrap();
    assert_eq!(decoded.element_part.types[0].transformation[2], (1, 1, f64::from(0.33333f32)));
}

#[test]
fn parameter_arithmetic() {
    let cards = "\
NAME          SUMS
 IE 7                   7
 IE -2                  -2
 ID A         -2        7
 I/ B         7                        -2
 IS C         7         2
 RE X                   -2.9
 IR D         X
 I* E         A                        B
 RS F         X         0.1
 RD G         X         2.9
 RF H         SQRT      2.25
 R( K         ARCTAN                   H
 I= M         7
 IE I                   3
 AE S(I)                8.0
 A( U(I)      ABS                      X
 AA W(I)      S(I)      1.0
 A/ V(I,I)    W(I)                     S(I)
 AI L(I)      7
VARIABLES
    X
GROUPS
 Z  O         X                        F
";
    // Groups need a kind; the card above shows that the code is looked at.
    let error = decode(cards.as_bytes(), &Options::default()).unwrap_err();
    assert_eq!(error.kind, SifErrorKind::UnknownCode { code: "Z ".into(), section: "GROUPS" });
    let names = ["F", "G", "K", "S3", "U3", "W3", "V3,3", "L3", "S(I)"];
    let expected = [3.0, -1.0, 1.5f64.atan(), 8.0, 2.9, 9.0, 1.125, 7.0, 8.0];
    let mut text = cards.replace(" Z  O         X                        F\n", "");
    for (row, name) in names.iter().enumerate() {
        text += &format!(" ZN R{row:<9}X                        {name}\n");
    }
    for (row, name) in ["A", "B", "C", "D", "E", "M"].iter().enumerate() {
        text += &format!(" RI Q{row:<9}{name}\n ZN Q{row:<9}X                        Q{row}\n");
    }
    let (_, decoded) = read(&(text + "ENDATA\n"));
    let values: Vec<f64> = (0..15).map(|row| decoded.groups.linear.row(row)[0].1).collect();
    assert_eq!(values[..9], expected);
    assert_eq!(values[9..], [-3.0, -3.0, -5.0, -2.0, 9.0, 7.0]);
}

#[test]
fn loops_nest_step_and_count_down() {
    let (metadata, decoded) = read(
        "\
NAME          LOOPS
 IE 0                   0
 IE 1                   1
 IE 2                   2
 IE 3                   3
 IE 5                   5
 IE -2                  -2
VARIABLES
 DO I         5                        1
 DI I         -2
 X  A(I)
 OD I
 DO I         3                        1
 X  NEVER(I)
 ND
 DO I         1                        2
 X  B(I)
 DO J         0                        I
 DO K         3                        1
 DI K         -2
 X  C(I,J,K)
 ND
 X  I(I)
GROUPS
 N  O         C2,2,1    1.0
ENDATA
",
    );
    let names = "A5 A3 A1 B1 C1,0,3 C1,0,1 C1,1,3 C1,1,1 B2 C2,0,3 C2,0,1 C2,1,3 C2,1,1 C2,2,3 C2,2,1 I2";
    assert_eq!(metadata.variable_names.join(" "), names);
    assert_eq!(metadata.warnings.len(), 1);
    assert_eq!(decoded.groups.linear.row(0), [(14, 1.0)]);
}

/// f(x0) and c(x0) with all numbers as the reference has them.
fn oracle(name: &str) -> Option<serde_json::Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/sif-oracle");
    let file = std::fs::File::open(format!("{folder}/{name}.json.gz")).ok()?;
    serde_json::from_reader(flate2::read::GzDecoder::new(file)).ok()
}

#[test]
fn linear_constraints_have_the_values_of_the_reference() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/sif");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: {folder} is absent");
        return;
    };
    let mut compared = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(oracle) = oracle(&name).filter(|oracle| oracle["full"] == true) else { continue };
        let options = Options { mode: Mode::Cutest, ..Options::default() };
        let (metadata, decoded) = decode(&std::fs::read(&path).unwrap(), &options).unwrap();
        let groups = &decoded.groups;
        let rows = (0..groups.kind.len()).filter(|&i| groups.kind[i] != GroupKind::Objective);
        for (row, i) in rows.enumerate().filter(|(row, _)| metadata.linear[*row]) {
            let product: f64 = groups.linear.row(i).iter().map(|&(j, a)| a * metadata.x0[j as usize]).sum();
            let size: f64 =
                groups.linear.row(i).iter().map(|&(j, a)| (a * metadata.x0[j as usize]).abs()).sum();
            let value = (product - groups.constant[i]) * groups.inverse_scale[i];
            let expected = oracle["points"][0]["c"][row].as_f64().unwrap();
            let tolerance = 1e-12 * (1.0 + (size + groups.constant[i].abs()) * groups.inverse_scale[i].abs());
            assert!((value - expected).abs() <= tolerance, "{name} row {row}: {value} for {expected}");
            compared += 1;
        }
    }
    println!("{compared} rows");
}

#[test]
fn free_form_says_the_same_as_fixed_columns() {
    let free = "\
FREE FORMAT
NAME STEPS
IE N _ 4 $-PARAMETER
*IE N                   100            $-PARAMETER
IE 1 _ 1; IA N-1 N -1
RI RN N; RD H RN 1.0 $ comment; not a card
VARIABLES
DO I 1 _ N; X X(I); ND
GROUPS
DO I 1 _ N-1
IA I+1 I 1; ZN D(I) X(I) _ H
XN D(I) X(I+1) -1.0; ND
CONSTANTS
_ STEPS 'DEFAULT' 0.5; X STEPS D(1) 2.0
FIXED FORMAT
BOUNDS
 FR STEPS     'DEFAULT'
 XL STEPS     X(1)      0.25
FREE FORMAT
START POINT
_ STEPS 'DEFAULT' 1.0
X STEPS X(N) 3.0
GROUP TYPE
GV L2 T
GROUP USES
T 'DEFAULT' L2
ENDATA
FREE FORMAT
GROUPS STEPS
INDIVIDUALS
T L2
F _ _ T * T ; G _ _ T + T
H _ _ 2.0
ENDATA
";
    let (metadata, decoded) = read(free);
    let (same, fixed) = read(SHARED_STEPS);
    assert_eq!(metadata.variable_names, same.variable_names);
    assert_eq!((metadata.x0, metadata.lower), (same.x0, same.lower));
    assert_eq!(metadata.parameters[0].alternatives, [100.0]);
    assert_eq!(decoded.groups.linear.items, fixed.groups.linear.items);
    assert_eq!(decoded.groups.constant, fixed.groups.constant);
    let texts = |decoded: &Decoded| -> Vec<String> {
        decoded.group_part.types[0]
            .statements
            .iter()
            .map(|statement| statement.text.trim().to_string())
            .collect()
    };
    assert_eq!(texts(&decoded), texts(&fixed));

    let error = decode(free.replace("RN 1.0", "Q 1.0").as_bytes(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "6:15: real parameter Q is not defined");
}
