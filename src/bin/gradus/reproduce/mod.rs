//! `gradus reproduce`: every method's experiments on bundled data, with plots, traces and one report.
//!
//! One file a method: its chapter solves, writes its traces and pictures into the folder, and returns the sections of
//! the page.

mod completion;
mod constrained;
mod coordinate;
mod relaxation;
mod relu;
mod surrogate;
mod transport;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use gradus::control::{Monitor, Status};
use gradus::report::html::{self, Page, Section};
use serde_json::{Value, json};

use crate::options::start_threads;
use crate::output::{self, Failure, Finish, write_file};
use crate::watch;

/// A method's part of the report.
type Experiments = fn(&Context) -> Result<Chapter, Failure>;

/// The methods in the order of the report: name, heading, experiments.
const CHAPTERS: &[(&str, &str, Experiments)] = &[
    ("coordinate", "Losses with separable penalties", coordinate::chapter),
    ("constrained", "Nonlinear programs", constrained::chapter),
    ("transport", "Optimal transport", transport::chapter),
    ("completion", "Matrix completion", completion::chapter),
    ("relaxation", "Sequences of linear systems", relaxation::chapter),
    ("relu", "Two-layer ReLU networks", relu::chapter),
    ("surrogate", "Costly gradient oracles", surrogate::chapter),
];

/// Solve the bundled problems; write plots, traces and one HTML report.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus reproduce
  gradus reproduce coordinate --out report --full")]
pub struct Arguments {
    /// Methods to run, all by default.
    #[arg(value_name = "NAME", value_parser = names())]
    pub names: Vec<String>,
    /// Folder for the results; made if it is not there.
    #[arg(long, default_value = "reproduce", value_name = "DIR")]
    pub out: PathBuf,
    /// The papers' scale in place of a small one.
    #[arg(long)]
    pub full: bool,
    /// Threads to use; all cores by default.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Print the path of the report alone.
    #[arg(long)]
    pub quiet: bool,
}

fn names() -> PossibleValuesParser {
    CHAPTERS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().into()
}

/// Where and how a chapter runs.
pub struct Context<'a> {
    /// The folder of the report: traces and pictures go here.
    pub out: &'a Path,
    /// The papers' scale in place of a small one.
    pub full: bool,
    spoken: bool,
}

impl Context<'_> {
    /// A line on standard output, unless `--quiet` or `--json` forbid it.
    pub fn say(&self, line: &str) -> Result<(), Failure> {
        if self.spoken { output::print(line) } else { Ok(()) }
    }

    /// A monitor that stops at Ctrl-C.
    pub fn monitor(&self) -> Monitor<'static> {
        Monitor::none().with_interrupt(watch::interrupt_flag())
    }

    /// Writes one of the report's files, such as a trace or a picture.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        write_file(&self.out.join(name), content)
    }
}

/// What a method's experiments gave.
pub struct Chapter {
    /// The report's sections.
    pub sections: Vec<Section>,
    /// A JSON summary of each solve.
    pub runs: Vec<Value>,
    /// Solved, or the status of the last solve that fell short of what its experiment expects.
    pub status: Status,
}

impl Default for Chapter {
    fn default() -> Self {
        Self { sections: Vec::new(), runs: Vec::new(), status: Status::Solved }
    }
}

impl Chapter {
    /// Notes the status of one solve; true when the user asked to stop.
    pub fn note(&mut self, status: Status) -> bool {
        if status != Status::Solved {
            self.status = status;
        }
        status == Status::Interrupted
    }
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    start_threads(arguments.threads)?;
    fs::create_dir_all(&arguments.out).map_err(|error| {
        anyhow::anyhow!(
            "{}: cannot be made ({error}); a writable folder is expected",
            arguments.out.display()
        )
    })?;
    let started = Instant::now();
    let context =
        Context { out: &arguments.out, full: arguments.full, spoken: !arguments.json && !arguments.quiet };
    let (mut chapters, mut runs) = (Vec::new(), Vec::new());
    let mut worst = Status::Solved;
    for (name, title, experiments) in CHAPTERS {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|asked| asked == name) {
            continue;
        }
        let chapter = experiments(&context)?;
        chapters.push(html::Chapter { title: (*title).into(), sections: chapter.sections });
        runs.extend(chapter.runs);
        if chapter.status != Status::Solved {
            worst = chapter.status;
        }
        if worst == Status::Interrupted {
            break;
        }
    }
    let page = Page {
        title: "gradus: solvers with certificates".into(),
        introduction: introduction(worst),
        chapters,
    };
    let report = arguments.out.join("index.html");
    write_file(&report, page.html().as_bytes())?;
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let own = json!({ "status": worst.name(), "seconds": seconds, "report": report, "runs": runs });
        output::print(&output::plain_object("reproduce", 0.0, own).to_string())?;
    } else if arguments.quiet {
        output::print(&report.display().to_string())?;
    } else {
        output::print(&format!("report       {} ({seconds:.1} s)", report.display()))?;
    }
    Ok(Finish::of(worst))
}

/// What the page's reader may rely on.
fn introduction(worst: Status) -> String {
    let certified = "The certificates in the tables are recomputed from the answers alone. \
                     Traces (CSV) and pictures (SVG) lie beside this page.";
    if worst == Status::Solved {
        return format!("Every solve that was to reach its tolerance did. {certified}");
    }
    format!(
        "Not every solve reached its tolerance ({worst}); its certificate still says how far it came. {certified}"
    )
}
