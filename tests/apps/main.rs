//! Many apps behind one layer: on paths of their own, and by the name in the path.
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
