//! Restriction by address: the list, its file, and the proxies in front of the host.
#![cfg(test)]

mod ask;
mod callers;
mod files;
mod lists;
mod model;
#[cfg(feature = "axum")]
mod server;
mod swaps;
