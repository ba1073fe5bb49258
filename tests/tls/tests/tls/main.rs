//! Client certificates: over TLS to the example `https`, and in the headers of proxies. The tests
//! generate all certificates.
#![cfg(test)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "what the tests of examples share"
)]

mod caller;
mod headers;
mod https;
mod names;
mod platforms;
mod problems;
mod simulated_meta;

/// The name in Meta's certificate, repeated here so that a test fails if the crate's
/// constant changes.
const META: &str = "client.webhooks.fbclientcerts.com";

const SECRET: &str = "6f70656e2073657361";
const TOKEN: &str = "a token & more";
