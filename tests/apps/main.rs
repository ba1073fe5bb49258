//! Several apps behind one layer: with their own paths, and by the name in the path.
#![cfg(test)]

mod accounts;
mod config;
mod found;
mod limits;
mod many;
mod routes;
mod strangers;
mod subject;
mod tenants;
