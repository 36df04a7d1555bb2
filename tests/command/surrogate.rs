//! `gradus fit --method surrogate`.

use super::*;

const FIT: [&str; 8] = ["rows", "columns", "nonzeros", "l1", "l1_max", "l2", "accuracy", "path"];

#[test]
fn fits_agree_with_those_of_the_coordinate_method() {
    let heart = data("heart_scale");
    for options in [
        "--loss logistic --l2 0.01 --intercept",
        "--loss squared --l2 0.1",
        "--loss huber --l2 0.1 --standardize",
    ] {
        let fit = |method: &str| {
            run(&format!("fit {heart} {options} --method {method} --tolerance 1e-10 --json"))
                .succeeds()
                .json()
        };
        let (ours, other) = (fit("surrogate"), fit("coordinate"));
        let (a, b) = (number(&ours, "objective"), number(&other, "objective"));
        assert!((a - b).abs() <= 1e-9 * b.abs(), "{options}: {a} {b}");
        assert_eq!(ours["method"], "surrogate");
        assert_eq!(ours["status"], "solved");
        assert_eq!(ours["certificate"]["kind"], "duality_gap");
        for key in FIT {
            assert!(ours.get(key).is_some(), "no key '{key}'");
        }
        assert!(ours["counts"]["oracle_calls"].as_u64().unwrap() > 0);
    }
}

#[test]
fn batches_run_their_epochs_and_report_their_calls() {
    let a1a = data("a1a");
    for algorithm in [
        "auto",
        "surrogate",
        "population",
        "population-svrg",
        "population-saga",
        "aggregated",
        "refreshed-svrg",
        "sgd",
        "sls",
        "adagrad",
        "adam",
        "svrg",
    ] {
        let ran = run(&format!(
            "fit {a1a} --loss logistic --method surrogate --algorithm {algorithm} --batch 100 --epochs 3 --json"
        ));
        let object = ran.json();
        // three epochs end before the tolerance: the answer is printed all the same
        assert_eq!((ran.code, object["status"].as_str()), (Some(3), Some("iteration_limit")), "{algorithm}");
        let calls = match algorithm {
            "svrg" => 3 * 48,
            "population-svrg" | "refreshed-svrg" => 2 * 48,
            _ => 48,
        };
        assert_eq!(object["counts"]["oracle_calls"], calls, "{algorithm}");
        assert!(number(&object, "objective") < 0.69, "{algorithm}");
    }
}

#[test]
fn models_predict_and_priced_calls_are_added_up() {
    let folder = Folder::new();
    let (heart, saved) = (data("heart_scale"), folder.path("m.json"));
    let fit = format!(
        "fit {heart} --loss logistic --l2 0.01 --intercept --method surrogate --model {saved} --oracle-price 2 --json"
    );
    let object = run(&fit).succeeds().json();
    let calls = object["counts"]["oracle_calls"].as_u64().unwrap() as f64;
    let priced = number(&object, "priced_seconds");
    assert!((priced - number(&object, "seconds") - 2.0 * calls).abs() < 1e-9);
    let predicted = run(&format!("predict {saved} {heart} --json")).succeeds().json();
    assert_eq!(predicted["accuracy"], object["accuracy"]);
    let text = run(&format!("fit {heart} --loss logistic --l2 0.01 --method surrogate")).succeeds();
    assert!(text.out.contains("oracle calls") && text.out.contains("duality gap"), "{}", text.out);
}

#[test]
fn a_run_goes_on_from_its_checkpoint() {
    let folder = Folder::new();
    let (a1a, state) = (data("a1a"), folder.path("state.json"));
    let fit = format!(
        "fit {a1a} --loss logistic --method surrogate --algorithm aggregated --batch 100 --epochs 6 --json"
    );
    let straight = run(&fit).json();
    run(&format!("{fit} --max-iterations 2 --checkpoint {state}")).json();
    let resumed = run(&format!("{fit} --resume {state} --checkpoint {state}")).json();
    assert_eq!(resumed["objective"], straight["objective"]);
    assert_eq!(resumed["counts"]["oracle_calls"], straight["counts"]["oracle_calls"]);
    run(&format!("{fit} --seed 9 --resume {state}")).fails(1, "another run");
    // a vector that lost an entry is noticed, whatever the options say
    let mut damaged: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    damaged["table"].as_array_mut().unwrap().pop();
    let damaged = folder.write("damaged.json", damaged.to_string());
    run(&format!("{fit} --resume {damaged}")).fails(1, "damaged");
    let torn = folder.write("torn.json", "{\"theta\": [1");
    run(&format!("{fit} --resume {torn}")).fails(1, "not a checkpoint");
    run(&format!("{fit} --resume {}", folder.path("absent"))).fails(1, "absent");
}

#[test]
fn contradictions_are_refused_before_any_work() {
    let heart = data("heart_scale");
    for (options, words) in [
        ("--l1 0.1", "--l1 needs --method coordinate"),
        ("--path 3", "--method coordinate"),
        ("--rule gs", "--method coordinate"),
        ("--batch 0", "0 samples"),
        ("--algorithm surrogate --inner-steps 0", "at least 1 inner step"),
        ("--algorithm surrogate --eta 0", "eta is 0"),
        ("--eta 1", "--algorithm surrogate"),
        ("--algorithm exact --rate 1", "--rate needs"),
        ("--algorithm exact --batch 10", "all samples at once"),
        ("--algorithm adam --rate -1", "rate is -1"),
        ("--oracle-price -1", "--oracle-price is -1"),
        ("--certificate gap", "l2 > 0"),
    ] {
        run(&format!("fit {heart} --loss logistic --method surrogate {options}")).fails(2, words);
    }
    run(&format!("fit {heart} --loss logistic --batch 10")).fails(2, "--batch needs --method surrogate");
    run(&format!("fit {heart} --loss poisson --method surrogate")).fails(1, "not negative");
}
