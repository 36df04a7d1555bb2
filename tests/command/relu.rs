//! The command `relu`.

use super::*;

const RELU: [&str; 6] = [
    "patterns",
    "network_objective",
    "convex_objective",
    "cone_violation",
    "train_accuracy",
    "test_accuracy",
];

fn heart(options: &str) -> Ran {
    run(&format!("relu {} --standardize --bias --test-every 5 {options}", data("heart_scale")))
}

#[test]
fn every_way_of_training_prints_the_same_keys() {
    for options in [
        "--patterns 8 --beta 1",
        "--patterns 8 --beta 1 --loss logistic --method interior-point",
        "--patterns 8 --beta 1 --loss hinge",
        "--patterns 8 --beta 0.01 --average --loss cross-entropy",
        "--patterns 8 --beta 1 --method gated",
        "--patterns 50 --beta 1 --method sampled",
        "--patterns 4 --beta 5 --refine --starts 1 --rounds 2 --tolerance 1e-4",
        "--patterns 6 --beta 5 --path 3 --validation-every 4",
    ] {
        let object = heart(&format!("{options} --seed 1 --threads 2 --json")).succeeds().json();
        for key in RELU.iter().chain(&["status", "certificate", "counts", "seed", "threads", "objective"]) {
            assert!(object.get(key).is_some(), "{options}: {key}");
        }
        assert_eq!((&object["command"], &object["status"]), (&"relu".into(), &"solved".into()), "{options}");
        assert_eq!((object["rows"].as_u64(), object["columns"].as_u64()), (Some(216), Some(13)));
        assert!(number(&object, "train_accuracy") > 0.5 && number(&object, "test_accuracy") > 0.5);
        assert!(object["certificate"]["kind"].is_string(), "{options}");
        if !object["convex_objective"].is_null() {
            let (convex, network) =
                (number(&object, "convex_objective"), number(&object, "network_objective"));
            assert!((convex - network).abs() <= 1e-9 * network, "{options}");
        }
    }
}

#[test]
fn a_sampled_optimum_is_never_called_global_and_a_complete_one_is() {
    let ran = heart("--patterns 8 --beta 1").succeeds();
    assert!(ran.out.contains("optimal for its patterns") && !ran.out.contains("global"), "{}", ran.out);
    let folder = Folder::new();
    let text: String = (0..40).map(|i| format!("{} 1:{}\n", i % 2, f64::from(i * 7 % 11) - 4.0)).collect();
    let file = folder.write("one", text);
    let ran = run(&format!("relu {file} --beta 0.5 --bias --all-patterns")).succeeds();
    assert!(ran.out.contains("globally optimal") && ran.out.contains("global gap"), "{}", ran.out);
    run(&format!("relu {} --beta 1 --all-patterns", data("heart_scale"))).fails(2, "rank");
}

#[test]
fn a_saved_network_predicts_what_training_reported() {
    let folder = Folder::new();
    let model = folder.path("net.json");
    for options in [
        "--patterns 8 --beta 1",
        "--patterns 8 --beta 1 --method gated",
        "--beta 1 --loss hinge --robust 0.01 --tolerance 0.5",
    ] {
        let line =
            format!("relu {} --standardize --bias {options} --model {model} --json", data("heart_scale"));
        let trained = run(&line).succeeds().json();
        let predicted = run(&format!("predict {model} {} --json", data("heart_scale"))).succeeds().json();
        assert_eq!(trained["train_accuracy"], predicted["accuracy"], "{options}");
    }
    // a network file whose numbers do not fit is refused
    let text = fs::read_to_string(&model).unwrap();
    let broken = folder.write("broken.json", text.replacen("\"output\": [", "\"output\": [1.0, ", 1));
    run(&format!("predict {broken} {}", data("heart_scale"))).fails(1, "hidden neurons");
}

#[test]
fn robust_training_reports_attacks() {
    let object = heart("--beta 1 --loss hinge --robust 0.02 --patterns 20 --tolerance 0.3 --json").json();
    assert_eq!(object["method"], "robust");
    let robust = &object["robust"];
    let (fgsm, pgd, certified) = (number(robust, "fgsm"), number(robust, "pgd"), number(robust, "certified"));
    assert!(
        certified <= pgd + 1e-12 && pgd <= fgsm + 0.05 && fgsm <= number(&object, "train_accuracy") + 1e-12
    );
    assert!(robust["test_pgd"].is_number());
}

#[test]
fn wrong_usage_and_bad_data_are_named() {
    let folder = Folder::new();
    let heart = data("heart_scale");
    run(&format!("relu {heart}")).fails(2, "--beta");
    for beta in ["0", "-1", "nan", "inf"] {
        run(&format!("relu {heart} --beta {beta}")).fails(2, "--beta is");
    }
    run(&format!("relu {heart} --beta 1 --patterns 0")).fails(2, "--patterns is 0");
    run(&format!("relu {heart} --beta 1 --robust -0.5")).fails(2, "--robust is -0.5");
    run(&format!("relu {heart} --beta 1 --path 1")).fails(2, "--path is 1");
    run(&format!("relu {heart} --beta 1 --test-every 1")).fails(2, "--test-every");
    run(&format!("relu {heart} --beta 1 --loss hinge --regression")).fails(2, "--regression");
    run(&format!("relu {heart} --beta 1 --validation-every 3")).fails(2, "--path");
    run("relu missing --beta 1").fails(1, "missing");
    let one_class = folder.write("one_class", "1 1:1\n1 1:2\n");
    run(&format!("relu {one_class} --beta 1 --loss hinge")).fails(1, "1 distinct labels");
    let three = folder.write("three", "1 1:1\n2 1:2\n3 1:4\n");
    run(&format!("relu {three} --beta 1 --loss logistic")).fails(1, "3 distinct labels");
    // the squared loss takes any targets
    let object = run(&format!("relu {three} --beta 0.001 --bias --json")).json();
    assert!(object["train_accuracy"].is_null() && number(&object, "train_rmse") < 0.1);
    let empty = folder.write("empty", "");
    assert_eq!(run(&format!("relu {empty} --beta 1")).code, Some(1));
}

#[test]
fn limits_end_with_an_answer() {
    let folder = Folder::new();
    let csv = folder.path("t.csv");
    for (option, status) in [("--max-iterations 3", "iteration_limit"), ("--time-limit 0", "time_limit")] {
        let ran = heart(&format!("--beta 1 --patterns 8 {option} --json --trace {csv}"));
        let object = ran.json();
        assert_eq!((ran.code, object["status"].as_str()), (Some(3), Some(status)), "{option}");
        assert!(number(&object, "network_objective").is_finite());
        assert!(!trace(&csv).is_empty());
    }
}
