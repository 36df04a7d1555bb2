//! `gradus nlp`: the contract's keys, exit codes, refusals, files.

use super::*;

#[test]
fn the_object_has_every_key() {
    let file = data("sif/HSX78.SIF");
    let ran = run(&format!("nlp {file} --json --threads 1 --seed 3")).succeeds();
    let object = ran.json();
    let always = "command method status iterations seconds read_seconds objective certificate counts seed threads version";
    let own = "name n m constraint_violation dual_infeasibility complementarity kkt_error";
    for key in always.split(' ').chain(own.split(' ')) {
        assert!(object.get(key).is_some(), "no key '{key}' in {object}");
    }
    for key in ["objective", "gradient", "constraints", "jacobian", "hessian", "factorizations"] {
        assert!(object["counts"][key].as_u64().unwrap() > 0, "{key}");
    }
    assert_eq!((&object["command"], &object["method"]), (&"nlp".into(), &"interior-point".into()));
    assert_eq!((&object["status"], &object["name"]), (&"solved".into(), &"HSX78".into()));
    assert_eq!((object["n"].as_u64(), object["m"].as_u64()), (Some(5), Some(3)));
    assert_eq!((object["seed"].as_u64(), object["threads"].as_u64()), (Some(3), Some(1)));
    assert!((number(&object, "objective") + 2.919700409).abs() < 1e-8);
    assert!(number(&object, "kkt_error") <= 1e-8);
    assert_eq!(object["certificate"]["kind"], "kkt_error");
    assert_eq!(number(&object["certificate"], "relative"), number(&object, "kkt_error"));
    assert_eq!(object["second_order"], "sufficient");
}

#[test]
fn inequalities_go_to_the_interior_point() {
    let folder = Folder::new();
    let text = "NAME          BOX\nVARIABLES\n    X\n    Y\nGROUPS\n N  OBJ       X         1.0\n G  ROW       X         1.0\n    ROW       Y         1.0\nCONSTANTS\n    BOX       ROW       1.0\nENDATA\n".replace("    ROW       Y", " G  ROW       Y");
    let file = folder.write("BOX.SIF", text);
    for method in ["auto", "interior-point"] {
        let object = run(&format!("nlp {file} --method {method} --json")).succeeds().json();
        assert_eq!((&object["method"], &object["status"]), (&"interior-point".into(), &"solved".into()));
        assert!(number(&object, "objective").abs() < 1e-7 && number(&object, "kkt_error") <= 1e-8);
        assert!(object["notes"].as_array().unwrap().contains(&"a linear program".into()), "{object}");
    }
    run(&format!("nlp {file} --method sketch-newton")).fails(1, "use --method interior-point");
    let seven = data("sif/HSX7.SIF");
    let object = run(&format!("nlp {seven} --method sketch-newton --json")).succeeds().json();
    assert_eq!(object["method"], "sketch-newton");
}

#[test]
fn second_derivatives_can_be_done_without() {
    let file = data("sif/HSX78.SIF");
    for (source, note) in [("limited-memory", "BFGS"), ("differences", "differences"), ("exact", "")] {
        let object = run(&format!("nlp {file} --hessian {source} --json")).succeeds().json();
        assert!((number(&object, "objective") + 2.919700409).abs() < 1e-7, "{source}: {object}");
        assert_eq!(object["counts"]["hessian"] == 0, source != "exact", "{source}");
        let notes = object["notes"].to_string();
        assert!(note.is_empty() || notes.contains(note), "{source}: {notes}");
    }
    run(&format!("nlp {file} --hessian none")).fails(2, "possible values: auto, exact");
    run(&format!("nlp {file} --method sketch-newton --hessian limited-memory")).fails(2, "interior-point");
}

#[test]
fn the_text_is_readable_and_the_log_goes_to_standard_error() {
    let file = data("sif/HSX7.SIF");
    let text = run(&format!("nlp {file}")).succeeds().out;
    for line in ["problem      HSX7: 2 variables, 1 constraints", "status       solved to the tolerance"] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
    let logged = run(&format!("nlp {file} --log"));
    assert_eq!(logged.code, Some(0));
    let mut lines = logged.err.lines();
    assert!(lines.next().unwrap().trim_start().starts_with("iter"));
    assert!(lines.next().unwrap().trim_start().starts_with("0 "));
    assert!(lines.count() >= 3);
    let checked = run(&format!("nlp {file} --check-derivatives"));
    assert_eq!(
        checked.err.lines().filter(|line| line.starts_with("derivatives ")).count(),
        3,
        "{}",
        checked.err
    );
}

#[test]
fn stopping_early_has_its_own_exit_code_and_prints_the_answer() {
    let file = data("sif/HSX7.SIF");
    let ran = run(&format!("nlp {file} --max-iterations 1 --json"));
    assert_eq!((ran.code, &ran.json()["status"]), (Some(3), &"iteration_limit".into()));
    let ran = run(&format!("nlp {file} --time-limit 0 --json"));
    assert_eq!((ran.code, &ran.json()["status"]), (Some(3), &"time_limit".into()));
    // the tolerance is that of the certificate
    let loose = run(&format!("nlp {file} --tolerance 1e-2 --json")).succeeds().json();
    assert!(number(&loose, "kkt_error") > 1e-8 && number(&loose, "kkt_error") <= 1e-2);
}

#[test]
fn bad_input_is_refused_with_one_message() {
    let folder = Folder::new();
    run(&format!("nlp {}", folder.path("no.SIF"))).fails(1, "no.SIF: cannot be read");
    let broken = folder.write("broken.SIF", "NAME          X\nNONSENSE\n");
    run(&format!("nlp {broken} --json")).fails(1, "broken.SIF:2:");
    let file = data("sif/HSX7.SIF");
    run(&format!("nlp {file} --method newton"))
        .fails(2, "possible values: auto, sketch-newton, interior-point");
    run(&format!("nlp {file} --inner lu")).fails(2, "possible values: direct");
    run(&format!("nlp {file} --inner-limit 0")).fails(2, "inner-limit");
    run(&format!("nlp {file} --tolerance=-1")).fails(2, "tolerance");
    run(&format!("nlp {file} --param N=3")).fails(1, "no parameter N");
    let short = folder.write("x.txt", "1\n");
    run(&format!("nlp {file} --start {short}")).fails(1, "1 numbers; the point has 2");
    run(&format!("nlp {file} --solution {file}")).fails(2, "overwrite an input");
    run(&format!("nlp {file} --solution {}/no/answer.json", folder.0.display())).fails(1, "answer.json");
    run("nlp").fails(2, "required");
    with_stdin("nlp -", b"").fails(1, "empty");
}

#[test]
fn answers_are_written_and_serve_as_starts() {
    let folder = Folder::new();
    let file = data("sif/HSX39.SIF");
    let (answer, trace, plot) =
        (folder.path("answer.json"), folder.path("trace.csv"), folder.path("plot.svg"));
    run(&format!("nlp {file} --solution {answer} --trace {trace} --plot {plot}")).succeeds();
    let object: Value = serde_json::from_str(&fs::read_to_string(&answer).unwrap()).unwrap();
    assert_eq!(object["x"].as_array().unwrap().len(), 4);
    let rows = super::trace(&trace);
    assert!(rows.len() > 3 && rows[0].contains(&"violation".to_string()), "{:?}", rows[0]);
    let column = |key: &str| {
        let values = object[key].as_array().unwrap().iter();
        values.map(|value| format!("{:e}\n", value.as_f64().unwrap())).collect::<String>()
    };
    let (x, y) = (folder.write("x.txt", column("x")), folder.write("y.txt", column("multipliers")));
    let again = run(&format!("nlp {file} --start {x} --multipliers {y} --json")).succeeds().json();
    assert_eq!(again["iterations"], 0);
}

#[test]
fn sketches_are_seeded_and_independent_of_the_threads() {
    let file = data("sif/HSX7.SIF");
    let solve = |options: &str| {
        let object =
            run(&format!("nlp {file} --inner kaczmarz --tolerance 1e-5 --json {options}")).succeeds().json();
        (number(&object, "objective").to_bits(), object["counts"]["inner_steps"].as_u64())
    };
    assert_eq!(solve("--seed 1 --threads 1"), solve("--seed 1 --threads 2"));
    assert_ne!(solve("--seed 1"), solve("--seed 2"));
}
