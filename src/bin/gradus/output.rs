//! What a command prints and how it ends.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use gradus::control::{History, Status, Summary};
use gradus::report::{Plot, Scale, Series, file};
use serde_json::{Map, Value, json};

use crate::options::Common;

/// How a command ended that printed an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finish {
    /// All is done, or solved to the tolerance.
    Done,
    /// Stopped before the tolerance.
    Short,
    /// Interrupted; the best answer so far was printed.
    Interrupted,
}

impl Finish {
    /// The end that a solver's status stands for.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Solved => Finish::Done,
            Status::Interrupted => Finish::Interrupted,
            _ => Finish::Short,
        }
    }

    /// The exit code.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Finish::Done => 0,
            Finish::Short => 3,
            Finish::Interrupted => 130,
        })
    }
}

/// Why a command could not print an answer.
#[derive(Debug)]
pub enum Failure {
    /// The input is bad: exit code 1.
    Input(anyhow::Error),
    /// The options are: exit code 2.
    Usage(String),
    /// Nobody reads the output any more.
    Pipe,
}

impl Failure {
    /// One clear message on standard error, and the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Failure::Input(error) => {
                // words of a file may hold any byte; a terminal must not act on them
                let escaped =
                    |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
                let message: String = format!("{error:#}").chars().map(escaped).collect();
                let _ = writeln!(io::stderr(), "error: {message}");
                ExitCode::from(1)
            }
            Failure::Usage(message) => {
                let _ = writeln!(io::stderr(), "error: {message}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Failure::Pipe => ExitCode::SUCCESS,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Input(error.into())
    }
}

/// Writes to standard output.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Pipe),
        other => other.map_err(|error| Failure::Input(anyhow::anyhow!("standard output: {error}"))),
    }
}

/// Writes a text and a line end to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// The keys that every command's JSON object has, from the summary of its run, and the command's own.
pub fn json_object(
    command: &str,
    method: &str,
    common: &Common,
    read_seconds: f64,
    summary: &Summary,
    own: Value,
) -> Value {
    let mut object = frame(command, read_seconds);
    let mut put = |key: &str, value: Value| object.insert(key.into(), value);
    put("method", json!(method));
    put("status", json!(summary.status.name()));
    put("iterations", json!(summary.iterations));
    put("seconds", json!(summary.seconds));
    // numbers that are not finite become null
    put("objective", json!(summary.objective));
    put("certificate", json!(summary.certificate));
    put("counts", json!(summary.counts));
    put("seed", json!(common.seed));
    put("notes", json!(summary.notes));
    if let Value::Object(own) = own {
        object.extend(own);
    }
    Value::Object(object)
}

/// The keys that every command's JSON object has, null where nothing is known of them.
fn frame(command: &str, read_seconds: f64) -> Map<String, Value> {
    let object = json!({
        "command": command, "method": null, "status": "solved", "iterations": null, "seconds": null,
        "read_seconds": read_seconds, "objective": null, "certificate": null, "counts": {}, "seed": null,
        "threads": rayon::current_num_threads(), "version": env!("CARGO_PKG_VERSION"),
    });
    if let Value::Object(object) = object { object } else { Map::new() }
}

/// The JSON object of a command that solves nothing, or many problems.
pub fn plain_object(command: &str, read_seconds: f64, own: Value) -> Value {
    let mut object = frame(command, read_seconds);
    if let Value::Object(own) = own {
        object.extend(own);
    }
    Value::Object(object)
}

/// Writes the trace and the plot that the options ask for.
pub fn write_trace_and_plot(common: &Common, name: &str, history: &History) -> Result<(), Failure> {
    if let Some(path) = &common.trace {
        let mut text = Vec::new();
        history.write_csv(&mut text)?;
        write_file(path, &text)?;
    }
    if let Some(path) = &common.plot {
        // the file's name, not the way to it
        let title =
            Path::new(name).file_name().map_or(name.into(), |name| name.to_string_lossy().into_owned());
        convergence_plot(&title, vec![(title.clone(), history.clone())]).write(path)?;
    }
    Ok(())
}

/// Writes a whole file or nothing.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    file::write_whole(path, content)
        .map_err(|error| Failure::Input(anyhow::anyhow!("{}: {error}", path.display())))
}

/// Relative certificates against iterations, logarithmic, one curve a run.
pub fn convergence_plot(title: &str, runs: Vec<(String, History)>) -> Plot {
    let curve = |(name, history): (String, History)| Series {
        name,
        points: history.records.iter().map(|r| (r.iteration as f64, r.certificate)).collect(),
    };
    Plot {
        title: title.into(),
        x_label: "iterations".into(),
        y_label: "relative certificate".into(),
        y_scale: Scale::Log,
        series: runs.into_iter().map(curve).collect(),
        width: 480,
        height: 320,
        ..Plot::default()
    }
}
