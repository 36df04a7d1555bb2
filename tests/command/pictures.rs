//! Plots, the report, help and completions.

use super::*;

fn traces(folder: &Folder) -> Vec<String> {
    [0.5, 0.1, 0.01]
        .iter()
        .map(|ratio| {
            let csv = folder.path(&format!("run-{ratio}.csv"));
            let line = format!(
                "fit {} --loss logistic --l1-ratio {ratio} --tolerance 1e-10 --trace {csv}",
                data("a1a")
            );
            run(&line).succeeds();
            csv
        })
        .collect()
}

#[test]
fn traces_become_pictures() {
    let folder = Folder::new();
    let all = traces(&folder).join(" ");
    for y in ["objective", "certificate", "gap"] {
        for x in ["iterations", "seconds"] {
            let (svg, png) = (folder.path("a.svg"), folder.path("a.png"));
            assert_eq!(run(&format!("plot {all} --x {x} --y {y} --out {svg}")).succeeds().out, "");
            run(&format!("plot {all} --x {x} --y {y} --out {png}")).succeeds();
            let text = fs::read_to_string(svg).unwrap();
            assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
            // a legend with every trace
            assert!(["run-0.5", "run-0.1", "run-0.01"].iter().all(|name| text.contains(name)));
            let bytes = fs::read(png).unwrap();
            assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"IEND\xaeB`\x82"));
        }
    }
    let counted = folder
        .write("c.csv", "iteration,seconds,objective,certificate,evaluations\n0,0,2,1,1\n1,0.1,1,0.1,5\n");
    run(&format!("plot {counted} --x evaluations --out {}", folder.path("c.svg"))).succeeds();
    run(&format!("plot {all} --x evaluations --out {}", folder.path("d.svg")))
        .fails(1, "no column 'evaluations'");
    assert!(!folder.names().contains(&"d.svg".to_string()));
}

#[test]
fn bad_traces_are_refused() {
    let folder = Folder::new();
    let head = "iteration,seconds,objective,certificate\n";
    for (text, words) in [
        (String::new(), "empty"),
        (head.into(), "no records"),
        ("a,b\n1,2\n".into(), ":1:"),
        (format!("{head}0,0,1\n"), ":2:"),
        (format!("{head}0,0,1,1\n1,x,1,1\n"), ":3:"),
        (format!("{head}0,0,1,nan\n"), "no point"),
    ] {
        let csv = folder.write("bad.csv", text);
        run(&format!("plot {csv} --out {}", folder.path("p.svg"))).fails(1, words);
    }
    run(&format!("plot {}", folder.path("gone.csv"))).fails(1, "gone.csv");
    run(&format!("plot {} --out x.pdf", folder.path("bad.csv"))).fails(2, ".svg or .png");
    run("plot").fails(2, "required");
    let good = folder.write("good.csv", format!("{head}0,0,1,1\n1,0,0.5,0\n"));
    run(&format!("plot {good} --out {}", folder.path("no/p.svg"))).fails(1, "p.svg");
    run(&format!("plot {good} --out {}", folder.path("p.svg"))).succeeds();
    let many = [good.as_str()].repeat(31).join(" ");
    run(&format!("plot {many} --out {}", folder.path("q.svg"))).fails(1, "too many");
    assert_eq!(folder.names(), ["bad.csv", "good.csv", "p.svg"]);
}

#[test]
fn reproduce_fills_a_folder_and_its_commands_repeat_the_figures() {
    let folder = Folder::new();
    let out = folder.path("deep/report");
    let object = run(&format!("reproduce coordinate --out {out} --json")).succeeds().json();
    let fits = object["runs"].as_array().unwrap();
    let names: Vec<String> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".csv")).count(), fits.len());
    let page = fs::read_to_string(format!("{out}/index.html")).unwrap();
    assert!(page.ends_with("</html>\n") && !page.contains("<script"));
    let commands: Vec<&str> = page
        .lines()
        .flat_map(|line| line.split("<pre>"))
        .filter_map(|line| line.strip_prefix("gradus "))
        .collect();
    assert_eq!(commands.len(), fits.len());
    for (line, fit) in commands.iter().zip(fits) {
        let repeated = run(&format!("{} --json", line.trim_end_matches("</pre>"))).succeeds().json();
        assert_eq!(repeated["objective"], fit["objective"], "{line}");
        assert!(number(&fit["certificate"], "relative") <= 1e-10);
    }
    let file = folder.write("file", "");
    run(&format!("reproduce --out {file}")).fails(1, "file");
    run("reproduce nothing").fails(2, "coordinate");
}

#[test]
fn help_has_examples_and_every_example_is_understood() {
    assert!(run("--help").succeeds().out.contains("fit"));
    assert!(run("--version").succeeds().out.contains(env!("CARGO_PKG_VERSION")));
    for name in ["fit", "predict", "nlp", "plot", "reproduce", "completions"] {
        let help = run(&format!("{name} --help")).succeeds().out;
        let examples: Vec<&str> =
            help.lines().filter_map(|line| line.trim().strip_prefix("gradus ")).collect();
        assert!(!examples.is_empty() && help.contains("Usage:"), "{help}");
        for example in examples {
            let words: Vec<&str> = example.split(['|', '>']).next().unwrap().split_whitespace().collect();
            let folder = Folder::new();
            // run where none of the files is: only wrong usage would end with 2
            let output = command(&words).current_dir(&folder.0).output().unwrap();
            assert_ne!(output.status.code(), Some(2), "{example}");
        }
    }
}

#[test]
fn completions_are_scripts_that_the_shells_accept() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = run(&format!("completions {shell}")).succeeds().out;
        assert!(script.contains("gradus") && script.contains("l1-ratio"));
        let folder = Folder::new();
        let path = folder.write("script", script);
        match Command::new(shell).args([check, &path]).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => println!("skipped: no {shell} here"),
        }
    }
    run("completions korn").fails(2, "korn");
}
