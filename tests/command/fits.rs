//! What `fit` prints and saves against optimality conditions and predictions computed here from the file alone.

use super::*;

type Row = (f64, Vec<(usize, f64)>);

/// LIBSVM text, read the simple way.
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let label = words.next().unwrap().parse().unwrap();
        let entry = |word: &str| {
            let (index, value) = word.split_once(':').unwrap();
            (index.parse::<usize>().unwrap() - 1, value.parse().unwrap())
        };
        (label, words.map(entry).collect())
    };
    text.lines().map(row).collect()
}

struct Model {
    x: Vec<f64>,
    intercept: f64,
}

fn model(path: &str) -> Model {
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut x = vec![0.0; number(&file, "columns") as usize];
    for (j, value) in file["indices"].as_array().unwrap().iter().zip(file["coefficients"].as_array().unwrap())
    {
        x[j.as_u64().unwrap() as usize] = value.as_f64().unwrap();
    }
    Model { x, intercept: number(&file, "intercept") }
}

impl Model {
    fn predictors(&self, rows: &[Row]) -> Vec<f64> {
        rows.iter()
            .map(|(_, row)| self.intercept + row.iter().map(|(j, v)| v * self.x[*j]).sum::<f64>())
            .collect()
    }
}

/// Value and derivative of a loss, from their formulas.
fn loss(name: &str, z: f64, y: f64) -> (f64, f64) {
    match name {
        "squared" => (0.5 * (z - y).powi(2), z - y),
        "logistic" => ((-y * z).exp().ln_1p(), -y / (1.0 + (y * z).exp())),
        "squared-hinge" => ((1.0 - y * z).max(0.0).powi(2), -2.0 * y * (1.0 - y * z).max(0.0)),
        "huber" => {
            let r = z - y;
            if r.abs() <= 1.0 { (0.5 * r * r, r) } else { (r.abs() - 0.5, r.signum()) }
        }
        "poisson" => (z.exp() - y * z, z.exp() - y),
        other => panic!("{other}"),
    }
}

/// Data for every loss: counts for Poisson, two classes or real targets for the others.
fn problem(folder: &Folder, name: &str) -> String {
    if name != "poisson" {
        return data("heart_scale");
    }
    let text = fs::read_to_string(data("heart_scale")).unwrap();
    let counted = |(k, line): (usize, &str)| {
        let (label, rest) = line.split_once(' ').unwrap();
        let count = if label.starts_with('+') { 2 + k % 4 } else { k % 3 };
        format!("{count} {rest}\n")
    };
    folder.write("counts", text.lines().enumerate().map(counted).collect::<String>())
}

#[test]
fn every_loss_and_penalty_meets_its_optimality_conditions() {
    let folder = Folder::new();
    let path = folder.path("m.json");
    for name in ["squared", "logistic", "squared-hinge", "huber", "poisson"] {
        let file = problem(&folder, name);
        let rows = rows(&fs::read_to_string(&file).unwrap());
        for (l1_ratio, l2) in [(0.0, 0.0), (0.0, 0.05), (0.1, 0.0), (0.05, 0.02)] {
            for flags in ["", "--intercept", "--nonnegative", "--intercept --nonnegative"] {
                let line = format!(
                    "fit {file} --loss {name} --l1-ratio {l1_ratio} --l2 {l2} {flags} --tolerance 1e-12 --certificate gradient --json --model {path}"
                );
                let ran = run(&line);
                let object = ran.json();
                // rounding may end a run above 1e-12; the conditions below must hold all the same
                assert!(matches!(ran.code, Some(0 | 3)), "{line}: {}", ran.err);
                let (model, l1) = (model(&path), number(&object, "l1"));
                let z = model.predictors(&rows);
                let n = rows.len() as f64;
                let (mut objective, mut gradient, mut slope) = (0.0, vec![0.0; model.x.len()], 0.0);
                for ((y, row), z) in rows.iter().zip(&z) {
                    let (value, derivative) = loss(name, *z, *y);
                    objective += value / n;
                    slope += derivative / n;
                    row.iter().for_each(|(j, v)| gradient[*j] += derivative * v / n);
                }
                for x in &model.x {
                    objective += l1 * x.abs() + 0.5 * l2 * x * x;
                }
                assert!(
                    (objective - number(&object, "objective")).abs() <= 1e-12 * (1.0 + objective.abs()),
                    "{line}"
                );
                let bounded = flags.contains("nonnegative");
                for (g, &x) in gradient.iter().zip(&model.x) {
                    let violation = if x == 0.0 {
                        // at the bound only a descent direction into the domain counts
                        if bounded { (-g - l1).max(0.0) } else { (g.abs() - l1).max(0.0) }
                    } else {
                        (g + l1 * x.signum() + l2 * x).abs()
                    };
                    assert!(violation <= 1e-9, "{line}: {violation}");
                    assert!(!bounded || x >= 0.0);
                }
                if flags.contains("--intercept") {
                    assert!(slope.abs() <= 1e-9, "{line}: {slope}");
                } else {
                    assert_eq!(model.intercept, 0.0);
                }
                let nonzeros = model.x.iter().filter(|x| **x != 0.0).count();
                assert_eq!(number(&object, "nonzeros") as usize, nonzeros);
            }
        }
    }
}

#[test]
fn predictions_are_the_product_by_hand_and_score_as_the_fit_said() {
    let folder = Folder::new();
    let (a1a, path) = (data("a1a"), folder.path("m.json"));
    let rows = rows(&fs::read_to_string(&a1a).unwrap());
    for options in
        ["", "--standardize", "--standardize --intercept", "--bias --intercept", "--standardize --bias"]
    {
        let line = format!("fit {a1a} --loss logistic --l1-ratio 0.02 {options} --json --model {path}");
        let object = run(&line).succeeds().json();
        let z = model(&path).predictors(&rows);
        let scores = run(&format!("predict {path} {a1a} --scores --quiet")).succeeds().out;
        assert_eq!(scores.lines().count(), rows.len());
        for (score, z) in scores.lines().zip(&z) {
            assert!((score.parse::<f64>().unwrap() - z).abs() <= 1e-12 * (1.0 + z.abs()));
        }
        let right = rows.iter().zip(&z).filter(|((y, _), z)| (**z > 0.0) == (*y > 0.0)).count();
        let accuracy = right as f64 / rows.len() as f64;
        assert_eq!(number(&object, "accuracy"), accuracy);
        let predicted = run(&format!("predict {path} {a1a} --json")).succeeds().json();
        assert_eq!(number(&predicted, "accuracy"), accuracy);
        assert_eq!(predicted["predictions"].as_array().unwrap().len(), rows.len());
    }
}

#[test]
fn standardisation_uses_training_moments_and_leaves_the_same_objective() {
    // the objective of the standardised problem, recomputed from explicit columns
    let folder = Folder::new();
    let (file, path) = (data("sk-diabetes-regression"), folder.path("m.json"));
    let rows = rows(&fs::read_to_string(&file).unwrap());
    let train: Vec<&Row> = rows.iter().enumerate().filter(|(i, _)| i % 4 != 3).map(|(_, row)| row).collect();
    let line = format!(
        "fit {file} --loss squared --center --standardize --l1-ratio 0.05 --tolerance 1e-12 --test-every 4 --json --model {path}"
    );
    let object = run(&line).succeeds().json();
    assert_eq!(number(&object, "rows") as usize, train.len());
    let (model, n) = (model(&path), train.len() as f64);
    let mut dense = vec![vec![0.0; train.len()]; model.x.len()];
    for (i, (_, row)) in train.iter().enumerate() {
        row.iter().for_each(|(j, v)| dense[*j][i] = *v);
    }
    let deviation = |column: &[f64]| {
        let mean = column.iter().sum::<f64>() / n;
        (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let z = model.predictors(&rows);
    let square = |i: usize| (z[i] - rows[i].0).powi(2);
    let held_out = |i: &usize| i % 4 == 3;
    let loss: f64 = (0..rows.len()).filter(|i| !held_out(i)).map(square).sum::<f64>() / (2.0 * n);
    let penalty: f64 = dense.iter().zip(&model.x).map(|(column, x)| (x * deviation(column)).abs()).sum();
    let objective = loss + number(&object, "l1") * penalty;
    assert!((objective / number(&object, "objective") - 1.0).abs() < 1e-11);
    let test: f64 = (0..rows.len()).filter(held_out).map(square).sum();
    let rmse = (test / (rows.len() - train.len()) as f64).sqrt();
    assert!((number(&object, "test_rmse") / rmse - 1.0).abs() < 1e-12);
}

#[test]
fn a_test_file_may_be_narrower_or_wider_than_the_training_data() {
    let folder = Folder::new();
    let train = folder.write("train", "1 1:1 3:2\n-1 1:-1 2:1\n1 1:2\n-1 3:-1\n");
    let wider = folder.write("wider", "1 1:1 900:5\n-1 1:-1\n");
    let narrow = folder.write("narrow", "1 1:1\n-1\n");
    let strange = folder.write("strange", "1 1:1\n7 1:1\n");
    let fit = format!("fit {train} --loss logistic --l2 0.1 --json");
    let ran = run(&format!("{fit} --test {wider}"));
    assert_eq!((ran.code, number(&ran.json(), "test_accuracy")), (Some(0), 1.0));
    assert!(ran.err.starts_with("note: ") && ran.err.lines().count() == 1, "{}", ran.err);
    assert_eq!(run(&format!("{fit} --test {wider} --quiet")).err, "");
    assert_eq!(number(&run(&format!("{fit} --test {narrow}")).succeeds().json(), "test_accuracy"), 1.0);
    run(&format!("{fit} --test {strange}")).fails(1, "data row 2 is 7");
    run(&format!("{fit} --test {}", folder.path("gone"))).fails(1, "gone");
}

#[test]
fn a_single_row_and_constant_targets_are_data_too() {
    let folder = Folder::new();
    let single = folder.write("single", "3 1:1 2:2\n");
    let object = run(&format!("fit {single} --loss squared --l2 1 --json")).succeeds().json();
    // x = a y / (|a|^2 + 1), so the objective is y^2 / (2 (|a|^2 + 1))
    assert!((number(&object, "objective") - 9.0 / 12.0).abs() < 1e-12);
    let constant = folder.write("constant", "5 1:1\n5 1:2\n5 1:-1\n");
    let object = run(&format!("fit {constant} --loss squared --l1 0.1 --intercept --json")).succeeds().json();
    assert_eq!((number(&object, "nonzeros"), number(&object, "intercept")), (0.0, 5.0));
}
