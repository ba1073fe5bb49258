//! The table.

mod bodies;
mod handshake;
mod json;
mod methods;
mod signatures;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    [
        handshake::rows(),
        methods::rows(),
        signatures::rows(),
        bodies::rows(),
        json::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
