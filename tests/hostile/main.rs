//! Hostile input: a table of requests. Each is sent through every applicable driver.
//!
//! The table is data, in `rows`. `drive` sends a request, `host` is the inner service, and `check`
//! verifies all effects. Cases that are not one request and one response have their own tests in
//! `broken`, `limits`, `memory`, `slow`, `strangers`, `streams` and `leaks`.
//!
//! A row's code, such as "S18" or `b16_`, is a letter for its subject and a number. Documents use
//! it.
//!
//! | Letter | Subject | File |
//! |---|---|---|
//! | A | Addresses of callers | `rows/callers` |
//! | B | Bodies: lengths, frames, encodings, memory, time | `rows/bodies`, `broken`, `memory`, `slow`, `streams` |
//! | C | Client certificates | `rows/callers` |
//! | E | Extensions of the request that somebody else inserted | `strangers` |
//! | H | The handshake | `rows/handshake` |
//! | J | Signed bodies with odd JSON | `rows/json` |
//! | M | Methods other than GET and POST | `rows/methods` |
//! | P | Paths other than that of the layer | `rows/methods` |
//! | S | Signatures | `rows/signatures`, `broken` |
//! | T | Several apps behind one layer | `rows/apps` |
//! | W | Malformed bytes on an HTTP/1 connection | `rows/wire` |
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
