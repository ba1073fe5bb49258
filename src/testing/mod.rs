//! A testing kit for hosts: signed sample deliveries, a simulator of Meta, and store checks.
//!
//! There is a [`sample`] of every field, message type and event that this crate knows, and of some
//! that it does not know. The samples were written for this module after Meta's documentation:
//! all phone numbers, names and ids are made up.
//!
//! ```sh
//! cargo add --dev tower-whatsapp --features testing
//! cargo add --dev tower --features util
//! cargo add --dev tokio --features macros,rt   # for `#[tokio::test]`
//! ```
//!
//! ```
//! use axum::{Extension, Router, body::Body, routing::post};
//! use tower::ServiceExt;
//! use tower_whatsapp::{Notification, WebhookLayer, testing::{self, sample}};
//!
//! async fn on_event(Extension(notification): Extension<Notification>) -> String {
//!     notification.events().len().to_string()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let whatsapp = WebhookLayer::new("/webhook", "the app secret", "the verify token")?;
//! let app = Router::new().route("/webhook", post(on_event)).layer(whatsapp);
//!
//! // Test the service with one message.
//! let body = sample::text("hi").from("16505550001").body();
//! let request = testing::delivery("/webhook", body, "the app secret");
//! let response = app.clone().oneshot(request.map(Body::from)).await?;
//! assert_eq!(response.status(), 200);
//!
//! // And with every sample.
//! for (name, sample) in sample::all() {
//!     let request = testing::delivery("/webhook", sample.body(), "the app secret");
//!     let response = app.clone().oneshot(request.map(Body::from)).await?;
//!     assert_eq!(response.status(), 200, "{name}");
//! }
//! # Ok(()) }
//! ```

#![cfg_attr(
    feature = "tokio",
    doc = "
For tests of more than one delivery, a [`Simulator`] delivers events as Meta does over seven days,
with retries, duplicates and redeliveries. A [`FaultyStore`] injects the faults of a store behind a
network, and [`store::conformance`] checks a store of your own."
)]

#[cfg(feature = "tokio")]
mod fault_rates;
#[cfg(feature = "tokio")]
mod faulty_store;
mod request;
#[cfg(feature = "tokio")]
mod rng;
pub mod sample;
#[cfg(feature = "tokio")]
mod simulator;
#[cfg(feature = "tokio")]
pub mod store;

#[cfg(feature = "tokio")]
pub use self::{
    fault_rates::FaultRates,
    faulty_store::{FaultCounts, FaultyStore},
    simulator::{Delivery, DeliveryOutcome, EventHistory, Report, Simulator, Traffic},
};
pub use self::{
    request::{delivery, sign},
    sample::Sample,
};
