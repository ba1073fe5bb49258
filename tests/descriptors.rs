//! The examples, as processes that may open few files, under more connections than that.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
// What a process has open, and whether it is busy, is asked of /proc.
#![cfg(target_os = "linux")]

#[path = "support/exhaustion.rs"]
mod exhaustion;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "these tests need servers and nothing else")]
mod process;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use self::{exhaustion::Exhausted, process::Process};

const ENV: [(&str, &str); 2] = [
    ("WHATSAPP_APP_SECRET", "6f70656e2073657361"),
    ("WHATSAPP_VERIFY_TOKEN", "a-token"),
];

/// A handshake of Meta.
fn serves(stream: &mut TcpStream) {
    let query = "hub.mode=subscribe&hub.verify_token=a-token&hub.challenge=1158201444";
    let request = format!("GET /webhook?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"1158201444") {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

fn without_descriptors(example: &str) {
    let command = process::command_with_descriptors(example, exhaustion::DESCRIPTORS);
    let (process, address) = Process::listen(command, &ENV);
    let mut exhausted = Exhausted::new(&process, address);
    // Who is in is served, while nobody else gets in.
    serves(exhausted.first());
    exhausted.is_idle();
    drop(exhausted);
    serves(&mut exhaustion::connect(address));
    let output = process.interrupt();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn axum_goes_on() {
    without_descriptors("quickstart");
}

#[test]
fn hyper_goes_on() {
    without_descriptors("hyper");
}

#[cfg(feature = "tokio")]
#[test]
fn shutdown_goes_on() {
    without_descriptors("shutdown");
}

#[test]
fn tonic_goes_on() {
    without_descriptors("tonic");
}
