//! Every example runs to its end and says what it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The features that this test was built with.
const FEATURES: [(&str, bool); 5] = [
    ("default", cfg!(feature = "default")),
    ("cli", cfg!(feature = "cli")),
    ("plot", cfg!(feature = "plot")),
    ("nalgebra", cfg!(feature = "nalgebra")),
    ("argmin", cfg!(feature = "argmin")),
];

/// The folder of the examples, which are built as this test was: `cargo test --test examples` alone does not build them.
fn examples() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let build = test.parent().and_then(Path::parent).unwrap();
        let profile = match build.file_name().and_then(|name| name.to_str()).unwrap() {
            "debug" => "dev",
            other => other,
        };
        let features: Vec<&str> = FEATURES.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--examples", "--profile", profile])
            .args(["--no-default-features", "--features", &features.join(",")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "the examples cannot be built");
        build.join("examples")
    })
}

/// What an example prints.
fn run(name: &str) -> String {
    let program = examples().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(program).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// An example's words, after it was seen to say all of these.
fn says(name: &str, facts: &[&str]) -> String {
    let text = run(name);
    facts.iter().for_each(|fact| assert!(text.contains(fact), "{name} does not say '{fact}':\n{text}"));
    text
}

/// The numbers in a line or a text, in order.
fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| c.is_whitespace() || "[](),;:".contains(c))
        .filter_map(|word| word.parse().ok())
        .collect()
}

const SOLVED: &str = "solved to the tolerance";

#[test]
fn linear_models_and_systems() {
    says("lasso", &["coefficients are not zero"]);
    says("relaxation", &["omega by formula"]);
    says("surrogate", &["calls"]);
}

#[test]
fn a_noisy_disc_is_cleaned() {
    says("graph", &[SOLVED, "pixels on the wrong side of one half: 0 of 1600"]);
}

#[test]
fn programs_from_closures_a_control_problem_and_a_file_are_solved() {
    let text = says("constrained", &["from its own answer: 0 iterations"]);
    assert_eq!(text.matches(SOLVED).count(), 3, "{text}");
    // x + y = 1 - z leaves x^2 + 2 y^2 >= 2/3 (1 - z)^2: the largest root of 2/3 (1 - z)^2 + 3 z^2 = 6
    let highest = (4.0 + 720f64.sqrt()) / 22.0;
    let line = text.lines().find(|line| line.starts_with("highest")).unwrap();
    assert!((numbers(line)[2] - highest).abs() < 1e-9, "{line}: {highest}");
    says("interior_point", &["second order", "radius"]);
}

#[test]
fn the_cost_without_entropy_is_enclosed_ever_more_closely() {
    let text = run("transport");
    assert_eq!(text.matches(SOLVED).count(), 4, "{text}");
    let intervals: Vec<Vec<f64>> =
        text.lines().filter(|line| line.starts_with("unregularised")).map(numbers).collect();
    for pair in intervals.windows(2) {
        assert!(pair[0][0] <= pair[1][0] && pair[1][0] <= pair[1][1] && pair[1][1] <= pair[0][1], "{pair:?}");
    }
    assert_eq!(intervals.len(), 4);
}

#[test]
fn the_one_book_that_is_left_is_not_for_her() {
    let text = says("completion", &[SOLVED, "best for anna"]);
    let line = text.lines().last().unwrap();
    // one who loves crime and not poems
    assert!(line.ends_with("essays") && numbers(line)[0] < 2.0, "{line}");
}

#[test]
fn better_patterns_lower_the_optimum() {
    let text = run("relu");
    assert_eq!(text.matches(SOLVED).count(), 2, "{text}");
    let found = numbers(text.lines().last().unwrap());
    let [right, rows, refined, sampled] = found[..] else { panic!("{text}") };
    assert!(refined < sampled && right > 0.9 * rows, "{found:?}");
}

#[test]
fn a_loss_and_a_penalty_of_ones_own_are_certified() {
    let text = run("own_loss");
    assert_eq!(text.lines().count(), 3);
    assert!(text.lines().all(|line| line.contains("duality_gap") && line.contains("solved")), "{text}");
}

#[test]
fn a_program_of_ones_own_finds_the_die_of_largest_entropy() {
    // Jaynes' figures, rounded
    let chances = "[0.0544, 0.0788, 0.1142, 0.1654, 0.2398, 0.3475]";
    says("own_program", &["differences: true", "solved", chances, "second order sufficient"]);
}

#[test]
fn a_target_model_of_ones_own_is_fitted() {
    says("own_target", &["solved", "gradient", "factors"]);
}

#[test]
fn a_stream_of_systems_is_solved_and_learned_from() {
    let text = run("stream");
    assert!(text.contains("300 systems of 60 unknowns, 0 unsolved"), "{text}");
    let sweeps = |end: &str| -> f64 {
        let line = text.lines().find(|line| line.ends_with(end)).unwrap();
        line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    };
    assert!(sweeps("in the last") < sweeps("in the first third"), "{text}");
}

#[test]
fn a_path_is_chosen_from_and_warm_starts_save_work() {
    let text = run("path");
    let numbers: Vec<u32> = text
        .lines()
        .find(|line| line.starts_with("warm"))
        .unwrap()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(text.contains("chosen l1") && numbers[0] < numbers[1], "{text}");
}

#[test]
fn other_crates_are_understood() {
    if cfg!(feature = "nalgebra") {
        says("nalgebra", &["solved"]);
    }
    if cfg!(feature = "argmin") {
        says("argmin", &["solved", "argmin sees the same value: true"]);
    }
}
