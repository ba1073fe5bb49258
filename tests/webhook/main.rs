//! `WebhookLayer` through its public API: settings, what is refused, bodies, and the host behind
//! it.
#![cfg(test)]

#[cfg(feature = "axum")]
mod axum_router;
mod bodies;
#[cfg(all(feature = "axum", feature = "tokio"))]
mod composition;
mod config;
mod credentials;
mod frames;
mod incomplete_bodies;
mod preconditions;
mod readiness;
#[cfg(all(feature = "apps", feature = "testing", feature = "tokio"))]
mod settings;
mod signature_vectors;
mod time_limits;
#[cfg(all(feature = "axum", feature = "tokio"))]
mod warnings;
