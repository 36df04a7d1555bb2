//! Every example runs to its end and says what it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

/// Runs an example that was built beside this test; none where it was not (a feature is off).
fn run(name: &str, arguments: &[&str]) -> Option<String> {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        println!("skipped: {name} was not built");
        return None;
    }
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

fn says(name: &str, facts: &[&str]) {
    if let Some(text) = run(name, &[]) {
        facts.iter().for_each(|fact| assert!(text.contains(fact), "{name} does not say '{fact}':\n{text}"));
    }
}

#[test]
fn one_of_each_method() {
    says("lasso", &["coefficients are not zero"]);
    says("graph", &[]);
    says("constrained", &[]);
    says("interior_point", &["second order", "radius"]);
    says("transport", &[]);
    says("completion", &[]);
    says("relaxation", &["omega by formula"]);
    says("relu", &[]);
    says("surrogate", &["calls"]);
}

#[test]
fn a_loss_and_a_penalty_of_ones_own_are_certified() {
    if let Some(text) = run("own_loss", &[]) {
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.contains("duality_gap") && line.contains("solved")), "{text}");
    }
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
    let Some(text) = run("stream", &[]) else { return };
    assert!(text.contains("300 systems of 60 unknowns, 0 unsolved"), "{text}");
    let sweeps = |end: &str| -> f64 {
        let line = text.lines().find(|line| line.ends_with(end)).unwrap();
        line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    };
    assert!(sweeps("in the last") < sweeps("in the first third"), "{text}");
}

#[test]
fn a_path_is_chosen_from_and_warm_starts_save_work() {
    let Some(text) = run("path", &[]) else { return };
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
    says("nalgebra", &["solved"]);
    says("argmin", &["solved", "argmin sees the same value: true"]);
}
