//! Tests the store on a real PostgreSQL server, which the tests start themselves.
//!
//! Run `cargo test -p example-sql-store`, with the Debian package `postgresql` installed.
//! PostgreSQL refuses to run as root, so as root the tests start it as the user `postgres`.

#![cfg(test)]

mod conformance;
mod layers;
mod old_recipe;
mod overlaps;
mod purge;
mod server;
