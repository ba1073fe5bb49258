//! `DedupLayer` through the whole stack: what is answered, what the handler sees, what the store is told, and what is left behind.
//!
//! `answers`, `overlaps`, `faults`, `keys` and `drains` are the table of the module's docs, row by row. `duplicates` runs the ways in which
//! Meta repeats events on every store, and `cancels` drops a delivery at every point at which it can be dropped. `connections` does the same over sockets, and `troubles` are those
//! of a real Redis. `scripts/faults` has all points at which something may go wrong, and the tests of each.
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
