//! One module for each host. `placement` is about places of the layers in axum, `middleware` and
//! `spans` about what happens to other middleware at a place, and `matrix` about what compiles.

mod axum;
mod axum07;
mod hyper;
mod lambda;
mod matrix;
mod middleware;
mod placement;
mod poem;
mod salvo;
mod smol;
mod spans;
mod support;
mod tonic;
mod warp;
