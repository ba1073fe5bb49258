//! `DedupLayer` in the whole stack: the response, what the handler sees, what the store is asked,
//! and what is left behind.
//!
//! `responses`, `in_flight_elsewhere`, `faults`, `keys` and `shutdown` follow the table of the
//! module's docs, row by row. `duplicates` runs all kinds of duplicates on every store. `cancels`
//! drops a delivery at every await point, and `connections` does the same over sockets.
//! `redis_failures` injects faults of a real Redis. `scripts/faults` lists all fault points with
//! their tests.
#![cfg(test)]

mod cancels;
mod config;
mod connections;
mod drops;
mod duplicates;
mod faults;
mod host;
mod in_flight_elsewhere;
mod keys;
mod partial_failures;
mod passthrough;
#[cfg(feature = "redis")]
mod redis_failures;
#[cfg(feature = "redis")]
mod redis_store;
mod renewals;
mod replays;
mod responses;
mod scripted;
mod shutdown;
mod stack;
mod store;
mod store_errors;
