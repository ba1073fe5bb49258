//! The table.

mod apps;
mod bodies;
#[cfg(feature = "admission")]
mod callers;
mod handshake;
mod json;
mod methods;
mod signatures;
pub(crate) mod wire;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    [
        handshake::rows(),
        methods::rows(),
        signatures::rows(),
        bodies::rows(),
        json::rows(),
        apps::rows(),
        #[cfg(feature = "admission")]
        callers::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
