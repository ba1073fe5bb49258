//! Restriction by address: the list, its file, and the proxies in front of the host.
#![cfg(test)]

mod ask;
#[cfg(feature = "axum")]
mod axum_connect_info;
mod callers;
mod files;
mod list_updates;
mod lists;
mod model;
