//! What an operator sees: the lines and metrics of setups that are broken on purpose.
#![cfg(test)]

mod capture;
mod deliveries;
mod metrics;
mod setups;
