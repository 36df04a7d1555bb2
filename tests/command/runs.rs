//! Runs that are limited, interrupted, repeated, or spread over threads.

use std::time::{Duration, Instant};

use super::*;

/// What a run leaves that must not depend on threads or repetition: JSON, trace, model.
fn outcome(folder: &Folder, options: &str) -> (Value, Vec<Vec<String>>, String) {
    let (csv, model) = (folder.path("t.csv"), folder.path("m.json"));
    let ran = run(&format!("fit {options} --json --trace {csv} --model {model}")).succeeds();
    let mut object = ran.json();
    for key in ["seconds", "read_seconds", "threads"] {
        object.as_object_mut().unwrap().remove(key);
    }
    (object, trace(&csv), fs::read_to_string(model).unwrap())
}

#[test]
fn every_number_of_threads_and_every_repetition_gives_the_same_bits() {
    let folder = Folder::new();
    // large enough that products are spread over threads
    let mut text = String::new();
    for i in 0..6000u64 {
        text += if (i * i + i / 7) % 3 == 0 { "1" } else { "-1" };
        for j in 0..40u64 {
            let mixed = (i * 40 + j).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            text += &format!(" {}:{}", j + 1, mixed as f64 / 1e7);
        }
        text += "\n";
    }
    let large = folder.write("large", text);
    for options in [
        format!("{large} --loss logistic --l1-ratio 0.05 --intercept"),
        format!("{large} --loss squared --l2 0.01 --standardize"),
        format!("{} --loss squared-hinge --path 5", data("a1a")),
    ] {
        let one = outcome(&folder, &format!("{options} --threads 1 --seed 3"));
        for threads in [1, 2, 3, 7] {
            let other = outcome(&folder, &format!("{options} --threads {threads} --seed 3"));
            assert_eq!(one, other, "{options} with {threads} threads");
        }
    }
}

#[test]
fn a_path_is_one_run_with_one_trace_and_one_time_limit() {
    let folder = Folder::new();
    let (a1a, csv) = (data("a1a"), folder.path("t.csv"));
    let object = run(&format!("fit {a1a} --loss logistic --path 8 --tolerance 1e-9 --json --trace {csv}"))
        .succeeds()
        .json();
    let points = object["path"].as_array().unwrap();
    assert_eq!(points.len(), 8);
    assert_eq!((number(&points[0], "l1"), number(&points[0], "nonzeros")), (number(&object, "l1_max"), 0.0));
    let ratio = number(&points[7], "l1") / number(&object, "l1_max");
    assert!((ratio - 0.01).abs() < 1e-12 && number(&points[7], "l1") == number(&object, "l1"));
    assert!(points.iter().all(|point| number(point, "certificate") <= 1e-9));
    assert!(points.windows(2).all(|pair| number(&pair[0], "objective") > number(&pair[1], "objective")));
    // each point is what a fit of its own finds
    let alone =
        run(&format!("fit {a1a} --loss logistic --tolerance 1e-9 --json --l1 {}", points[4]["l1"])).json();
    assert!((number(&alone, "objective") - number(&points[4], "objective")).abs() <= 2e-9);
    let rows = trace(&csv);
    assert_eq!(rows[0].last().unwrap(), "l1");
    assert!(rows[1..].iter().enumerate().all(|(k, row)| row[0] == k.to_string()));

    let started = Instant::now();
    let line = format!(
        "fit {a1a} --loss logistic --path 100000 --tolerance 1e-12 --time-limit 0.3 --json --trace {csv}"
    );
    let ran = run(&line);
    let object = ran.json();
    assert_eq!((ran.code, object["status"].as_str()), (Some(3), Some("time_limit")));
    // far from a timed assertion: 100 000 fits of 0.3 s each would take hours
    assert!(started.elapsed() < Duration::from_secs(120));
    assert!(object["path"].as_array().unwrap().len() < 100_000);
}

#[cfg(unix)]
#[test]
fn an_interrupt_gives_the_best_answer_so_far() {
    let folder = Folder::new();
    let (csv, svg, model) = (folder.path("t.csv"), folder.path("t.svg"), folder.path("m.json"));
    for quiet in ["", "--quiet"] {
        let line = format!(
            "fit {} --loss logistic --path 100000 --tolerance 1e-12 --json --trace {csv} --plot {svg} --model {model} {quiet}",
            data("a1a")
        );
        let child = command(&line.split_whitespace().collect::<Vec<_>>())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(130), "{}", ran.err);
        let object = ran.json();
        assert_eq!(object["status"], "interrupted");
        let points = object["path"].as_array().unwrap().len();
        assert!((1..100_000).contains(&points) && number(&object, "objective") > 0.0);
        let rows = trace(&csv);
        assert_eq!(rows.len(), number(&object, "iterations") as usize + points + 1);
        assert!(fs::read_to_string(&svg).unwrap().ends_with("</svg>\n"));
        let saved: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
        assert_eq!(saved["l1"], object["l1"]);
        // what was written while interrupted can be used
        assert_eq!(run(&format!("predict {model} {} --quiet", data("a1a"))).code, Some(0));
    }
    assert_eq!(folder.names(), ["m.json", "t.csv", "t.svg"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_while_reading_ends_at_once() {
    let mut child = command(&["fit", "-", "--loss", "squared"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // the pipe stays open: without an interrupt the command would wait for ever
    let pipe = child.stdin.take();
    std::thread::sleep(Duration::from_millis(500));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    drop(pipe);
    assert_eq!((ran.code, ran.out.as_str()), (Some(130), ""));
}
