//! For the tests of hosts: deliveries as Meta sends them, and their signatures.
//!
//! There is a [`sample`] of every field, message type and event that this crate knows, and some that it does not. They were written for
//! this module after Meta's documentation; every number, name and id in them is made up.
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
//! // What your service does with one message.
//! let body = sample::text("hi").from("16505550001").body();
//! let request = testing::delivery("/webhook", body, "the app secret");
//! let response = app.clone().oneshot(request.map(Body::from)).await?;
//! assert_eq!(response.status(), 200);
//!
//! // And what it does with everything that there is.
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
Two more are for what takes longer than one delivery. A [`Simulator`] sends what Meta sends in seven days, with everything that it repeats; a
[`FaultyStore`] fails as a store behind a network does."
)]

mod accounts;
mod chats;
#[cfg(feature = "tokio")]
mod faults;
mod messages;
#[cfg(feature = "tokio")]
mod random;
pub mod sample;
#[cfg(feature = "tokio")]
mod simulator;
mod statuses;
#[cfg(feature = "tokio")]
pub mod store;
mod template;
mod templates;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header::CONTENT_TYPE};

pub use self::sample::Sample;
#[cfg(feature = "tokio")]
pub use self::{
    faults::{FaultCounts, Faults, FaultyStore},
    simulator::{Answer, Delivery, History, Report, Simulator, Traffic},
};
use crate::{secret::AppSecret, signature::SIGNATURE_HEADER};

/// Signs a body as Meta does: the value of the header [`SIGNATURE_HEADER`].
///
/// ```
/// use tower_whatsapp::testing::sign;
///
/// assert_eq!(
///     sign(br#"{"object":"whatsapp_business_account","entry":[]}"#, "test_app_secret"),
///     "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
/// );
/// ```
///
/// # Panics
///
/// If the secret is blank, or begins or ends with white space: no app secret does.
#[must_use]
#[track_caller]
#[expect(
    clippy::expect_used,
    reason = "a test with such a secret is wrong; hexadecimal digits are a header value"
)]
pub fn sign(body: &[u8], secret: &str) -> HeaderValue {
    let mut mac = AppSecret::new(secret)
        .expect("the secret of a test must not be blank or have white space around it")
        .mac();
    mac.update(body);
    let mut value = String::from("sha256=");
    for byte in mac.finish().to_bytes() {
        value.push(digit(byte >> 4));
        value.push(digit(byte & 0xf));
    }
    HeaderValue::try_from(value).expect("hexadecimal digits are a header value")
}

/// Makes the POST that brings a body, signed under a secret. Turn its body into the type that your service takes with
/// [`Request::map`]: `request.map(axum::body::Body::from)`, or `request.map(http_body_util::Full::new)`.
///
/// # Panics
///
/// If the path is none, or the secret is blank, or begins or ends with white space.
#[must_use]
#[track_caller]
#[expect(clippy::expect_used, reason = "a test with such a path is wrong")]
pub fn delivery(path: &str, body: impl Into<Bytes>, secret: &str) -> Request<Bytes> {
    let body = body.into();
    let signature = sign(&body, secret);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::try_from(path).expect("the path of a test must be one");
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(SIGNATURE_HEADER, signature);
    request
}

/// The lower-case hexadecimal digit of a number below 16.
fn digit(number: u8) -> char {
    char::from_digit(u32::from(number), 16).unwrap_or('0')
}
