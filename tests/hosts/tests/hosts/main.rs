//! One module for each host. `matrix` is about other middleware.

mod axum;
mod axum07;
mod hyper;
mod lambda;
mod matrix;
mod poem;
mod salvo;
mod smol;
mod support;
mod tonic;
mod warp;
