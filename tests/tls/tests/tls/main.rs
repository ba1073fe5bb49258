//! Who has shown which certificate: over TLS, to the example `https`, and by the headers of proxies. All certificates are made here.
#![cfg(test)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "what the tests of examples share"
)]

mod caller;
mod fake_meta;
mod headers;
mod https;
mod names;
mod platforms;

/// What Meta's certificate is called, written out again: a test must notice when it moves.
const META: &str = "client.webhooks.fbclientcerts.com";

const SECRET: &str = "6f70656e2073657361";
const TOKEN: &str = "a token & more";
