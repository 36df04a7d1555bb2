//! `gradus predict` with a low-rank model: values at positions, or the best columns of rows.

use std::time::Instant;

use gradus::read::{Source, triplets};
use serde_json::json;

use crate::completion_file::CompletionFile;
use crate::output::{self, Failure, Finish};
use crate::predict::Arguments;
use crate::ratings::Ratings;

/// `started` is when the model began to be read.
pub fn run(arguments: &Arguments, started: Instant) -> Result<Finish, Failure> {
    let file = CompletionFile::read(&arguments.model)?;
    if arguments.scores {
        return Err(Failure::Usage(
            "--scores is for models of `fit` and `relu`; this one has no labels".into(),
        ));
    }
    match (arguments.top, &arguments.data) {
        (Some(count), None) => top(arguments, &file, count, started),
        (None, Some(data)) => positions(arguments, &file, data, started),
        (Some(_), Some(_)) => {
            Err(Failure::Usage("--top needs no positions: leave the second file out".into()))
        }
        (None, None) => {
            Err(Failure::Usage("a low-rank model needs a file of positions row,column, or --top N".into()))
        }
    }
}

/// One prediction a line, for each position of the file.
fn positions(
    arguments: &Arguments,
    file: &CompletionFile,
    data: &str,
    started: Instant,
) -> Result<Finish, Failure> {
    let source = Source::open(data)?;
    let options = triplets::Options { optional_values: true, ..Default::default() };
    let asked = triplets::parse(source.bytes(), source.name(), &options)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let table = |known: &[String], names: &triplets::Identifiers| -> Vec<u32> {
        let numbers = CompletionFile::numbers(known);
        names.names().map(|name| numbers.get(name).copied().unwrap_or(u32::MAX)).collect()
    };
    let (rows, columns) = (table(&file.rows, &asked.rows), table(&file.columns, &asked.columns));
    let place = |i: u32, j: u32| (rows[i as usize], columns[j as usize]);
    let predictions: Vec<f64> = asked
        .entries
        .iter()
        .map(|&(i, j, _)| {
            let (i, j) = place(i, j);
            let number = |place: u32| if place == u32::MAX { usize::MAX } else { place as usize };
            file.predict(number(i), number(j))
        })
        .collect();
    let unknown =
        asked.entries.iter().map(|&(i, j, _)| place(i, j)).filter(|&(i, j)| i.max(j) == u32::MAX).count();
    let errors: Vec<f64> = asked
        .entries
        .iter()
        .zip(&predictions)
        .filter(|((.., value), _)| !value.is_nan())
        .map(|((.., value), prediction)| (value - prediction) * (value - prediction))
        .collect();
    let rmse = (!errors.is_empty()).then(|| (errors.iter().sum::<f64>() / errors.len() as f64).sqrt());
    if arguments.json {
        let own = json!({
            "seconds": solved.elapsed().as_secs_f64(), "rows": predictions.len(), "accuracy": null, "rmse": rmse,
            "unknown": unknown, "predictions": predictions,
        });
        output::print(&output::plain_object("predict", read_seconds, own).to_string())?;
        return Ok(Finish::Done);
    }
    let lines: Vec<String> = predictions.iter().map(f64::to_string).collect();
    output::print(&lines.join("\n"))?;
    if !arguments.quiet {
        let rmse = rmse.map_or(String::new(), |rmse| format!(", rmse {rmse:.6e}"));
        eprintln!("{} positions, {unknown} with an unknown row or column{rmse}", predictions.len());
    }
    Ok(Finish::Done)
}

/// Lines row,column,value: for each row the columns of the highest predictions, without those of the excluded entries.
fn top(
    arguments: &Arguments,
    file: &CompletionFile,
    count: usize,
    started: Instant,
) -> Result<Finish, Failure> {
    let rows = CompletionFile::numbers(&file.rows);
    let wanted: Vec<u32> = if arguments.rows.is_empty() {
        (0..file.rows.len() as u32).collect()
    } else {
        let find = |name: &String| {
            rows.get(&**name).copied().ok_or_else(|| {
                Failure::Input(anyhow::anyhow!("{}: no row is named '{name}'", arguments.model))
            })
        };
        arguments.rows.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut seen: Vec<Vec<u32>> = vec![Vec::new(); file.rows.len()];
    if let Some(path) = &arguments.exclude {
        let excluded = Ratings::read(path, false)?;
        let columns = CompletionFile::numbers(&file.columns);
        for &(i, j, _) in &excluded.entries {
            let row = rows.get(&*excluded.rows[i as usize]);
            let column = columns.get(&*excluded.columns[j as usize]);
            if let (Some(&row), Some(&column)) = (row, column) {
                seen[row as usize].push(column);
            }
        }
        seen.iter_mut().for_each(|columns| columns.sort_unstable());
    }
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let best = |row: u32| {
        let x = file.model.row_factors().row(row as usize);
        file.model.top(x, count, &seen[row as usize])
    };
    if arguments.json {
        let lists: Vec<_> = wanted
            .iter()
            .map(|&row| {
                let columns: Vec<_> = best(row)
                    .into_iter()
                    .map(|(j, value)| json!({ "column": file.columns[j as usize], "value": file.clipped(value) }))
                    .collect();
                json!({ "row": file.rows[row as usize], "columns": columns })
            })
            .collect();
        let own = json!({ "seconds": solved.elapsed().as_secs_f64(), "rows": lists.len(), "top": lists });
        output::print(&output::plain_object("predict", read_seconds, own).to_string())?;
        return Ok(Finish::Done);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for &row in &wanted {
        for (j, value) in best(row) {
            let value = file.clipped(value).to_string();
            writer.write_record([&*file.rows[row as usize], &*file.columns[j as usize], &*value])?;
        }
    }
    output::print_bytes(&writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?)?;
    Ok(Finish::Done)
}
