//! Who may call by address: the list, the file it comes from, and the proxies in front of the host.
#![cfg(test)]

mod ask;
mod callers;
mod files;
mod lists;
mod model;
#[cfg(feature = "axum")]
mod server;
mod swaps;
