//! The tables of `docs/observability.md`.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../../docs/observability.md");

/// A row of the table of metrics.
pub(crate) struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    /// The labels with their values. Without values, they come from the configuration.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

/// The table of metrics, by name.
pub(crate) fn metrics() -> BTreeMap<String, Metric> {
    let rows = table("| metric |");
    rows.into_iter()
        .map(|cells| {
            let [name, kind, _unit, labels, _meaning] = &cells[..] else {
                panic!("{cells:?}");
            };
            let labels = labels.split(';').filter_map(|label| {
                let mut code = code(label).into_iter();
                Some((code.next()?, code.collect()))
            });
            let metric = Metric {
                kind: kind.clone(),
                labels: labels.collect(),
            };
            (code(name).remove(0), metric)
        })
        .collect()
}

/// The fields of the span.
pub(crate) fn fields() -> BTreeSet<String> {
    let rows = table("| field |");
    rows.iter().map(|cells| code(&cells[0]).remove(0)).collect()
}

/// The kinds of rejections in the table of the log.
pub(crate) fn rejections() -> BTreeSet<String> {
    let rows = table("| `reason` |");
    rows.iter().flat_map(|cells| code(&cells[0])).collect()
}

/// The names in the table of alerts.
pub(crate) fn alerts() -> Vec<String> {
    let rows = table("| alert |");
    rows.iter().map(|cells| code(&cells[0]).remove(0)).collect()
}

/// The cells of the table with this head.
fn table(head: &str) -> Vec<Vec<String>> {
    let rows: Vec<_> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line
                .strip_prefix('|')
                .and_then(|line| line.strip_suffix('|'));
            let cells = cells.unwrap().split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table {head}");
    rows
}

/// What is in backticks.
fn code(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}
