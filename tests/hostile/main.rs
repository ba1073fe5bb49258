//! Hostile input: a table of requests, each sent through every driver on which it makes sense.
//!
//! The table is data, in `rows`. `drive` sends a request, `host` is what the layer protects, `check` looks at everything that may
//! have happened. What is not one request and one answer has a test of its own, in `broken`, `memory`, `slow`, `strangers`
//! and `leaks`.
#![cfg(test)]

mod broken;
mod check;
mod drive;
mod host;
mod leaks;
mod memory;
mod row;
mod rows;
#[cfg(feature = "tokio")]
mod slow;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

use self::{check::run, row::Driver};

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
