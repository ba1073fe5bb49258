//! The examples as processes, and what the docs say of the features.
#![cfg(test)]

mod documented_features;
mod file_descriptors;
mod servers;
