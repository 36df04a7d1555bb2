//! The command `gradus` as its users meet it: exit codes, streams, files, JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod complete;
mod contract;
mod fits;
mod hostile;
mod inputs;
mod linsolve;
mod losses;
mod nlp;
mod pictures;
mod relu;
mod runs;
mod sif;
mod surrogate;
mod transport;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gradus-command-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), content).unwrap();
        self.path(name)
    }

    /// Names of all that lies in the folder, hidden files too.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run of the command left.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// The JSON object on standard output: exactly one, on one line.
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// Asserts an error with one clear message on standard error, nothing on standard output, and no panic.
    fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{words}\n{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        assert_eq!(self.err.matches("error: ").count(), 1, "{}", self.err);
        assert!(self.err.contains(words) && !self.err.contains("panicked"), "wanted '{words}': {}", self.err);
        // bad input needs one line; wrong usage also says where help is
        assert!(code == 2 || self.err.lines().count() == 1, "{}", self.err);
    }

    /// Asserts success with nothing on standard error.
    fn succeeds(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn gradus(arguments: &[&str]) -> Ran {
    command(arguments).output().unwrap().into()
}

/// Splits at blanks, then runs: for arguments without blanks in them.
fn run(line: &str) -> Ran {
    gradus(&line.split_whitespace().collect::<Vec<_>>())
}

fn with_stdin(line: &str, input: &[u8]) -> Ran {
    let mut child = command(&line.split_whitespace().collect::<Vec<_>>())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a command that refuses its options closes the pipe early
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// The bundled data set of the given name.
fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).to_str().unwrap().to_string()
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", object[key]))
}

/// Rows of a trace without their seconds.
fn trace(path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n') && text.starts_with("iteration,seconds,objective,certificate,"), "{text}");
    let fields = |line: &str| {
        let mut fields: Vec<String> = line.split(',').map(String::from).collect();
        fields.remove(1);
        fields
    };
    let rows: Vec<Vec<String>> = text.lines().map(fields).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "a whole table: {text}");
    rows
}
