//! Many apps behind one layer: on paths of their own, and by the name in the path.
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
