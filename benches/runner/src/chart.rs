//! Bar charts, written as SVG by hand.

use crate::{measure::Table, peers, report::Row};

const WIDTH: f64 = 640.0;
const LABEL_WIDTH: f64 = 120.0;
const VALUE_WIDTH: f64 = 90.0;
const BAR_HEIGHT: f64 = 18.0;
const STEP: f64 = 26.0;
const TITLE_HEIGHT: f64 = 44.0;

/// Returns the charts of a table, each with the suffix of its file's name.
pub fn all(table: &Table, rows: &[Row]) -> Vec<(&'static str, String)> {
    let title = table.scenario.title;
    let cpu: Vec<_> = rows.iter().map(|row| (row.name, row.cpu_us)).collect();
    let mut charts = vec![("", bars(title, "server CPU per request, µs; less is better", &cpu))];
    let mut memory: Vec<_> =
        rows.iter().filter_map(|row| Some((row.name, row.bytes_per_conn?))).collect();
    memory.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    if !memory.is_empty() {
        let subtitle = "user memory per connection, bytes; less is better";
        charts.push(("-memory", bars(title, subtitle, &memory)));
    }
    charts
}

fn bars(title: &str, subtitle: &str, values: &[(&str, f64)]) -> String {
    let height = TITLE_HEIGHT + STEP * values.len() as f64 + 8.0;
    let longest = values.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"8\" y=\"34\" fill=\"#666666\">{subtitle}</text>\n"
    );
    for (index, (name, value)) in values.iter().enumerate() {
        let top = TITLE_HEIGHT + STEP * index as f64;
        let baseline = top + BAR_HEIGHT - 5.0;
        let width = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) * value.max(0.0) / longest;
        svg.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LABEL_WIDTH}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{BAR_HEIGHT}\" fill=\"{}\"/>\n\
             <text x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>\n",
            LABEL_WIDTH - 8.0,
            colour(name),
            LABEL_WIDTH + width + 6.0,
            figure(*value),
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(name: &str) -> &'static str {
    match name {
        peers::SNOW => "#2f7fd1",
        peers::FLOOR => "#c8c8c8",
        _ => "#93a7ba",
    }
}

/// Three figures that count, and no more.
fn figure(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
