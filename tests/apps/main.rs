//! Several apps behind one layer: with their own paths, and by the name in the path.
#![cfg(test)]

mod accounts;
mod config;
mod limits;
mod lookups;
mod made_up_names;
mod resolvers;
mod routes;
mod subject;
mod ten_thousand;
