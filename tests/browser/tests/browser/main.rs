//! The page of `whatsapp-webhook serve` in a headless Chromium, as its users see it.
//!
//! Needs the Debian packages `chromium` and `chromium-driver`, and the program: build it with
//! `cargo build -p tower-whatsapp-cli`. With `AXE` (path of `axe.min.js` from the npm package
//! `axe-core`) the accessibility of the page is checked too. With `SCREENSHOTS` (a directory) the
//! pictures of `cli/README.md` are taken.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod accessibility;
mod browser;
mod flows;
mod large;
mod server;
