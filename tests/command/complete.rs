//! `complete`, and `predict` with its models.

use super::*;

/// Entries of a 30 x 20 matrix of rank two under names, with a header, about two of three.
fn entries(every: usize) -> String {
    let mut text = String::from("user,item,value\n");
    for i in 0..30 {
        for j in 0..20 {
            if (i * i * 7 + j * j * 13 + i * j * 5 + i / 3 + j / 2) % 3 != every {
                text += &format!("u{i},i{j},{}\n", value(i, j));
            }
        }
    }
    text
}

fn value(i: usize, j: usize) -> f64 {
    let (i, j) = (i as f64, j as f64);
    (1.0 + 0.1 * i) * (2.0 - 0.05 * j) + (0.9 * i).sin() * (0.7 * j).cos()
}

#[test]
fn an_exact_matrix_is_completed_and_predicted() {
    let folder = Folder::new();
    let (csv, rest) = (folder.write("a.csv", entries(0)), folder.write("b.csv", entries(1)));
    let (model, trace) = (folder.path("m.json"), folder.path("t.csv"));
    let line = format!(
        "complete {csv} --rank 2 --test {rest} --tolerance 1e-9 --model {model} --trace {trace} --json"
    );
    let object = run(&line).succeeds().json();
    for key in
        ["rows", "columns", "observed", "train_rmse", "test_rmse", "effective_rank", "global_gap", "rank"]
    {
        assert!(object.get(key).is_some(), "{key}");
    }
    assert_eq!((&object["command"], &object["status"]), (&"complete".into(), &"solved".into()));
    assert_eq!((object["rows"].as_u64(), object["columns"].as_u64()), (Some(30), Some(20)));
    assert_eq!(object["observed"].as_u64(), Some(entries(0).lines().count() as u64 - 1));
    assert!(number(&object, "train_rmse") < 1e-7 && number(&object, "test_rmse") < 1e-6, "{object}");
    assert!(number(&object["certificate"], "relative") <= 1e-9);
    let rows = super::trace(&trace);
    assert_eq!(rows[0][3], "rank");
    assert_eq!(rows.len() as u64, 2 + object["iterations"].as_u64().unwrap());
    // positions without values, an unknown name, and the order of the rows is the file's
    let pairs = folder.write("p.csv", "u3,i4\nu29,i19\nnobody,i4\n");
    let predicted = run(&format!("predict {model} {pairs} --quiet")).succeeds();
    let values: Vec<f64> = predicted.out.lines().map(|line| line.parse().unwrap()).collect();
    assert!((values[0] - value(3, 4)).abs() < 1e-6 && (values[1] - value(29, 19)).abs() < 1e-6);
    assert_eq!(values[2], 0.0);
    let object = run(&format!("predict {model} {rest} --json")).succeeds().json();
    assert!(number(&object, "rmse") < 1e-6 && object["unknown"] == 0);
    // the best columns, without those seen
    let top = run(&format!("predict {model} --top 3 --rows u2,u5 --exclude {csv}")).succeeds();
    let lines: Vec<Vec<&str>> = top.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), ["u2", "u2", "u2", "u5", "u5", "u5"]);
    let text = entries(0);
    for line in &lines {
        assert!(!text.contains(&format!("{},{},", line[0], line[1])), "{line:?} was seen");
    }
    run(&format!("predict {model} --top 2 --rows nobody")).fails(1, "no row is named 'nobody'");
    run(&format!("predict {model}")).fails(2, "positions row,column, or --top");
    run(&format!("predict {model} {pairs} --top 2")).fails(2, "leave the second file out");
}

#[test]
fn every_option_runs_and_says_so() {
    let folder = Folder::new();
    let csv = folder.write("a.csv", entries(0));
    for (options, method) in [
        ("--rank 2 --method als-exact", "als-exact"),
        ("--rank 2 --method als-cg --inner-tolerance 0.01", "als-cg"),
        ("--rank 2 --method als-sketch --sketch-ratio 3", "als-sketch"),
        ("--rank 3 --ridge 0.01 --holdout 0.1 --seed 3", "als"),
        ("--rank 3 --ridge 0.05 --ridge-kind uniform --bias none", "als"),
        ("--rank 2 --loss huber --test-every 10", "als"),
        ("--rank 2 --loss absolute --tolerance 1e-4", "als"),
        ("--rank 2 --nonnegative --ridge 0.001 --tolerance 1e-4", "als"),
        ("--rank 3 --implicit --alpha 2 --ridge 0.1 --tolerance 1e-4", "als"),
        ("--rank auto --max-rank 4 --validation 0.1", "als"),
        ("--rank 2 --ridge auto", "als"),
        ("--rank 2 --start staged --single --tolerance 1e-5", "als"),
        ("--rank 2 --start random --trim", "als"),
    ] {
        let csv = if options.contains("implicit") {
            folder.write("c.csv", "a,x,1\na,y,2\nb,x,3\nb,z,1\nc,y,5\nc,z,2\n")
        } else {
            csv.clone()
        };
        let ran = run(&format!("complete {csv} {options} --json --quiet"));
        assert!(ran.code == Some(0) || ran.code == Some(3), "{options}: {:?} {}", ran.code, ran.err);
        let object = ran.json();
        assert_eq!(object["method"], method, "{options}");
        assert!(number(&object, "train_rmse").is_finite());
        let has_test = options.contains("holdout") || options.contains("test-every");
        assert_eq!(object["test_rmse"].is_null(), !has_test, "{options}");
        assert_eq!(object["ridge_trials"].is_null(), !options.contains("ridge auto"));
    }
    let text = run(&format!("complete {csv} --rank 2 --holdout 0.1")).succeeds().out;
    for word in ["data ", "status ", "certificate ", "rank ", "fit ", "test "] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_with_the_same_bits() {
    let folder = Folder::new();
    let csv = folder.write("a.csv", entries(0));
    let (whole, resumed, state) = (folder.path("w.json"), folder.path("r.json"), folder.path("state.json"));
    let line = format!("complete {csv} --rank 3 --ridge 0.01 --tolerance 1e-7");
    run(&format!("{line} --model {whole}")).succeeds();
    let stopped = run(&format!("{line} --max-iterations 4 --checkpoint {state} --checkpoint-seconds 0"));
    assert_eq!(stopped.code, Some(3));
    run(&format!("{line} --checkpoint {state} --resume --model {resumed}")).succeeds();
    assert_eq!(fs::read(whole).unwrap(), fs::read(resumed).unwrap());
    run(&format!("{line} --seed 9 --checkpoint {state} --resume")).fails(1, "other data or other options");
    let broken = folder.write("broken.json", "{\"progress\": 3");
    run(&format!("{line} --checkpoint {broken} --resume")).fails(1, "not a checkpoint");
}

#[test]
fn a_model_is_the_start_of_another_run() {
    let folder = Folder::new();
    let (csv, model) = (folder.write("a.csv", entries(0)), folder.path("m.json"));
    run(&format!("complete {csv} --rank 2 --tolerance 1e-8 --model {model}")).succeeds();
    let object =
        run(&format!("complete {csv} --rank 2 --tolerance 1e-6 --init {model} --json")).succeeds().json();
    assert!(object["iterations"].as_u64().unwrap() <= 2, "{object}");
}

#[test]
fn bad_input_is_refused_by_name() {
    let folder = Folder::new();
    let csv = folder.write("a.csv", entries(0));
    let twice = folder.write("twice.csv", "anna,film,3\nben,film,4\nanna,film,5\nben,book,1\n");
    run(&format!("complete {twice} --rank 1")).fails(1, "row 'anna', column 'film': more than one value");
    run(&format!("complete {twice} --rank 1 --ridge 0.1 --duplicates mean --json")).succeeds();
    let weights = folder.write("w.csv", "a,x,3,1\nb,x,4,-2\n");
    run(&format!("complete {weights} --rank 1 --weights")).fails(1, "row 'b', column 'x': the weight is -2");
    run(&format!("complete {csv} --rank 1 --weights")).fails(1, "3 fields");
    let broken = folder.write("broken.csv", "a,x,3\nb,y,four\n");
    run(&format!("complete {broken} --rank 1")).fails(1, "broken.csv:2:5");
    let nan = folder.write("nan.csv", "a,x,3\nb,y,nan\n");
    run(&format!("complete {nan} --rank 1")).fails(1, "nan.csv:2");
    let empty = folder.write("empty.csv", "");
    run(&format!("complete {empty} --rank 1")).fails(1, "empty");
    run(&format!("complete {}", folder.path("missing.csv"))).fails(1, "missing.csv");
    run(&format!("complete {csv} --rank 21")).fails(1, "between 1 and 20");
    run(&format!("complete {csv} --rank 19")).fails(1, "a smaller rank or a ridge");
    for (options, words) in [
        ("--rank 0", "--rank is 0"),
        ("--rank two", "--rank is two"),
        ("--ridge -1", "--ridge is -1"),
        ("--ridge nan", "--ridge is nan"),
        ("--holdout 1.5", "--holdout is 1.5"),
        ("--holdout 0", "--holdout is 0"),
        ("--test-every 1", "at least 2"),
        ("--tolerance nan", "tolerance"),
        ("--validation 2", "validation share"),
        ("--inner-tolerance 2", "inner tolerance"),
        ("--method als-sketch --sketch-ratio 0", "sketch"),
    ] {
        let options =
            if options.contains("--rank") { options.to_string() } else { format!("--rank 2 {options}") };
        run(&format!("complete {csv} {options}")).fails(2, words);
    }
    run(&format!("complete {csv} --rank 2 --model {csv}")).fails(2, "overwrite an input");
    let not_a_model = folder.write("m.json", "{}");
    run(&format!("complete {csv} --rank 2 --init {not_a_model}")).fails(1, "not a model file");
    let mtx = "%%MatrixMarket matrix coordinate real general\n3 3 5\n1 1 2\n1 2 4\n2 1 3\n2 2 6\n3 1 1\n";
    let mtx = folder.write("a.mtx", mtx);
    let object = run(&format!("complete {mtx} --rank 1 --ridge 0.001 --bias none --json")).succeeds().json();
    assert_eq!((object["rows"].as_u64(), object["observed"].as_u64()), (Some(3), Some(5)));
}
