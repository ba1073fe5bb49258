//! The store on a real PostgreSQL, which the tests start for themselves.
//!
//! `cargo test -p example-sql-store`, with the Debian package `postgresql` installed. As root the
//! server runs as the user `postgres`, because it refuses to run as root.

#![cfg(test)]

mod conformance;
mod layers;
mod old_recipe;
mod overlaps;
mod purge;
mod server;
