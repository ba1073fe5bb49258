//! The kit for the tests of hosts.
#![cfg(test)]

mod samples;
