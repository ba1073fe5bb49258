//! Runs the examples with a low limit of open files, and more connections than that.
// Open files and CPU usage are read from /proc.
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
