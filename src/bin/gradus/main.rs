//! The command `gradus`: reads arguments and problems, calls the library, prints.
//!
//! Exit codes: 0 solved, 1 bad input, 2 wrong usage, 3 stopped before the tolerance, 130 interrupted.

mod complete;
mod completion_file;
mod dataset;
mod fit;
mod fit_surrogate;
mod graph;
mod linsolve;
mod model_file;
mod nlp;
mod options;
mod output;
mod plot;
mod predict;
mod predict_completion;
mod ratings;
mod relu;
mod reproduce;
mod sif;
mod solver;
mod stream;
mod transport;
mod watch;

use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use output::{Failure, Finish};

/// Classical optimisation solvers, each answer with a certificate.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fit(Box<fit::Arguments>),
    Predict(predict::Arguments),
    Graph(graph::Arguments),
    Nlp(nlp::Arguments),
    Sif(sif::Arguments),
    Transport(transport::Arguments),
    Complete(complete::Arguments),
    Linsolve(linsolve::Arguments),
    Stream(stream::Arguments),
    Relu(relu::Arguments),
    Reproduce(reproduce::Arguments),
    Plot(plot::Arguments),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  gradus completions bash > ~/.local/share/bash-completion/completions/gradus"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    // usage errors end here with exit code 2, --help and --version with 0
    let mut command = command_line();
    let cli = match Cli::from_arg_matches(&command.get_matches_mut()) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut command).exit(),
    };
    watch::catch_interrupts();
    let finished = match cli.command {
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Nlp(arguments) => nlp::run(&arguments),
        Command::Sif(arguments) => sif::run(&arguments),
        Command::Transport(arguments) => transport::run(&arguments),
        Command::Complete(arguments) => complete::run(&arguments),
        Command::Linsolve(arguments) => linsolve::run(&arguments),
        Command::Stream(arguments) => stream::run(&arguments),
        Command::Relu(arguments) => relu::run(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Completions { shell } => completions(shell),
    };
    match finished {
        Ok(finish) => finish.code(),
        Err(failure) => failure.report(),
    }
}

/// The command line. What stands behind an option is its value even where it is a negative number, so that each option's own
/// check refuses it in its own words.
fn command_line() -> clap::Command {
    let negative = |argument: Arg| {
        if argument.is_positional() { argument } else { argument.allow_negative_numbers(true) }
    };
    let command = Cli::command();
    let names: Vec<String> = command.get_subcommands().map(|own| own.get_name().to_string()).collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |own| own.mut_args(negative)))
}

fn completions(shell: clap_complete::Shell) -> Result<Finish, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line(), "gradus", &mut script);
    output::print_bytes(&script)?;
    Ok(Finish::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }
}
