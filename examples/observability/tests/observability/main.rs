//! The example as a process: what it logs, the traces that a collector gets, and the metrics that
//! Prometheus scrapes.
#![cfg(test)]

mod collector;
mod documented;
mod metrics;
mod prometheus;
mod service;
mod traces;
