//! What every command promises: exit codes, one JSON object, the result alone on standard output.

use super::*;

const ALWAYS: [&str; 12] = [
    "command",
    "method",
    "status",
    "iterations",
    "seconds",
    "read_seconds",
    "objective",
    "certificate",
    "counts",
    "seed",
    "threads",
    "version",
];

pub fn has_keys(object: &Value, keys: &[&str]) {
    for key in ALWAYS.iter().chain(keys) {
        assert!(object.get(key).is_some(), "no key '{key}' in {object}");
    }
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
    assert!(object["counts"].is_object() && object["status"].is_string());
}

const FIT: [&str; 8] = ["rows", "columns", "nonzeros", "l1", "l1_max", "l2", "accuracy", "path"];

#[test]
fn json_objects_have_every_key_whatever_the_options() {
    let heart = data("heart_scale");
    for options in [
        "--loss squared",
        "--loss logistic --l1-ratio 0.1",
        "--loss huber --l2 1 --path 3",
        "--loss squared-hinge --l2 1",
    ] {
        let ran = run(&format!("fit {heart} {options} --json --seed 7 --threads 2")).succeeds();
        let object = ran.json();
        has_keys(&object, &FIT);
        assert_eq!((&object["command"], &object["status"]), (&"fit".into(), &"solved".into()));
        assert_eq!((object["seed"].as_u64(), object["threads"].as_u64()), (Some(7), Some(2)));
        assert_eq!((object["rows"].as_u64(), object["columns"].as_u64()), (Some(270), Some(13)));
        for key in ["kind", "value", "relative"] {
            assert!(!object["certificate"][key].is_null());
        }
        let classifies = options.contains("logistic") || options.contains("hinge");
        assert_eq!(object["accuracy"].is_null(), !classifies);
        let points = object["path"].as_array().map(Vec::len);
        assert_eq!(points, options.contains("--path").then_some(3));
    }
}

#[test]
fn commands_that_do_not_solve_print_the_same_keys() {
    let folder = Folder::new();
    let (heart, model) = (data("heart_scale"), folder.path("model.json"));
    let (csv, svg) = (folder.path("t.csv"), folder.path("t.svg"));
    run(&format!("fit {heart} --loss logistic --l2 0.1 --model {model} --trace {csv}")).succeeds();
    let predicted = run(&format!("predict {model} {heart} --json --threads 1")).succeeds().json();
    has_keys(&predicted, &["rows", "accuracy", "predictions"]);
    has_keys(&run(&format!("plot {csv} --out {svg} --json")).succeeds().json(), &["out", "traces"]);
    let reproduced =
        run(&format!("reproduce coordinate --out {} --json", folder.path("r"))).succeeds().json();
    has_keys(&reproduced, &["runs", "report"]);
    assert_eq!(reproduced["status"], "solved");
}

#[test]
fn exit_codes_say_how_a_run_ended() {
    let folder = Folder::new();
    let (a1a, csv, model) = (data("a1a"), folder.path("t.csv"), folder.path("m.json"));
    let fit = format!("fit {a1a} --loss logistic --l1-ratio 0.001 --json");
    assert_eq!(run(&fit).code, Some(0));
    for (option, status) in [
        ("--max-iterations 1", "iteration_limit"),
        ("--max-iterations 0", "iteration_limit"),
        ("--time-limit 0", "time_limit"),
        ("--tolerance 0", "stalled"),
    ] {
        let ran = run(&format!("{fit} {option} --trace {csv} --model {model}"));
        let object = ran.json();
        // rounding may find an exact zero; every other end is short of the tolerance
        if object["status"] == "solved" {
            assert_eq!((option, number(&object["certificate"], "value")), ("--tolerance 0", 0.0));
            continue;
        }
        assert_eq!((ran.code, object["status"].as_str()), (Some(3), Some(status)), "{option}");
        assert!(number(&object, "objective").is_finite());
        let rows = trace(&csv);
        assert_eq!(rows.last().unwrap()[0], object["iterations"].to_string());
        assert!(fs::read_to_string(&model).unwrap().trim_end().ends_with('}'));
    }
    run("fit").fails(2, "required");
    run("fit missing --loss squared").fails(1, "missing");
    run("nonsense").fails(2, "nonsense");
}

#[test]
fn text_is_short_and_the_streams_are_kept_apart() {
    let ran = run(&format!("fit {} --loss logistic --l1-ratio 0.1", data("heart_scale"))).succeeds();
    for word in ["method", "status", "objective", "certificate", "work", "time", "non-zeros", "training"] {
        assert_eq!(ran.out.lines().filter(|line| line.starts_with(word)).count(), 1, "{word}: {}", ran.out);
    }
    assert!(ran.out.lines().count() <= 12 && ran.out.lines().all(|line| line.len() < 110), "{}", ran.out);
    // no progress bar and no colour in a pipe
    assert!(!ran.out.contains('\x1b') && !ran.out.contains('\r'));
}

#[test]
fn broken_pipes_do_not_panic() {
    let folder = Folder::new();
    let (a1a, model) = (data("a1a"), folder.path("m.json"));
    run(&format!("fit {a1a} --loss logistic --l2 0.1 --model {model}")).succeeds();
    for line in [
        format!("predict {model} {a1a}"),
        format!("fit {a1a} --loss logistic --path 2000 --json"),
        "completions bash".into(),
        "fit --help".into(),
    ] {
        let mut child = command(&line.split_whitespace().collect::<Vec<_>>())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert!(!ran.err.contains("panicked") && !ran.err.contains("error"), "{line}: {}", ran.err);
        assert!(ran.code.is_some());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        command(&["fit", &data("heart_scale"), "--loss", "squared"]).stdout(full()).output().unwrap();
    let ran = Ran::from(output);
    ran.fails(1, "standard output");
}
