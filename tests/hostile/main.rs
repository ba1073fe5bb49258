//! Hostile input: a table of requests, each sent through every driver on which it makes sense.
//!
//! The table is data, in `rows`. `drive` sends a request, `host` is what the layer protects, `check` looks at everything that may
//! have happened. What is not one request and one answer has a test of its own, in `broken`, `limits`, `memory`, `slow`, `strangers`,
//! `streams` and `leaks`.
#![cfg(test)]

mod broken;
mod check;
mod drive;
mod host;
mod leaks;
mod limits;
mod memory;
mod row;
mod rows;
#[cfg(feature = "tokio")]
#[path = "../dedup/scripted.rs"]
#[allow(dead_code, reason = "nothing goes wrong in this store")]
mod scripted;
#[cfg(feature = "tokio")]
mod slow;
mod strangers;
mod streams;

use self::{
    check::{run, run_wire},
    row::Driver,
};

#[tokio::test]
async fn rows_through_tower() {
    run(Driver::Tower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_over_http1() {
    run(Driver::Http1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_over_http2() {
    run(Driver::Http2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_bytes_on_a_connection() {
    run_wire().await;
}
