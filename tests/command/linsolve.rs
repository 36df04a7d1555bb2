//! `gradus linsolve` and `gradus stream`.

use super::*;

/// The 5-point Laplacian of a grid plus a shift, lower triangle.
fn grid(m: usize, shift: f64) -> String {
    let mut lines = Vec::new();
    for i in 0..m * m {
        lines.push(format!("{} {} {}", i + 1, i + 1, 4.0 + shift));
        if i % m > 0 {
            lines.push(format!("{} {} -1", i + 1, i));
        }
        if i >= m {
            lines.push(format!("{} {} -1", i + 1, i + 1 - m));
        }
    }
    format!(
        "%%MatrixMarket matrix coordinate real symmetric\n{} {} {}\n{}\n",
        m * m,
        m * m,
        lines.len(),
        lines.join("\n")
    )
}

fn vector(n: usize, columns: usize) -> String {
    let entries: Vec<String> = (0..n * columns).map(|i| format!("{}", (i as f64 * 0.7).sin())).collect();
    format!("%%MatrixMarket matrix array real general\n{n} {columns}\n{}\n", entries.join("\n"))
}

#[test]
fn every_method_solves_and_says_the_same() {
    let folder = Folder::new();
    let (a, b) = (folder.write("A.mtx", grid(20, 0.0)), folder.write("b.mtx", vector(400, 1)));
    let mut answers: Vec<Vec<f64>> = Vec::new();
    for method in ["sor", "ssor", "ssor-cg", "cg", "ic-cg", "amg-cg", "direct"] {
        let x = folder.path("x.mtx");
        let line =
            format!("linsolve {a} --rhs {b} --method {method} --solution {x} --json --tolerance 1e-10");
        let object = run(&line).succeeds().json();
        contract::has_keys(&object, &["n", "nonzeros", "relative_residual", "omega"]);
        assert_eq!((&object["command"], &object["method"]), (&"linsolve".into(), &method.into()));
        assert_eq!((number(&object, "n"), number(&object, "nonzeros")), (400.0, 1920.0));
        assert!(number(&object, "relative_residual") <= 1e-10 && number(&object, "iterations") >= 1.0);
        assert_eq!(object["omega"].is_null(), !method.contains("sor"));
        let text = fs::read_to_string(&x).unwrap();
        answers.push(text.lines().skip(2).map(|line| line.parse().unwrap()).collect());
    }
    for other in &answers[1..] {
        assert!(answers[0].iter().zip(other).all(|(p, q)| (p - q).abs() < 1e-6));
    }
    let explained = run(&format!("linsolve {a} --method sor --explain --json")).succeeds().json();
    assert!((number(&explained["explanation"], "beta") - (std::f64::consts::PI / 21.0).cos()).abs() < 1e-3);
    let fixed = run(&format!("linsolve {a} --method sor --omega 1.7 --json")).succeeds().json();
    assert_eq!(number(&fixed, "omega"), 1.7);
    // the default tolerance of linear systems
    assert!(number(&fixed, "relative_residual") <= 1e-8);
    let orders: Vec<Value> = ["natural", "levels", "multicolour"]
        .iter()
        .map(|order| run(&format!("linsolve {a} --method ssor-cg --order {order} --json")).succeeds().json())
        .collect();
    assert_eq!(orders[0]["iterations"], orders[1]["iterations"]);
}

#[test]
fn predictions_are_those_of_the_laplacian() {
    let folder = Folder::new();
    let (a, b) = (folder.write("A.mtx", grid(20, 0.0)), folder.write("b.mtx", vector(400, 1)));
    let beta = (std::f64::consts::PI / 21.0).cos();
    // Young's omega, the radius omega - 1 there, and what both say of iterations
    let young = 2.0 / (1.0 + (1.0 - beta * beta).sqrt());
    let object = run(&format!("linsolve {a} --rhs {b} --method sor --omega {young} --explain --json"))
        .succeeds()
        .json();
    let told = &object["explanation"];
    let near = |key: &str, value: f64, share: f64| {
        let own = number(told, key);
        assert!((own / value - 1.0).abs() < share, "{key}: {own}, {value} expected");
    };
    near("gap", 1.0 - beta, 0.02);
    near("condition", (1.0 + beta) / (1.0 - beta), 0.02);
    near("radius", young - 1.0, 0.02);
    near("asymptotic", 1e-8f64.ln() / (young - 1.0).ln(), 0.15);
    assert_eq!((number(told, "omega"), &told["consistently_ordered"]), (young, &true.into()));
    let sweeps = number(&object, "iterations");
    assert!(sweeps <= number(told, "bound") && sweeps <= 1.1 * number(told, "near_asymptotic"));
    let text = run(&format!("linsolve {a} --method sor --explain")).succeeds().out;
    let predicted = text.split("\nPredicted\n").nth(1).unwrap();
    assert!(predicted.starts_with("beta         0.98") && predicted.contains("\norder        consistent"));
    // no time for predictions is no failure of a system that was solved before it was up
    let hasty = run(&format!("linsolve {a} --method direct --explain --time-limit 0 --json"));
    assert_eq!(hasty.json()["explanation"], Value::Null);
    let skew = "%%MatrixMarket matrix coordinate real general\n2 2 4\n1 1 1\n1 2 3\n2 1 3\n2 2 1\n";
    let (skew, one) = (folder.write("skew.mtx", skew), folder.write("one.mtx", vector(2, 1)));
    run(&format!("linsolve {skew} --rhs {one} --method cg --explain"))
        .fails(1, "skew.mtx: the matrix is not positive");
}

#[test]
fn the_error_estimate_is_of_the_errors_size() {
    let folder = Folder::new();
    let (a, b) = (folder.write("A.mtx", grid(20, 0.0)), folder.write("b.mtx", vector(400, 1)));
    let solve = |options: &str| {
        let x = folder.path("x.mtx");
        let object =
            run(&format!("linsolve {a} --rhs {b} --solution {x} --json {options}")).succeeds().json();
        let text = fs::read_to_string(&x).unwrap();
        (object, text.lines().skip(2).map(|line| line.parse().unwrap()).collect::<Vec<f64>>())
    };
    let (_, exact) = solve("--method direct --tolerance 1e-13");
    let (object, x) = solve("--estimate-error --omega 1.5 --tolerance 1e-4");
    let e: Vec<f64> = x.iter().zip(&exact).map(|(x, exact)| x - exact).collect();
    let at = |i: usize, there: bool, j: usize| if there { e[i] * e[j] } else { 0.0 };
    let squared: f64 = (0..400)
        .map(|i| {
            4.0 * e[i] * e[i] - 2.0 * at(i, i % 20 > 0, i.max(1) - 1) - 2.0 * at(i, i >= 20, i.max(20) - 20)
        })
        .sum();
    let ratio = number(&object, "error_estimate") / squared.sqrt();
    assert!((0.2..5.0).contains(&ratio), "estimated over true: {ratio}");
    run(&format!("linsolve {a} --estimate-error --method cg"))
        .fails(2, "--estimate-error needs --method ssor-cg");
}

#[test]
fn multigrid_needs_few_iterations_whatever_the_size() {
    let folder = Folder::new();
    let mut counts = Vec::new();
    for m in [30, 90] {
        let (a, b) = (folder.write("A.mtx", grid(m, 0.0)), folder.write("b.mtx", vector(m * m, 1)));
        let object = run(&format!("linsolve {a} --rhs {b} --method amg-cg --json")).succeeds().json();
        assert!(number(&object, "relative_residual") <= 1e-8 && object["omega"].is_null());
        counts.push(number(&object, "iterations"));
    }
    assert!(counts[1] <= 20.0 && counts[1] <= counts[0] + 6.0, "{counts:?}");
    let indefinite =
        "%%MatrixMarket matrix coordinate real symmetric\n3 3 5\n1 1 1\n2 1 3\n2 2 1\n3 2 3\n3 3 1\n";
    let (a, b) = (folder.write("A.mtx", indefinite), folder.write("b.mtx", vector(3, 1)));
    run(&format!("linsolve {a} --rhs {b} --method amg-cg"))
        .fails(1, "A.mtx: the matrix is not positive definite");
}

#[test]
fn several_right_hand_sides_traces_and_limits() {
    let folder = Folder::new();
    let (a, b) = (folder.write("A.mtx", grid(12, 0.5)), folder.write("b.mtx", vector(144, 3)));
    let (x, csv, svg) = (folder.path("x.npy"), folder.path("t.csv"), folder.path("t.svg"));
    let object = run(&format!("linsolve {a} --rhs {b} --solution {x} --json")).succeeds().json();
    assert_eq!(object["right_hand_sides"].as_array().unwrap().len(), 3);
    assert!(fs::read(&x).unwrap().starts_with(b"\x93NUMPY"));
    let ran = run(&format!(
        "linsolve {a} --method sor --omega 1 --max-iterations 5 --json --trace {csv} --plot {svg}"
    ));
    let object = ran.json();
    assert_eq!((ran.code, object["status"].as_str()), (Some(3), Some("iteration_limit")));
    let text = fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("iteration,seconds,objective,certificate\n0,"));
    assert!(text.lines().last().unwrap().starts_with(&format!("{},", object["iterations"])));
    let finished = run(&format!("linsolve {a} --method sor --omega 1 --max-iterations 5 --fallback --json"))
        .succeeds()
        .json();
    assert_eq!(finished["fallback"], "cg");
    let text = run(&format!("linsolve {a}")).succeeds().out;
    for word in ["method", "status", "certificate", "omega", "system"] {
        assert!(text.lines().any(|line| line.starts_with(word)), "{word}: {text}");
    }
}

#[test]
fn bad_systems_are_refused_with_one_message() {
    let folder = Folder::new();
    let head = "%%MatrixMarket matrix coordinate real general\n";
    for (content, words) in [
        ("2 3 1\n1 1 1\n", "square"),
        ("2 2 1\n1 1 1\n", "diagonal entry of row 2"),
        ("2 2 3\n1 1 1\n1 2 0.5\n2 2 1\n", "not symmetric"),
        ("2 2 2\n1 1 nan\n2 2 1\n", "finite"),
        ("2 2 4\n1 1 1\n1 2 3\n2 1 3\n2 2 1\n", "not positive definite"),
    ] {
        let a = folder.write("A.mtx", format!("{head}{content}"));
        run(&format!("linsolve {a} --method cg --rhs {}", folder.write("b.mtx", vector(2, 1))))
            .fails(1, words);
    }
    let a = folder.write("A.mtx", grid(3, 0.0));
    run(&format!("linsolve {a} --rhs {}", folder.write("b.mtx", vector(8, 1)))).fails(1, "columns of 9");
    run(&format!("linsolve {a} --omega 2")).fails(2, "(0, 2)");
    run(&format!("linsolve {a} --omega nonsense")).fails(2, "auto");
    run(&format!("linsolve {a} --solution {a}")).fails(2, "overwrite");
    run(&format!("linsolve {a} --shift=-5")).fails(1, "diagonal");
    run("linsolve missing.mtx").fails(1, "missing");
}

#[test]
fn a_stream_compares_policies() {
    let folder = Folder::new();
    let (svg, csv) = (folder.path("s.svg"), folder.path("s.csv"));
    let line = format!(
        "stream heat:12 --steps 200 --policy auto --policy fixed:1.5 --policy tsallis-inf --policy chebcb --policy optimal-fixed \
         --policy instance-optimal --json --plot {svg} --trace {csv}"
    );
    let object = run(&line).succeeds().json();
    contract::has_keys(&object, &["systems", "total_iterations", "policies"]);
    assert_eq!(
        (number(&object, "systems"), number(&object, "iterations")),
        (200.0, number(&object, "total_iterations"))
    );
    let policies = object["policies"].as_array().unwrap();
    let total = |name: &str| {
        let found = policies.iter().find(|policy| policy["policy"] == name).unwrap();
        number(found, "total_iterations")
    };
    assert_eq!(policies.len(), 6);
    assert!(total("instance-optimal") <= total("optimal-fixed"));
    assert!(total("optimal-fixed") <= total("fixed:1.5") && total("optimal-fixed") <= total("tsallis-inf"));
    assert_eq!(trace(&csv).len(), 201);
    let repeated = run(&line).succeeds().json();
    for (one, other) in policies.iter().zip(repeated["policies"].as_array().unwrap()) {
        assert_eq!(one["total_iterations"], other["total_iterations"], "seeded");
    }
    for (line, words) in [
        ("stream heat:x", "number of cells"),
        ("stream heat:1", "cells"),
        ("stream shifted:middle", "high"),
        ("stream heat:9 --policy best", "auto"),
        ("stream heat:9 --policy fixed:3", "(0, 2)"),
        ("stream heat:9 --policy auto --policy chebcb --state s.json", "--state"),
    ] {
        run(line).fails(2, words);
    }
}

#[test]
fn a_folder_of_systems_is_solved_in_order_and_its_learner_saved() {
    let folder = Folder::new();
    for k in 1..=6 {
        // the matrix of the third system serves the fourth as well
        if k != 4 {
            folder.write(&format!("A_{k}.mtx"), grid(8, 0.1 * k as f64));
        }
        folder.write(&format!("b_{k}.mtx"), vector(64, 1));
    }
    let (dir, state) = (folder.0.to_str().unwrap().to_string(), folder.path("learned.json"));
    for policy in ["auto", "chebcb", "zoom", "configurations"] {
        let object = run(&format!("stream {dir} --policy {policy} --json")).succeeds().json();
        assert_eq!((number(&object, "systems"), &object["status"]), (6.0, &"solved".into()), "{policy}");
        assert!(number(&object["certificate"], "relative") <= 1e-8);
    }
    let once =
        run(&format!("stream {dir} --policy hill --method sor --state {state} --json")).succeeds().json();
    let first = fs::read_to_string(&state).unwrap();
    let again =
        run(&format!("stream {dir} --policy hill --method sor --state {state} --json")).succeeds().json();
    assert!(fs::read_to_string(&state).unwrap() != first && once["systems"] == again["systems"]);
    run(&format!("stream {dir} --policy zoom --method sor --state {state}")).fails(1, "hill");
    fs::remove_file(folder.path("b_2.mtx")).unwrap();
    run(&format!("stream {dir}")).fails(1, "b_2.mtx is missing");
    let empty = Folder::new();
    run(&format!("stream {}", empty.0.display())).fails(1, "A_1.mtx");
    run("stream nowhere").fails(1, "nowhere");
}
