//! The figures in the repository's README: processor time as a ratio to the floor's, of every server in
//! every scenario, and a few of the charts.

use crate::{
    Result, machine,
    measure::Table,
    options::Options,
    report::{Row, rows},
};
use std::fs;

const BEGIN: &str = "<!-- benches/compare writes from here -->\n";
const END: &str = "<!-- to here -->\n";

/// The charts that README shows, of those beside the tables.
const CHARTS: [&str; 4] = ["plaintext", "routes", "fresh", "idle-memory"];

/// Puts the figures in the place of those that README has.
pub fn write(options: &Options, tables: &[Table], charts: &str) -> Result<()> {
    let path = options.repository().join("README.md");
    let readme = fs::read_to_string(&path)?;
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or("README has no place for the figures")?;
    let text = format!("{before}{BEGIN}{}{END}{after}", figures(options, tables, charts));
    Ok(fs::write(path, text)?)
}

fn figures(options: &Options, tables: &[Table], charts: &str) -> String {
    let tables: Vec<_> = tables.iter().map(|table| (table.scenario.name, rows(table))).collect();
    let mut text = heading(&tables);
    for name in by_first_table(&tables) {
        let cells: Vec<_> = tables.iter().map(|(_, rows)| cell(rows, name)).collect();
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text.push('\n');
    for chart in CHARTS {
        text.push_str(&format!("![{chart}]({charts}-{chart}.svg)\n"));
    }
    text.push_str(&format!("\n{}", machine::describe(options)));
    text
}

fn heading(tables: &[(&str, Vec<Row>)]) -> String {
    let names: Vec<_> = tables.iter().map(|(name, _)| *name).collect();
    format!("| | {} |\n| --- |{}\n", names.join(" | "), " ---: |".repeat(names.len()))
}

/// Returns the servers, the cheapest in the first scenario first.
fn by_first_table(tables: &[(&str, Vec<Row>)]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for row in tables.iter().flat_map(|(_, rows)| rows) {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    names
}

/// Returns a server's ratio; a dash when it was not measured there.
fn cell(rows: &[Row], name: &str) -> String {
    let ratio = rows.iter().find(|row| row.name == name).and_then(|row| row.to_floor);
    ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median))
}
