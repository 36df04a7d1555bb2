//! Model files and label files after mutation: used or refused with one clear line, never a panic.

use super::*;

#[path = "../common/mutate.rs"]
mod mutate;

use mutate::Mutator;

const JSON: &[&str] = &[
    "null",
    "[]",
    "{}",
    "true",
    "[",
    "]",
    ",",
    ":",
    "0.0",
    "[0.0]",
    "\"\"",
    "\"x\"",
    "-1",
    "4294967295",
    "\"softmax\"",
    "\"squared\"",
    "\"hinge\"",
    "[1.0,2.0]",
];

/// Runs a command on mutations of a file, whose name stands for FILE in the line. `GRADUS_FUZZ_COMMANDS` sets how many.
fn hostile(seed: u64, kept: Vec<Vec<u8>>, tokens: &'static [&'static str], line: &str) {
    let cases = std::env::var("GRADUS_FUZZ_COMMANDS").map_or(60, |text| text.parse().unwrap());
    let folder = Folder::new();
    let mut mutator = Mutator::new(seed, kept, tokens);
    for _ in 0..cases {
        let input = mutator.case();
        let path = folder.write("hostile", &input);
        let ran = run(&line.replace("FILE", &path));
        let told = || format!("{line}\n{:?}\n{}{}", String::from_utf8_lossy(&input), ran.out, ran.err);
        assert!(!ran.err.contains("panicked"), "{}", told());
        match ran.code {
            Some(0 | 3) => assert!(!ran.out.is_empty(), "{}", told()),
            Some(1) => {
                let words = ran.err.strip_prefix("error: ").unwrap_or_default().trim_end();
                assert!(words.contains("hostile") && !words.contains(char::is_control), "{}", told());
                assert_eq!(ran.out, "", "{}", told());
            }
            _ => panic!("{:?}: {}", ran.code, told()),
        }
    }
}

fn written(folder: &Folder, line: &str) -> Vec<u8> {
    let path = folder.path("model.json");
    let ran = run(&format!("{line} --quiet --model {path}"));
    assert!(matches!(ran.code, Some(0 | 3)), "{line}\n{}", ran.err);
    fs::read(path).unwrap()
}

#[test]
fn linear_models() {
    let (folder, few) = (Folder::new(), Folder::new());
    let rows = few.write(
        "rows",
        "1 1:1 2:0.5\n2 1:-1 3:2\n3 2:1\n1 3:-1 1:0.25\n".replace("3:-1 1:0.25", "1:0.25 3:-1"),
    );
    let two = few.write("two", "1 1:1 2:0.5\n-1 1:-1 3:2\n-1 2:1\n");
    let kept = vec![
        written(&folder, &format!("fit {two} --loss logistic --l2 0.1 --intercept")),
        written(&folder, &format!("fit {rows} --loss softmax --l2 0.1 --intercept")),
        written(&folder, &format!("fit {rows} --loss squared --l1 0.01")),
        written(&folder, &format!("relu {two} --beta 0.01 --patterns 8 --loss logistic --bias")),
    ];
    hostile(1, kept, JSON, &format!("predict FILE {rows} --quiet"));
}

#[test]
fn low_rank_models() {
    let folder = Folder::new();
    let ratings = folder.write("ratings", "a,x,1\na,y,2\nb,x,3\nb,y,1\nc,x,2\nc,z,1\nb,z,4\n");
    let kept = vec![
        written(&folder, &format!("complete {ratings} --rank 1 --ridge 0.1")),
        written(&folder, &format!("complete {ratings} --rank 1 --ridge 0.1 --bias both")),
    ];
    hostile(2, kept.clone(), JSON, &format!("predict FILE {ratings} --quiet"));
    hostile(3, kept, JSON, "predict FILE --top 2 --quiet");
}

#[test]
fn labels_and_edges_of_graphs() {
    let folder = Folder::new();
    let edges = "%%MatrixMarket matrix coordinate real symmetric\n4 4 4\n2 1 1\n3 2 0.5\n4 3 2\n4 1 1\n";
    let labels = "1,-1\n3,0.5\n";
    let (good_edges, good_labels) = (folder.write("edges.mtx", edges), folder.write("labels.csv", labels));
    hostile(
        4,
        vec![labels.into()],
        &[",", "\n", "1,1\n", "4,", "5,", "0,", "2,nan\n"],
        &format!("graph {good_edges} --labels FILE"),
    );
    let tokens = &["\n", "1 2 -1\n", "general", "symmetric", "pattern", "5 5 1\n", "1 1 1\n"];
    hostile(5, vec![edges.into()], tokens, &format!("graph FILE --labels {good_labels}"));
}

#[test]
fn starting_points_weights_and_costs() {
    let folder = Folder::new();
    let rows = folder.write("rows", "1 1:1 2:0.5\n-1 1:-1 3:2\n-1 2:1\n");
    let numbers = "1\n0.5\n2\n";
    let tokens = &["\n", ",", "-1", "nan", "0", "1e308", "1\n1\n1\n"];
    hostile(6, vec![numbers.into()], tokens, &format!("fit {rows} --loss logistic --l2 0.1 --weights FILE"));
    hostile(
        7,
        vec![numbers.into()],
        tokens,
        &format!("fit {rows} --loss logistic --l1 0.01 --l2 0.1 --penalty-weights FILE"),
    );
    hostile(
        8,
        vec!["1,2,0.5\n0.1,0.2,3\n".into()],
        tokens,
        "transport --cost FILE --regularization 0.1 --max-iterations 200",
    );
}
