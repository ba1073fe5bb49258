//! A [Tower](tower) layer that turns the webhooks of Meta's WhatsApp Business Platform into verified, typed events inside your own HTTP
//! service.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings, rust_2018_idioms), allow(dead_code, unused_variables))))]

pub mod event;
#[cfg(feature = "axum")]
pub mod extract;
mod handshake;
mod receive;
pub mod secret;
pub mod signature;
pub mod webhook;

pub use self::{
    event::{Event, Notification, Payload},
    webhook::{ConfigError, Rejection, RejectionKind, Verified, WebhookLayer, WebhookLayerBuilder},
};
