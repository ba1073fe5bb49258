//! `DedupLayer` through the whole stack, and its stores: responses, what the handler sees, what the
//! store is told, and what is left behind.
//!
//! `responses`, `in_flight_elsewhere`, `faults`, `keys` and `shutdown` follow the table of the
//! module's docs row by row. `duplicates` runs the ways in which Meta repeats events on every store.
//! `cancels` drops a delivery at every point at which it can be dropped, `connections` does the same
//! over sockets, and `redis_failures` has the failures of a real Redis. `scripts/faults` lists all
//! points at which something may fail, and the tests of each.
#![cfg(test)]

mod cancels;
mod config;
mod connections;
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
mod responses;
mod scripted;
mod shutdown;
mod stack;
mod store;
mod store_errors;
