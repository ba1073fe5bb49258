//! `DedupLayer` in the whole stack: the response, what the handler sees, what the store is asked,
//! and what is left behind.
//!
//! `answers`, `overlaps`, `faults`, `keys` and `drains` follow the table of the module's docs, row
//! by row. `duplicates` runs all kinds of duplicates on every store. `cancels` drops a delivery at
//! every await point, and `connections` does the same over sockets. `troubles` injects faults of a
//! real Redis. `scripts/faults` lists all fault points with their tests.
#![cfg(test)]

mod answers;
mod cancels;
mod causes;
mod config;
mod connections;
mod drains;
mod drops;
mod duplicates;
mod elsewhere;
mod faults;
mod host;
mod keys;
mod outcomes;
mod overlaps;
mod renewals;
mod replays;
mod scripted;
mod stack;
#[cfg(feature = "redis")]
mod troubles;
