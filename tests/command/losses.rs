//! Softmax, hinge, groups, weights, cross-validation and graphs on the command line.

use super::*;

/// Three classes from two features, every fifth row a class of its own label.
fn classes(folder: &Folder) -> String {
    let row = |i: usize| {
        let label = [3, 1, 7][i % 3];
        let (x, y) =
            ([1.0, -1.0, 0.2][i % 3] + (i as f64).sin(), [0.5, 0.0, -1.5][i % 3] + (i as f64 * 1.7).cos());
        format!("{label} 1:{x} 2:{y}\n")
    };
    folder.write("classes", (0..90).map(row).collect::<String>())
}

#[test]
fn softmax_models_are_fitted_saved_and_applied() {
    let folder = Folder::new();
    let (file, path) = (classes(&folder), folder.path("m.json"));
    for options in
        ["--l2 0.01", "--l1-ratio 0.1", "--l2 0.01 --intercept", "--l1 0.01 --l2 0.01 --bias --standardize"]
    {
        let ran = run(&format!("fit {file} --loss softmax {options} --tolerance 1e-9 --json --model {path}"));
        assert_eq!(ran.code, Some(0), "{options}: {}", ran.err);
        let object = ran.json();
        assert_eq!(
            (&object["status"], &object["certificate"]["kind"]),
            (&"solved".into(), &"duality_gap".into())
        );
        assert_eq!(object["classes"], serde_json::json!([1.0, 3.0, 7.0]));
        let accuracy = number(&object, "accuracy");
        assert!(accuracy > 0.6, "{options}: {accuracy}");
        let predicted = run(&format!("predict {path} {file} --json --quiet")).json();
        assert_eq!(number(&predicted, "accuracy"), accuracy, "{options}");
        let labels = predicted["predictions"].as_array().unwrap();
        assert!(labels.iter().all(|label| [1.0, 3.0, 7.0].contains(&label.as_f64().unwrap())));
        // the label is the class of the largest score
        let scores = run(&format!("predict {path} {file} --json --quiet --scores")).json();
        for (row, label) in scores["predictions"].as_array().unwrap().iter().zip(labels) {
            let row: Vec<f64> = row.as_array().unwrap().iter().map(|z| z.as_f64().unwrap()).collect();
            let best = (0..3).fold(0, |best, c| if row[c] > row[best] { c } else { best });
            assert_eq!([1.0, 3.0, 7.0][best], label.as_f64().unwrap());
        }
        assert_eq!(
            run(&format!("predict {path} {file} --quiet --scores"))
                .out
                .lines()
                .next()
                .unwrap()
                .split(' ')
                .count(),
            3
        );
    }
    let held = run(&format!("fit {file} --loss softmax --l2 0.01 --test-every 4 --json")).json();
    assert!(number(&held, "test_accuracy") > 0.5);
    let path = run(&format!("fit {file} --loss softmax --path 6 --cv 4 --json")).json();
    let points = path["path"].as_array().unwrap();
    assert_eq!(points.len(), 6);
    assert!(
        points.iter().all(|point| point["held_out_loss"].is_number() && point["held_out_error"].is_number())
    );
}

#[test]
fn cross_validation_answers_with_the_best_value_of_the_path() {
    let folder = Folder::new();
    let model = folder.path("m.json");
    let line = format!(
        "fit {} --loss logistic --path 15 --cv 5 --seed 3 --json --model {model}",
        data("heart_scale")
    );
    let object = run(&line).json();
    let points = object["path"].as_array().unwrap();
    let loss = |k: usize| points[k]["held_out_loss"].as_f64().unwrap();
    let best = (0..15).fold(0, |best, k| if loss(k) < loss(best) { k } else { best });
    assert_eq!(object["l1"], points[best]["l1"]);
    assert_eq!(object["nonzeros"], points[best]["nonzeros"]);
    assert_eq!(object["objective"], points[best]["objective"]);
    assert!(number(&object, "l1_one_error") >= number(&object, "l1"));
    // the saved model is the chosen one
    let file: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    assert_eq!(file["l1"], object["l1"]);
    assert_eq!(run(&line).json()["path"], object["path"]);
    assert!(run(&line.replace("--json", "")).out.contains("within one standard error"));
}

#[test]
fn hinge_machines_and_their_predictions() {
    let folder = Folder::new();
    let model = folder.path("m.json");
    let heart = data("heart_scale");
    let object =
        run(&format!("fit {heart} --loss hinge --c 1 --bias --tolerance 1e-9 --json --model {model}")).json();
    assert_eq!((&object["status"], &object["loss"]), (&"solved".into(), &"hinge".into()));
    assert!((number(&object, "l2") - 1.0 / 270.0).abs() < 1e-15 && object["l1_max"].is_null());
    let predicted = run(&format!("predict {model} {heart} --json --quiet")).json();
    assert_eq!(predicted["accuracy"], object["accuracy"]);
    for (options, words) in [
        ("", "needs --l2 or --c"),
        ("--l2 0.1 --intercept", "--bias"),
        ("--l2 0.1 --l1 0.1", "no l1"),
        ("--l2 0.1 --path 5", "no path"),
        ("--l2 0.1 --rule gs", "solver of its own"),
    ] {
        run(&format!("fit {heart} --loss hinge {options}")).fails(2, words);
    }
}

#[test]
fn groups_weights_offsets_and_boxes_come_from_files_and_options() {
    let folder = Folder::new();
    let (heart, model) = (data("heart_scale"), folder.path("m.json"));
    let groups = folder.write("groups", "0\n0\n0\n5\n5\n5\n9\n9\n9\n2\n2\n2\n2\n");
    let object =
        run(&format!("fit {heart} --loss logistic --groups {groups} --l1-ratio 0.5 --json --model {model}"))
            .json();
    assert_eq!(object["status"], "solved");
    let file: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    let used: Vec<u64> = file["indices"].as_array().unwrap().iter().map(|j| j.as_u64().unwrap()).collect();
    for group in [[0, 1, 2].as_slice(), &[3, 4, 5], &[6, 7, 8], &[9, 10, 11, 12]] {
        let inside = group.iter().filter(|j| used.contains(j)).count();
        assert!(inside == 0 || inside == group.len(), "{used:?}");
    }
    // a weight of two is the row twice
    let text = fs::read_to_string(&heart).unwrap();
    let doubled: String = text
        .lines()
        .enumerate()
        .flat_map(|(i, line)| std::iter::repeat_n(format!("{line}\n"), 1 + i % 2))
        .collect();
    let weights: String = (0..270).map(|i| format!("{}\n", 1 + i % 2)).collect();
    let (doubled, weights) = (folder.write("doubled", doubled), folder.write("weights", weights));
    let once =
        run(&format!("fit {heart} --loss logistic --l1 0.02 --weights {weights} --tolerance 1e-10 --json"))
            .json();
    let twice = run(&format!("fit {doubled} --loss logistic --l1 0.02 --tolerance 1e-10 --json")).json();
    assert!((number(&once, "objective") - number(&twice, "objective")).abs() < 1e-10);
    // a constant offset is an intercept that is given
    let offsets = folder.write("offsets", "0.25\n".repeat(270));
    let shifted = run(&format!(
        "fit {heart} --loss squared --l1 0.02 --intercept --offsets {offsets} --json --tolerance 1e-10"
    ))
    .json();
    let plain =
        run(&format!("fit {heart} --loss squared --l1 0.02 --intercept --json --tolerance 1e-10")).json();
    assert!((number(&shifted, "intercept") + 0.25 - number(&plain, "intercept")).abs() < 1e-6);
    // penalty weights of zero leave a feature unpenalised
    let factors = folder.write("factors", format!("0\n{}", "1\n".repeat(12)));
    let object = run(&format!(
        "fit {heart} --loss squared --l1-ratio 0.9 --penalty-weights {factors} --json --model {model}"
    ))
    .json();
    let file: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    assert_eq!((&file["indices"][0], &object["certificate"]["kind"]), (&0.into(), &"gradient".into()));
    run(&format!("fit {heart} --loss squared --l2 0.01 --box=-0.1,0.2 --json --model {model}")).json();
    let file: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    assert!(
        file["coefficients"].as_array().unwrap().iter().all(|x| (-0.1..=0.2).contains(&x.as_f64().unwrap()))
    );
    for (options, code, words) in [
        ("--loss squared --box 1,-1".into(), 2, "LOWER,UPPER"),
        ("--loss squared --c -1".into(), 2, "--c is -1"),
        ("--loss squared --cv 1".into(), 2, "at least 2"),
        (format!("--loss squared --weights {groups}"), 1, "270 rows"),
        (format!("--loss squared --penalty-weights {weights}"), 1, "13 features"),
        (format!("--loss squared --groups {groups} --l2 1"), 2, "--groups"),
        (format!("--loss softmax --weights {weights}"), 2, "softmax"),
    ] {
        run(&format!("fit {heart} {options}")).fails(code, words);
    }
}

#[test]
fn labels_spread_over_a_graph_by_every_method() {
    let folder = Folder::new();
    // a ladder of 2 x 6 nodes
    let mut edges = Vec::new();
    for i in 1..=6 {
        edges.push((i + 6, i));
        (i < 6).then(|| edges.extend([(i + 1, i), (i + 7, i + 6)]));
    }
    let lines: String = edges.iter().map(|(i, j)| format!("{i} {j} 1.5\n")).collect();
    let banner = "%%MatrixMarket matrix coordinate real symmetric";
    let graph = folder.write("ladder.mtx", format!("{banner}\n12 12 {}\n{lines}", edges.len()));
    let labels = folder.write("labels", "1,1\n12,-1\n");
    let mut all = Vec::new();
    for method in ["greedy-tree", "tree-partition", "red-black", "reduced-cg", "cg"] {
        let ran = run(&format!("graph {graph} --labels {labels} --method {method} --tolerance 1e-11 --json"));
        assert_eq!(ran.code, Some(0), "{method}: {}", ran.err);
        let object = ran.json();
        assert_eq!(object["method"], method);
        let values: Vec<f64> =
            object["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        // each free node is the mean of its neighbours
        for node in (1..=12).filter(|node| ![1, 12].contains(node)) {
            let near: Vec<usize> = edges
                .iter()
                .filter_map(|&(i, j)| {
                    if i == node {
                        Some(j)
                    } else if j == node {
                        Some(i)
                    } else {
                        None
                    }
                })
                .collect();
            let mean = near.iter().map(|&j| values[j - 1]).sum::<f64>() / near.len() as f64;
            assert!((mean - values[node - 1]).abs() < 1e-9, "{method}");
        }
        all.push(number(&object, "objective"));
    }
    assert!(all.iter().all(|f| (f - all[0]).abs() < 1e-10));
    let apart = folder.write("apart", "1,1\n13,2\n");
    run(&format!("graph {graph} --labels {apart}"))
        .fails(1, "apart: label 2 of node 13 (from 1): the node must be there");
    // messages count nodes as the files do
    let (first, head) =
        (folder.write("first", "1,1\n"), "%%MatrixMarket matrix coordinate real symmetric\n3 3");
    let pair = folder.write("pair.mtx", format!("{head} 1\n2 1 1\n"));
    let negative = folder.write("negative.mtx", format!("{head} 2\n2 1 1\n3 2 -4\n"));
    for method in ["greedy-tree", "reduced-cg"] {
        let line = |edges: &str| format!("graph {edges} --labels {first} --method {method}");
        run(&line(&pair)).fails(1, "pair.mtx: node 3 (from 1) is connected to no labelled node");
        run(&line(&negative)).fails(1, "negative.mtx: the weight of edge (2, 3) (from 1) is -4");
    }
    run(&format!("graph {graph} --labels {labels} --method nonsense")).fails(2, "reduced-cg");
}
