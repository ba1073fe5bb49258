//! `DedupLayer` through the whole stack: what is answered, what the handler sees, what the store is told, and what is left behind.
//!
//! `answers`, `overlaps`, `faults`, `keys` and `drains` are the table of the module's docs, row by row. `duplicates` runs the ways in which
//! Meta repeats events on every store, and `cancels` drops a delivery at every point at which it can be dropped.
#![cfg(test)]
#![cfg(all(feature = "testing", feature = "tokio"))]

mod answers;
mod cancels;
mod config;
mod drains;
mod duplicates;
mod elsewhere;
mod faults;
mod host;
mod keys;
mod outcomes;
mod overlaps;
mod scripted;
mod stack;

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
#[allow(dead_code, reason = "these tests need a server and nothing else")]
mod redis;
