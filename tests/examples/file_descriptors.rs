//! The examples, as processes that may open few files, under more connections than that.
// What a process has open, and whether it is busy, is asked of /proc.
#![cfg(target_os = "linux")]

use test_support::exhaustion::goes_on;

#[test]
fn axum_goes_on() {
    goes_on("quickstart");
}

#[test]
fn hyper_goes_on() {
    goes_on("hyper");
}

#[test]
fn shutdown_goes_on() {
    goes_on("shutdown");
}
