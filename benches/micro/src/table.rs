//! Instructions per request, by where they were written.

use crate::{
    Result, addresses,
    callgrind::{self, Cost},
    place::Place,
    programs::Programs,
    scenarios::Scenario,
};
use std::collections::{BTreeMap, BTreeSet};

/// A row is left out when it is less than this share of every scenario.
const WORTH_A_ROW: f64 = 0.01;

struct Column {
    name: &'static str,
    cost: Cost,
    by_place: BTreeMap<Place, f64>,
}

/// Measures, and prints two tables: by layer and crate, and by file of Snow's own.
pub fn print(programs: &Programs, scenarios: &[&'static Scenario]) -> Result<()> {
    let columns: Vec<Column> =
        scenarios.iter().map(|scenario| column(programs, scenario)).collect::<Result<_>>()?;
    print_head("instructions/request", &columns);
    print_row("**all**", columns.iter().map(|column| column.cost.instructions), 0);
    print_rows(&columns, |place| Some(&place.group));
    print_row("allocations", columns.iter().map(|column| column.cost.allocations), 2);
    println!();
    print_head("of which in", &columns);
    print_rows(&columns, |place| place.file.as_ref());
    Ok(())
}

fn column(programs: &Programs, scenario: &'static Scenario) -> Result<Column> {
    eprintln!("{}", scenario.name);
    let cost = callgrind::per_request(programs, scenario)?;
    let by_place = addresses::by_place(&cost, programs)?;
    Ok(Column { name: scenario.name, cost, by_place })
}

/// Prints a row for each name that `name_of` gives places, the dearest first.
fn print_rows(columns: &[Column], name_of: impl Fn(&Place) -> Option<&String>) {
    let places = columns.iter().flat_map(|column| column.by_place.keys());
    let names: BTreeSet<&String> = places.filter_map(&name_of).collect();
    let row = |name: &String| -> Vec<f64> {
        let cost = |column: &Column| {
            let places = column.by_place.iter();
            places.filter(|(place, _)| name_of(place) == Some(name)).map(|(_, cost)| cost).sum()
        };
        columns.iter().map(cost).collect()
    };
    let mut rows: Vec<_> = names.into_iter().map(|name| (name, row(name))).collect();
    rows.retain(|(_, costs)| {
        let mut shares = costs.iter().zip(columns).map(|(cost, of)| cost / of.cost.instructions);
        shares.any(|share| share >= WORTH_A_ROW)
    });
    rows.sort_by(|(_, one), (_, other)| other[0].total_cmp(&one[0]));
    for (name, costs) in rows {
        print_row(name, costs.into_iter(), 0);
    }
}

fn print_head(title: &str, columns: &[Column]) {
    let names: Vec<_> = columns.iter().map(|column| format!("{:>11}", column.name)).collect();
    println!("| {title:<28} | {} |", names.join(" | "));
    println!("| {:-<28} |{}", "", " ----------: |".repeat(columns.len()));
}

fn print_row(name: &str, values: impl Iterator<Item = f64>, decimals: usize) {
    let unit = 10f64.powi(decimals as i32);
    // Less than nothing, by a hair, is nothing: `-0.0 + 0.0` is `0.0`.
    let rounded = values.map(|value| (value * unit).round() / unit + 0.0);
    let values: Vec<_> = rounded.map(|value| format!("{value:>11.decimals$}")).collect();
    println!("| {name:<28} | {} |", values.join(" | "));
}
