//! Tables: to the terminal, and as Markdown with its charts.

use crate::{
    Result, chart,
    check::Checked,
    machine,
    measure::{Series, Table},
    options::Options,
    peers,
    run::Sample,
    statistics::{Ratio, median, paired_ratio},
    summary,
    syscalls::Calls,
};
use std::{fs, path::Path};

/// One line of a table: medians over all samples.
pub struct Row {
    pub name: &'static str,
    pub cpu_us: f64,
    pub to_floor: Option<Ratio>,
    pub to_best: Option<Ratio>,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub syscalls: Option<Calls>,
    pub bytes_per_conn: Option<f64>,
    pub disturbed: usize,
    pub slices: usize,
}

pub fn print(options: &Options, tables: &[Table], checked: &Checked) {
    println!("# {}\n", title(options));
    for table in tables {
        println!("{}", markdown(table));
    }
    println!("{}", notes(checked));
}

/// Writes `one-worker.md`, or `N-workers.md`, and a chart for each scenario beside it; README gets the
/// summary of one worker.
pub fn write(options: &Options, tables: &[Table], checked: &Checked, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = workers(options).replace(' ', "-");
    let mut text = format!("# {}\n\n", title(options));
    text.push_str(&machine::describe(options));
    text.push_str(&format!(
        "\nRounds: {}, of {} s each, in turns; medians. How to read it: [README](../README.md).\n\n",
        options.rounds, options.seconds
    ));
    for table in tables {
        text.push_str(&markdown(table));
        for (suffix, chart) in chart::all(table, &rows(table)) {
            let file = format!("{name}-{}{suffix}.svg", table.scenario.name);
            fs::write(folder.join(&file), chart)?;
            text.push_str(&format!("\n![{}]({file})\n", table.scenario.title));
        }
        text.push('\n');
    }
    text.push_str(&notes(checked));
    fs::write(folder.join(format!("{name}.md")), text)?;
    if options.is_everything && options.threads == 1 {
        let charts = options.shown(folder).to_string();
        summary::write(options, tables, &format!("{charts}/{name}"))?;
    }
    Ok(())
}

fn title(options: &Options) -> String {
    format!("Snow and its peers, {}", workers(options))
}

fn workers(options: &Options) -> String {
    match options.threads {
        1 => "one worker".to_owned(),
        threads => format!("{threads} workers"),
    }
}

/// Returns the medians, the cheapest first.
pub fn rows(table: &Table) -> Vec<Row> {
    let floor = table.series.iter().find(|series| series.peer().name == peers::FLOOR);
    let best = best_peer(table);
    let mut rows: Vec<Row> = table.series.iter().map(|series| row(series, floor, best)).collect();
    rows.sort_by(|one, other| one.cpu_us.total_cmp(&other.cpu_us));
    rows
}

/// The cheapest of those that are neither Snow nor the floor.
fn best_peer<'a>(table: &'a Table) -> Option<&'a Series<'a>> {
    let peers = table
        .series
        .iter()
        .filter(|series| ![peers::FLOOR, peers::SNOW].contains(&series.peer().name));
    peers.min_by(|one, other| {
        let cpu = |series: &Series| of(series, |sample| sample.cpu_ns);
        cpu(one).total_cmp(&cpu(other))
    })
}

fn row(series: &Series, floor: Option<&Series>, best: Option<&Series>) -> Row {
    let cpu = |series: &Series| -> Vec<f64> {
        series.samples.iter().map(|sample| sample.cpu_ns).collect()
    };
    let ratio_to = |base: Option<&Series>| paired_ratio(&cpu(series), &cpu(base?));
    Row {
        name: series.peer().name,
        cpu_us: of(series, |sample| sample.cpu_ns) / 1000.0,
        to_floor: ratio_to(floor),
        to_best: ratio_to(best),
        per_second: of(series, |sample| sample.per_second),
        p50_us: of(series, |sample| sample.p50_us),
        p99_us: of(series, |sample| sample.p99_us),
        syscalls: series.syscalls,
        bytes_per_conn: median(series.samples.iter().filter_map(|sample| sample.bytes_per_conn)),
        disturbed: series.samples.iter().filter(|sample| sample.is_disturbed).count(),
        slices: series.samples.len(),
    }
}

/// Every series has a sample for each turn, so there is always a median.
fn of(series: &Series, value: impl Fn(&Sample) -> f64) -> f64 {
    median(series.samples.iter().map(value)).unwrap_or(f64::NAN)
}

fn markdown(table: &Table) -> String {
    let mut text = format!(
        "## {}\n\n\
         | server | CPU µs/request | to the floor | to the best peer | requests/s | p50 ms | p99 ms \
         | system calls/request | of them waits | bytes/connection |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        table.scenario.title
    );
    let rows = rows(table);
    for row in &rows {
        text.push_str(&format!(
            "| {} | {:.3} | {} | {} | {:.0} | {:.3} | {:.3} | {} | {} | {} |\n",
            row.name,
            row.cpu_us,
            ratio_or_dash(row.to_floor),
            or_dash(row.to_best.map(|ratio| ratio.median), 3),
            row.per_second,
            row.p50_us / 1000.0,
            row.p99_us / 1000.0,
            or_dash(row.syscalls.map(|calls| calls.all), 2),
            or_dash(row.syscalls.map(|calls| calls.waits), 2),
            or_dash(row.bytes_per_conn, 0),
        ));
    }
    let disturbed: Vec<_> = rows
        .iter()
        .filter(|row| row.disturbed > 0)
        .map(|row| format!("{} {} of {}", row.name, row.disturbed, row.slices))
        .collect();
    if !disturbed.is_empty() {
        text.push_str(&format!(
            "\nTurns in which the server waited for its core a tenth of the time or more, behind \
             other programs or its own threads: {}.\n",
            disturbed.join(", ")
        ));
    }
    for (name, reason) in &table.skipped {
        text.push_str(&format!("\n{name} is not in it: {reason}.\n"));
    }
    text
}

fn ratio_or_dash(ratio: Option<Ratio>) -> String {
    ratio.map_or("–".to_owned(), |Ratio { median, bounds }| match bounds {
        Some((low, high)) => format!("{median:.3} ({low:.2}–{high:.2})"),
        None => format!("{median:.3}"),
    })
}

fn or_dash(value: Option<f64>, decimals: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.decimals$}"))
}

fn notes(checked: &Checked) -> String {
    let mut text = "## What to know about each\n\n".to_owned();
    for (peer, note) in &checked.notes {
        text.push_str(&format!("- **{}**: {note}.\n", peer.name));
    }
    text
}
