//! Formats the results as data (TSV) and as tables (Markdown).

use std::fmt::Write;

use crate::{
    figures::{Cell, Run, Spread},
    payload::Payload,
    peers::{Delivers, PEERS, Role},
    phase::CONNECTIONS,
};

/// One payload, with a cell for each peer.
pub struct Table {
    pub payload: Payload,
    pub cells: Vec<Cell>,
    /// Requests per second and per round in the latency phase.
    pub offered: f64,
    pub requests: f64,
}

type Figure = fn(&Run) -> f64;

/// Columns: name, value, and whether more is better.
const FIGURES: [(&str, Figure, bool); 4] = [
    ("cpu_us", |run| run.cpu_us, false),
    ("per_second", |run| run.per_second, true),
    ("p99_ms", |run| run.p99_ms, false),
    ("peak_mib", |run| run.peak_mib, false),
];

/// Medians and spreads. `-` stands for missing values.
pub fn tsv(tables: &[Table]) -> String {
    let mut text = "server\tpayload\tbytes".to_owned();
    for name in FIGURES
        .map(|(name, ..)| name)
        .iter()
        .chain(&["cpu_ratio", "waited_percent"])
    {
        let _ = write!(text, "\t{name}\t{name}_least\t{name}_most");
    }
    text.push_str("\toffered_per_second\trefused\tevents_delivered\tevents_sent\n");
    for table in tables {
        for (peer, cell) in PEERS.iter().zip(&table.cells) {
            let (name, payload) = (peer.name, table.payload.name);
            let _ = write!(text, "{name}\t{payload}\t{}", table.payload.body.len());
            let figures = FIGURES.map(|(_, figure, _)| cell.spread(figure));
            let more = [cell.ratio(&table.cells[0]), cell.spread(|run| run.waited)];
            for spread in figures.into_iter().chain(more) {
                match spread {
                    Some(spread) => {
                        let Spread {
                            median,
                            least,
                            most,
                        } = spread;
                        let _ = write!(text, "\t{median:.3}\t{least:.3}\t{most:.3}");
                    }
                    None => text.push_str("\t-\t-\t-"),
                }
            }
            let refused = cell
                .rejection()
                .map_or("-".to_owned(), |status| status.to_string());
            let _ = writeln!(
                text,
                "\t{:.3}\t{refused}\t{}\t{}",
                table.offered, cell.delivered, cell.sent
            );
        }
    }
    text
}

pub fn markdown(tables: &[Table], rounds: usize) -> String {
    let mut text = format!(
        "Medians of {rounds} rounds, least and most in brackets; the best of a column is bold; the rows below *pywa* stand beside for reference. CPU, requests/s and peak memory: \
         {CONNECTIONS} connections that always have a request. Latency: from when a request was due, at half of what the slowest can that delivers all. \
         *Beside ours*: CPU divided by that of the first row in the same round.\n"
    );
    // Without other load this is close to zero.
    let waited = tables.iter().flat_map(|table| &table.cells[0].runs);
    if let Some(waited) = Spread::of(waited.map(|run| run.waited).collect()) {
        let Spread {
            median,
            least,
            most,
        } = waited;
        let _ = writeln!(
            text,
            "\nOther work on this machine: the first server waited for its core {median:.0} % of its time ({least:.0}–{most:.0})."
        );
    }
    for table in tables {
        rows(&mut text, table);
    }
    text.push_str("\n| Server | What it does with a delivery |\n|---|---|\n");
    for peer in PEERS {
        let first = match peer.delivers {
            Delivers::First => "; **hands on only the first event of a delivery**",
            Delivers::All | Delivers::Nothing => "",
        };
        let _ = writeln!(text, "| {} | {}{first} |", peer.name, peer.work);
    }
    text
}

fn rows(text: &mut String, table: &Table) {
    let milliseconds = table.cells[0]
        .spread(|run| run.cpu_us)
        .is_some_and(|spread| spread.median >= 1000.0);
    let (unit, scale) = if milliseconds {
        ("ms", 1000.0)
    } else {
        ("µs", 1.0)
    };
    let events = match table.payload.events {
        1 => "one message".to_owned(),
        events => format!("{events} statuses"),
    };
    let latency = if table.requests > 100.0 {
        format!("p99 at {}/s", short(table.offered))
    } else {
        format!(
            "longest of {} at {}/s",
            table.requests,
            short(table.offered)
        )
    };
    let _ = writeln!(
        text,
        "\n**{}** ({} bytes, {events})\n\n| Server | CPU per request, {unit} | beside ours | Requests/s | {latency}, ms | Peak memory, MiB | Events delivered |\n|---|---|---|---|---|---|---|",
        table.payload.name,
        table.payload.body.len(),
    );
    let best = FIGURES.map(|(_, figure, most)| {
        let peers = PEERS.iter().zip(&table.cells);
        let medians = peers
            .filter(|(peer, _)| peer.role == Role::Receiver)
            .filter_map(|(_, cell)| cell.spread(figure))
            .map(|spread| spread.median);
        if most {
            medians.fold(f64::NEG_INFINITY, f64::max)
        } else {
            medians.fold(f64::INFINITY, f64::min)
        }
    });
    for (peer, cell) in PEERS.iter().zip(&table.cells) {
        let _ = write!(text, "| {} ", peer.name);
        for ((name, figure, _), best) in FIGURES.iter().zip(best) {
            let cpu = *name == "cpu_us";
            let scale = if cpu { scale } else { 1.0 };
            let spread = cell.spread(figure);
            let bold =
                peer.role == Role::Receiver && spread.is_some_and(|spread| spread.median == best);
            let _ = write!(text, "| {} ", with_spread(spread, scale, bold));
            if cpu {
                let ratio = cell.ratio(&table.cells[0]);
                let _ = write!(text, "| {} ", with_spread(ratio, 1.0, false));
            }
        }
        let delivered = match (peer.delivers, cell.rejection()) {
            (_, Some(status)) => format!("**none**: refused with {status}"),
            (Delivers::Nothing, None) => "–".to_owned(),
            (_, None) if cell.delivered == cell.sent => "all".to_owned(),
            (_, None) => format!("**{} of {}**", cell.delivered, cell.sent),
        };
        let _ = writeln!(text, "| {delivered} |");
    }
}

fn with_spread(spread: Option<Spread>, scale: f64, bold: bool) -> String {
    let Some(spread) = spread else {
        return "–".to_owned();
    };
    let bold = if bold { "**" } else { "" };
    let [median, least, most] =
        [spread.median, spread.least, spread.most].map(|figure| short(figure / scale));
    format!("{bold}{median}{bold} ({least}–{most})")
}

/// Formats a number with about three significant digits.
fn short(figure: f64) -> String {
    let decimals = match figure {
        _ if figure >= 100.0 => 0,
        _ if figure >= 10.0 => 1,
        _ => 2,
    };
    format!("{figure:.decimals$}")
}
