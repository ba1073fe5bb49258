//! One module per host. `placement` tests the places of the layers in axum, `middleware` and
//! `spans` the effect on other middleware at each place, and `matrix` which combinations compile.

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
