//! Bad input and wrong usage: one clear message, nothing half-written.

use super::*;

#[test]
fn bad_data_are_refused_with_file_and_line() {
    let folder = Folder::new();
    let empty = folder.write("empty", "");
    let cases: [(&str, &[u8], &str); 15] = [
        ("word", b"1 1:1\nhello\n", "word:2:"),
        ("nan", b"1 1:1\n-1 1:nan\n", "nan:2:"),
        ("nanlabel", b"nan 1:1\n1 1:2\n", "nanlabel:1:"),
        ("huge", b"1 1:1\n-1 1:1e400\n", "huge:2:"),
        ("inf", b"1 1:inf\n-1 1:1\n", "inf:1:"),
        ("zero", b"1 0:1\n-1 1:1\n", "zero:1:"),
        ("down", b"1 2:1 1:1\n-1 1:1\n", "down:1:"),
        ("twice", b"1 1:1 1:1\n-1 1:1\n", "twice:1:"),
        ("index", b"1 99999999999999999999:1\n-1 1:1\n", "index:1:"),
        ("colon", b"1 1:\n-1 1:1\n", "colon:1:"),
        ("blank", b"\n\n\n", "no rows"),
        ("features", b"1\n-1\n", "feature"),
        ("binary", &[0, 159, 146, 150, 10, 255, 0], "binary:1:"),
        ("one", b"1 1:1\n1 1:2\n", "1 distinct label"),
        ("three", b"1 1:1\n2 1:2\n3 1:1\n", "3 distinct labels"),
    ];
    for (name, content, words) in cases {
        let path = folder.write(name, content);
        let (model, csv, svg) = (folder.path("m.json"), folder.path("t.csv"), folder.path("p.svg"));
        let files = format!("--model {model} --trace {csv} --plot {svg}");
        run(&format!("fit {path} --loss logistic --l2 0.1 {files}")).fails(1, words);
    }
    run(&format!("fit {empty} --loss squared")).fails(1, "empty");
    run(&format!("fit {} --loss squared", folder.path("nowhere"))).fails(1, "nowhere");
    run(&format!("fit {} --loss squared", folder.0.display())).fails(1, "directory");
    with_stdin("fit - --loss squared", b"").fails(1, "standard input");
    with_stdin("fit - --loss squared", b"1 1:1\nx\n").fails(1, "standard input:2:");
    // nothing but the inputs is there
    assert_eq!(folder.names().len(), cases.len() + 1, "{:?}", folder.names());
}

#[test]
fn windows_lines_comments_and_compression_change_nothing() {
    let plain = fs::read(data("heart_scale")).unwrap();
    let folder = Folder::new();
    let text = String::from_utf8(plain.clone()).unwrap();
    let windows = folder.write("windows", text.replace('\n', "\r\n"));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&plain).unwrap();
    let gz = folder.write("heart.gz", gz.finish().unwrap());
    let objective = |ran: Ran| number(&ran.succeeds().json(), "objective");
    let options = "--loss logistic --l1-ratio 0.05 --json";
    let expected = objective(run(&format!("fit {} {options}", data("heart_scale"))));
    assert_eq!(objective(run(&format!("fit {windows} {options}"))), expected);
    assert_eq!(objective(run(&format!("fit {gz} {options}"))), expected);
    assert_eq!(objective(with_stdin(&format!("fit - {options}"), &plain)), expected);
    assert_eq!(objective(with_stdin(&format!("fit - {options}"), &fs::read(&gz).unwrap())), expected);
    for (tool, ending) in [("xz", "xz"), ("zstd", "zst")] {
        let Ok(output) = Command::new(tool).args(["-c", &data("heart_scale")]).output() else {
            println!("skipped: no {tool} here");
            continue;
        };
        let packed = folder.write(&format!("heart.{ending}"), &output.stdout);
        assert_eq!(objective(run(&format!("fit {packed} {options}"))), expected, "{tool}");
        let half = folder.write(&format!("half.{ending}"), &output.stdout[..output.stdout.len() / 2]);
        run(&format!("fit {half} {options}")).fails(1, "truncated");
    }
    let half = folder.write("half.gz", &fs::read(&gz).unwrap()[..1000]);
    run(&format!("fit {half} {options}")).fails(1, "truncated");
}

#[test]
fn wrong_usage_is_told_from_bad_data() {
    let heart = data("heart_scale");
    for (options, words) in [
        ("", "--loss"),
        ("--loss squard", "squard"),
        ("--loss exponential", "possible values"),
        ("--loss logistic --method bundle", "possible values"),
        ("--loss logistic --l1 -1", "--l1 is -1"),
        ("--loss logistic --l1 nan", "--l1 is NaN"),
        ("--loss logistic --l1 1e400", "--l1 is inf"),
        ("--loss logistic --l2 -0.5", "--l2 is -0.5"),
        ("--loss logistic --l1-ratio 1.5", "--l1-ratio is 1.5"),
        ("--loss logistic --l1 1 --l1-ratio 0.1", "cannot be used with"),
        ("--loss logistic --tolerance nan", "--tolerance is NaN"),
        ("--loss logistic --tolerance=-1", "--tolerance is -1"),
        ("--loss logistic --threads 0", "--threads is 0"),
        ("--loss logistic --threads 1000000", "--threads is 1000000"),
        ("--loss logistic --time-limit nan", "--time-limit is NaN"),
        ("--loss logistic --time-limit=-1", "--time-limit is -1"),
        ("--loss logistic --max-iterations 1.5", "--max-iterations"),
        ("--loss logistic --seed -1", "-1"),
        ("--loss logistic --path 0", "--path is 0"),
        ("--loss logistic --path 99999999999", "--path is 99999999999"),
        ("--loss logistic --path 5 --l1 0", "cannot end at l1 = 0"),
        ("--loss logistic --path 5 --l1 100", "runs down from l1_max"),
        ("--loss logistic --center", "--center"),
        ("--loss poisson --center", "--center"),
        ("--loss huber --huber-delta 0", "--huber-delta is 0"),
        ("--loss logistic --certificate gap", "duality gap needs"),
        ("--loss logistic --test-every 1", "--test-every"),
        ("--loss logistic --test x --test-every 3", "cannot be used with"),
        ("--loss logistic --plot a.gif", ".svg or .png"),
    ] {
        run(&format!("fit {heart} {options}")).fails(2, words);
    }
    run("fit - --loss squared --test -").fails(2, "only once");
    run("predict - -").fails(2, "only once");
    run(&format!("fit {heart} --loss logistic --test-every 271")).fails(1, "would hold out none");
    run(&format!("fit {heart} --loss poisson")).fails(1, "data row 2 is -1");
}

#[test]
fn outputs_are_checked_before_the_work_and_never_overwrite_an_input() {
    let folder = Folder::new();
    let copy = folder.write("copy", fs::read(data("heart_scale")).unwrap());
    let fit = format!("fit {copy} --loss logistic --l2 0.1");
    for option in ["--model", "--trace", "--plot"] {
        let ending = if option == "--plot" { ".svg" } else { "" };
        run(&format!("{fit} {option} {}", folder.path(&format!("no/where{ending}")))).fails(1, "where");
        if option != "--plot" {
            run(&format!("{fit} {option} {}", folder.0.display())).fails(1, "this is a directory");
            run(&format!("{fit} {option} {copy}")).fails(2, "overwrite");
        }
    }
    let same = folder.path("same");
    run(&format!("{fit} --model {same} --trace {same}")).fails(2, "same file");
    // a good file beside a bad one is not written either
    run(&format!("{fit} --model {same} --trace {}", folder.path("no/t.csv"))).fails(1, "t.csv");
    assert_eq!(folder.names(), ["copy"]);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(data("heart_scale")).unwrap());
    assert_eq!(run(&format!("{fit} --model /dev/null --trace /dev/null")).code, Some(0));
}

#[test]
fn a_huge_index_in_a_small_file_costs_no_memory() {
    let folder = Folder::new();
    let path = folder.write("wide", "1 1:1 4294967294:2\n-1 2:1\n1 1:3\n");
    let model = folder.path("m.json");
    let object =
        run(&format!("fit {path} --loss logistic --l1-ratio 0.1 --json --model {model}")).succeeds().json();
    assert_eq!(object["columns"].as_u64(), Some(4294967294));
    let saved: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    let largest = saved["indices"].as_array().unwrap().last().unwrap().as_u64();
    assert!(largest <= Some(4294967293) && saved["columns"].as_u64() == Some(4294967294));
    let labels = run(&format!("predict {model} {path} --quiet")).succeeds().out;
    assert_eq!(labels, "1\n-1\n1\n");
}

#[test]
fn hostile_model_files_are_refused() {
    let folder = Folder::new();
    let (heart, good) = (data("heart_scale"), folder.path("good.json"));
    run(&format!("fit {heart} --loss logistic --l2 0.1 --model {good}")).succeeds();
    let model: Value = serde_json::from_slice(&fs::read(&good).unwrap()).unwrap();
    let changed = |key: &str, value: Value| {
        let mut model = model.clone();
        model[key] = value;
        model.to_string()
    };
    let cases = [
        (String::new(), "empty"),
        ("{".into(), "not a model file"),
        ("[]".into(), "not a model file"),
        ("{}".into(), "not a model file"),
        ("[".repeat(100_000), "not a model file"),
        (model.to_string().replace("\"intercept\":0.0", "\"intercept\":1e999"), "not a model file"),
        (changed("format", "other".into()), "format"),
        (changed("version", 2.into()), "version"),
        (changed("surprise", 1.into()), "surprise"),
        (changed("columns", 3.into()), "beyond the 3 columns"),
        (changed("columns", (1u64 << 40).into()), "columns"),
        (changed("indices", vec![0, 0].into()), "indices"),
        (changed("indices", (0..13).rev().collect::<Vec<_>>().into()), "ascend"),
        (changed("indices", vec![-1; 13].into()), "not a model file"),
        (changed("loss", "softmax".into()), "softmax"),
        (changed("loss", "exponential".into()), "exponential"),
        (changed("loss", "squared".into()), "classes"),
        (changed("classes", Value::Null), "classes"),
        (changed("classes", serde_json::json!({"negative": 1.0, "positive": -1.0})), "smaller label"),
    ];
    for (text, words) in cases {
        let path = folder.write("bad.json", text);
        run(&format!("predict {path} {heart}")).fails(1, words);
    }
    run(&format!("predict {} {heart}", data("a1a"))).fails(1, "not a model file");
}

#[test]
fn the_same_mistake_has_the_same_words_in_every_command() {
    let folder = Folder::new();
    let (heart, sif) = (data("heart_scale"), data("sif/HSX7.SIF"));
    let head = "%%MatrixMarket matrix coordinate real symmetric\n2 2";
    let matrix = folder.write("A.mtx", format!("{head} 2\n1 1 1\n2 2 1\n"));
    let (edges, labels) =
        (folder.write("E.mtx", format!("{head} 1\n2 1 1\n")), folder.write("labels", "1,1\n"));
    let ratings = folder.write("ratings.csv", "a,x,1\na,y,2\nb,x,2\nb,y,4\n");
    let cost = folder.write("cost.csv", "0,1\n1,0\n");
    let commands = [
        format!("fit {heart} --loss logistic --l1-ratio 0.1"),
        format!("relu {heart} --beta 1 --patterns 5"),
        format!("nlp {sif}"),
        format!("linsolve {matrix}"),
        format!("graph {edges} --labels {labels}"),
        format!("complete {ratings} --rank 1"),
        format!("transport --cost {cost} --regularization 0.1"),
        "stream heat:8 --steps 3".to_string(),
    ];
    let nowhere = folder.path("nowhere");
    for line in &commands {
        run(&format!("{line} --tolerance -1"))
            .fails(2, "--tolerance is -1; it must be finite and not negative");
        run(&format!("{line} --time-limit -1")).fails(2, "--time-limit is -1");
        for option in [format!("--trace {nowhere}/t.csv"), format!("--plot {nowhere}/t.svg")] {
            run(&format!("{line} {option}")).fails(1, "cannot be written (No such file");
        }
        run(&format!("{line} --trace {}", folder.0.display()))
            .fails(1, "this is a directory; a file is expected");
        let words: Vec<&str> = line.split(' ').collect();
        let input = words.iter().position(|word| word.contains('/'));
        if let Some(input) = input {
            for (file, said) in
                [(&nowhere, "cannot be read (No such file"), (&folder.path(""), "this is a directory")]
            {
                let mut words = words.clone();
                words[input] = file;
                run(&words.join(" ")).fails(1, said);
            }
        }
    }
    run(&format!("stream {nowhere}")).fails(1, "cannot be read (No such file");
    run(&format!("stream {labels}")).fails(1, "this is a file; a readable folder of systems is expected");
    run("stream heat:8 --steps 0").fails(2, "--steps is 0");
    run("stream heat:8 --policy fixed:x").fails(2, "omega is 'x'; a number in (0, 2) is expected");
    run("stream heat:8 --policy fixed:3").fails(2, "only for omega in (0, 2)\n");
    run("stream heat:8 --policy no").fails(2, "seeded, optimal-fixed, instance-optimal");
}

#[test]
fn messages_show_the_field_and_the_option_that_are_meant() {
    let folder = Folder::new();
    let table = folder.write("table.csv", "0,1\nnan,0\n");
    run(&format!("transport --cost {table} --regularization 1"))
        .fails(1, "table.csv:2:1: `nan` is not finite");
    let (cost, three) = (folder.write("cost.csv", "0,1\n1,0\n"), folder.write("three.csv", "1\n2\n"));
    let line = format!("transport --cost {cost} --regularization 1");
    run(&format!("{line} --source {three}")).fails(1, "three.csv: the source masses sum to 3");
    run(&format!("{line} --source {three}")).fails(1, "--normalize does it");
    run(&format!("{line} --source {three} --normalize")).succeeds();
    run(&format!("{line} --relaxation 3")).fails(2, "--relaxation is 3");
    run(&format!("{line} --method newton-sparse --keep 0")).fails(2, "--keep is 0");
    let (heart, model) = (data("heart_scale"), folder.path("model.json"));
    run(&format!("fit {heart} --loss logistic --box 1,0")).fails(2, "--box is 1,0; two numbers");
    run(&format!("fit {heart} --loss logistic --l2 0.1 --model {model}")).succeeds();
    run(&format!("predict {model} {heart} --top 3")).fails(2, "--top is for models of `complete`");
    let ratings = folder.write("ratings.csv", "a,x,1\na,y,2\nb,x,2\nb,y,4\n");
    run(&format!("complete {ratings} --rank 1 --ridge 0.1 --model {model}")).succeeds();
    run(&format!("predict {model} {ratings} --scores"))
        .fails(2, "--scores is for models of `fit` and `relu`");
    let help = run("fit --help").succeeds().out;
    let own = help.find("Options of --method surrogate:").unwrap();
    for option in ["--rule <", "--block-size <", "--tolerance <", "--json\n"] {
        assert!(help.find(option).unwrap() < own, "{option} stands among the options of another method");
    }
}
