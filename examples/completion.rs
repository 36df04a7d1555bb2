//! Completes a matrix of ratings and lists the best columns of one row.
//!
//! `cargo run --release --example completion -- ratings.csv anna`, lines `row,column,value`; without arguments on a small
//! made-up table.

use gradus::completion::{Completion, Duplicates, Observations};
use gradus::control::Limits;
use gradus::read::triplets;

/// Two kinds of readers, two kinds of books.
const MADE_UP: &[u8] = b"anna,crime,5\nanna,thriller,4\nanna,poems,1\nben,crime,4\nben,thriller,5\nben,essays,2\n\
carla,poems,5\ncarla,essays,4\ncarla,crime,1\ndora,poems,4\ndora,thriller,1\nemil,crime,5\nemil,poems,2\nemil,essays,1\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let ratings = match arguments.next() {
        Some(path) => triplets::read(path, &Default::default())?,
        None => triplets::parse(MADE_UP, "made up", &Default::default())?,
    };
    let (m, n) = (ratings.rows.len(), ratings.columns.len());
    let problem = Observations::new(m, n, &ratings.entries, Duplicates::Mean)?;
    let solver = Completion {
        rank: 10.min(m).min(n).min(1 + problem.len() / 1000),
        ridge: 0.1,
        biases: true,
        limits: Limits { tolerance: 1e-5, max_iterations: 200, time_limit: None },
        ..Completion::default()
    };
    let answer = solver.solve(&problem)?;
    println!("{answer}\n");

    let name = arguments.next().unwrap_or_else(|| ratings.rows.name(0).unwrap_or_default().to_string());
    let row = ratings.rows.number(&name).ok_or_else(|| format!("no row is named '{name}'"))?;
    let mut seen: Vec<u32> = ratings.entries.iter().filter(|e| e.0 == row).map(|e| e.1).collect();
    seen.sort_unstable();
    println!("best for {name}, without what {name} has rated:");
    for (column, value) in answer.model.top(answer.model.row_factors().row(row as usize), 5, &seen) {
        println!("  {value:6.2}  {}", ratings.columns.name(column).unwrap_or_default());
    }
    Ok(())
}
