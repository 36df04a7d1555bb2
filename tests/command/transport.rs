//! `gradus transport`: keys, files, exit codes, refusals.

use super::*;
use gradus::read::image::Image;

const OWN: [&str; 4] = ["transport_cost", "dual_objective", "marginal_error", "regularization"];
fn object(ran: Ran) -> Value {
    let object = ran.json();
    contract::has_keys(&object, &OWN);
    assert_eq!(object["command"], "transport");
    object
}

/// Two small clouds, and the same problem as a matrix of costs.
fn clouds(folder: &Folder) -> (String, String, String) {
    let point = |k: usize| (((k * 37) % 11) as f64 / 11.0, ((k * 53) % 13) as f64 / 13.0);
    let (x, y): (Vec<_>, Vec<_>) = ((0..9).map(point).collect(), (20..32).map(point).collect());
    let text =
        |points: &[(f64, f64)]| points.iter().map(|p| format!("{},{}\n", p.0, p.1)).collect::<String>();
    let mut costs = String::new();
    for p in &x {
        let row: Vec<String> =
            y.iter().map(|q| format!("{}", (p.0 - q.0).powi(2) + (p.1 - q.1).powi(2))).collect();
        costs += &(row.join(",") + "\n");
    }
    (folder.write("x.csv", text(&x)), folder.write("y.csv", text(&y)), folder.write("cost.csv", costs))
}

#[test]
fn points_and_their_costs_have_one_answer_whatever_the_method() {
    let folder = Folder::new();
    let (x, y, cost) = clouds(&folder);
    let options = "--regularization 0.02 --tolerance 1e-9 --json";
    let reference = object(run(&format!("transport --points {x} {y} {options}")).succeeds());
    assert_eq!(reference["status"], "solved");
    assert_eq!(number(&reference, "regularization"), 0.02);
    assert!(number(&reference, "marginal_error") <= 1e-9);
    let certificate = &reference["certificate"];
    assert_eq!(certificate["kind"], "duality_gap");
    assert!(number(certificate, "value") >= -1e-13 && number(certificate, "value") <= 1e-8);
    for method in [
        "auto",
        "sinkhorn",
        "sinkhorn --form log",
        "sinkhorn --form kernel --scaling",
        "newton-sparse",
        "safe-newton",
        "low-rank",
    ] {
        let other = object(run(&format!("transport --cost {cost} --method {method} {options}")));
        if method != "low-rank" {
            assert_eq!(other["status"], "solved", "{method}");
        }
        for key in ["transport_cost", "dual_objective", "objective"] {
            assert!((number(&other, key) - number(&reference, key)).abs() < 1e-7, "{method} {key}");
        }
    }
    let relative = object(run(&format!("transport --cost {cost} --regularization 0.05 --relative --json")));
    let most = fs::read_to_string(&cost)
        .unwrap()
        .split([',', '\n'])
        .filter_map(|w| w.parse::<f64>().ok())
        .fold(0.0, f64::max);
    assert!((number(&relative, "regularization") - 0.05 * most).abs() < 1e-15);
}

#[test]
fn plans_maps_and_potentials_are_written() {
    let folder = Folder::new();
    let (x, y, _) = clouds(&folder);
    let [dense, sparse, map, potentials] = ["p.npy", "p.mtx", "m.csv", "f.csv"].map(|name| folder.path(name));
    let line = format!("transport --points {x} {y} --regularization 0.02 --tolerance 1e-10");
    run(&format!("{line} --plan {dense} --map {map} --potentials {potentials}")).succeeds();
    run(&format!("{line} --plan {sparse}")).succeeds();
    let plan = gradus::read::dense(&dense).unwrap();
    assert_eq!((plan.rows, plan.columns), (9, 12));
    for i in 0..9 {
        let sum: f64 = (0..12).map(|j| plan.values[i + 9 * j]).sum();
        assert!((sum - 1.0 / 9.0).abs() < 1e-15);
    }
    for j in 0..12 {
        let sum: f64 = plan.values[9 * j..9 * (j + 1)].iter().sum();
        assert!((sum - 1.0 / 12.0).abs() < 1e-15);
    }
    let gradus::read::matrix_market::Matrix::Sparse(entries) =
        gradus::read::matrix_market::read(&sparse).unwrap().matrix
    else {
        panic!()
    };
    assert!(entries.iter().all(|(&p, (i, j))| (p - plan.values[i as usize + 9 * j as usize]).abs() < 1e-10));
    let moved = gradus::read::dense(&map).unwrap();
    assert_eq!((moved.rows, moved.columns), (9, 2));
    assert_eq!(gradus::read::dense(&potentials).unwrap().rows, 21);
}

#[test]
fn images_masses_and_forbidden_arcs_are_read() {
    let folder = Folder::new();
    let picture = |name: &str, rows: usize, columns: usize, channels: usize, shift: usize| {
        let values = (0..rows * columns * channels).map(|k| ((k + shift) % 7) as f64 / 7.0).collect();
        let mut file = Vec::new();
        Image { rows, columns, channels, values }.write_png(&mut file).unwrap();
        folder.write(name, file)
    };
    let (a, b) = (picture("a.png", 8, 9, 1, 0), picture("b.png", 7, 6, 3, 3));
    for metric in ["sqeuclidean", "euclidean", "manhattan"] {
        let line =
            format!("transport --images {a} {b} --metric {metric} --regularization 0.01 --relative --json");
        let object = object(run(&line).succeeds());
        assert_eq!((object["rows"].as_u64(), object["columns"].as_u64()), (Some(72), Some(42)));
    }
    let black = folder.write("black.png", {
        let mut file = Vec::new();
        Image { rows: 2, columns: 2, channels: 1, values: vec![0.0; 4] }.write_png(&mut file).unwrap();
        file
    });
    run(&format!("transport --images {a} {black} --regularization 1")).fails(1, "black");
    // what a sparse matrix does not store is forbidden
    let band = folder
        .write("band.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 3\n1 1 0\n1 2 1\n2 2 0\n");
    let source = folder.write("s.csv", "0.75\n0.25\n");
    let line =
        format!("transport --cost {band} --source {source} --regularization 0.1 --tolerance 1e-9 --json");
    let solved = run(&line).json();
    // a quarter of the mass has to cross at cost 1
    let lower = solved["exact_cost"][0].as_f64().unwrap();
    assert!(lower <= 0.25 + 1e-9 && lower > 0.0, "{solved}");
    let plan = folder.path("plan.mtx");
    run(&format!(
        "transport --cost {band} --source {source} --regularization 0.1 --tolerance 1e-9 --plan {plan}"
    ));
    let text = fs::read_to_string(&plan).unwrap();
    assert!(!text.lines().any(|line| line.starts_with("2 1 ")), "{text}");
    // mass 0.75 cannot leave through an arc that holds 0.5 at most
    let target = folder.write("t.csv", "0.9\n0.1\n");
    let ran = run(&format!(
        "transport --cost {band} --source {source} --target {target} --regularization 0.1 --json"
    ));
    assert_eq!((ran.code, ran.json()["status"].as_str()), (Some(3), Some("infeasible")));
}

#[test]
fn traces_limits_and_threads_behave() {
    let folder = Folder::new();
    let (csv, svg) = (folder.path("t.csv"), folder.path("t.svg"));
    let line = "transport --instance points-150 --regularization 1e-3 --tolerance 1e-9";
    let outcome = |threads: usize| {
        let ran = run(&format!("{line} --json --threads {threads} --trace {csv} --plot {svg}")).succeeds();
        let mut object = object(ran);
        for key in ["seconds", "read_seconds", "threads"] {
            object.as_object_mut().unwrap().remove(key);
        }
        (object, trace(&csv))
    };
    let one = outcome(1);
    assert_eq!(one, outcome(2));
    assert_eq!(one.1[0][3..], ["stage_eps", "stage", "step_size", "kept_entries", "cg_steps"]);
    assert!(fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    for (option, status) in [("--max-iterations 2", "iteration_limit"), ("--time-limit 0", "time_limit")] {
        for method in ["auto", "sinkhorn", "safe-newton", "low-rank", "newton-sparse"] {
            let ran = run(&format!("{line} --method {method} {option} --json"));
            assert_eq!((ran.code, ran.json()["status"].as_str()), (Some(3), Some(status)), "{method}");
        }
    }
    let text = run(line).succeeds().out;
    for word in
        ["problem", "method", "status", "objective", "certificate", "transport", "marginals", "exact cost"]
    {
        assert_eq!(text.lines().filter(|l| l.starts_with(word)).count(), 1, "{word}: {text}");
    }
}

#[test]
fn bad_input_and_wrong_usage_are_named_and_leave_nothing_behind() {
    let folder = Folder::new();
    let (x, y, cost) = clouds(&folder);
    let before = folder.names();
    let plan = folder.path("plan.npy");
    let bad = |name: &str, content: &[u8]| folder.write(name, content);
    let negative = bad("negative.csv", b"0.5\n-0.5\n1\n0\n0\n0\n0\n0\n0\n");
    let short = bad("short.csv", b"0.5\n0.5\n");
    let heavy = bad("heavy.csv", b"1\n1\n1\n1\n1\n1\n1\n1\n1\n");
    let zero = bad("zero.csv", b"0\n0\n0\n0\n0\n0\n0\n0\n0\n");
    let wide = bad("wide.csv", b"1,2,3\n4,5,6\n");
    let word = bad("word.csv", b"1,2\n3,x\n");
    let text = bad("text.png", b"hello");
    for (options, words) in [
        (format!("--cost {cost} --source {negative}"), "negative.csv: mass 2 (from 1) of the source is -0.5"),
        (format!("--cost {cost} --source {short}"), "short.csv: masses of the source: 2; 9 would fit"),
        (format!("--cost {cost} --source {heavy}"), "normalise"),
        (format!("--cost {cost} --source {zero}"), "sum to zero"),
        (format!("--points {x} {wide}"), "3 coordinates"),
        (format!("--points {x} {word}"), "word.csv:2:"),
        (format!("--images {text} {text}"), "PNG"),
        ("--cost nowhere.npy".to_string(), "nowhere.npy"),
    ] {
        run(&format!("transport {options} --regularization 0.1 --plan {plan}")).fails(1, words);
    }
    let heavy_but_normalised =
        format!("transport --cost {cost} --source {heavy} --normalize --regularization 0.1");
    run(&heavy_but_normalised).succeeds();
    for (options, words) in [
        (format!("--cost {cost}"), "--regularization"),
        ("--regularization 1".to_string(), "--cost"),
        (format!("--cost {cost} --points {x} {y} --regularization 1"), "cannot be used with"),
        (format!("--cost {cost} --regularization 0"), "must be positive"),
        (format!("--cost {cost} --regularization -1"), "must be positive"),
        (format!("--cost {cost} --regularization 1 --plan plan.txt"), "the ending must be"),
        (format!("--cost {cost} --regularization 1 --map m.csv"), "--points"),
        (format!("--cost {cost} --regularization 1 --relaxation 3"), "relaxation is 3"),
        ("--instance nothing-5 --regularization 1".to_string(), "known are"),
        (format!("--cost {cost} --regularization 1 --tolerance nan"), "tolerance"),
    ] {
        run(&format!("transport {options}")).fails(2, words);
    }
    let made: Vec<String> = folder.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(made.len(), 7, "only the inputs: {made:?}");
}
