//! What to do with events, and how to operate a webhook:
//!
//! - [`handling_events`]: messages by their type, the statuses of orders, alerts about the account
//! - [`deploying`]: certificates, client certificates, addresses, shutdown
//! - [`choosing`]: inline, deduplicated, inbox or engine?
//! - [`deduplication`]: stores, settings, slow handlers, queues
//! - [`several_apps`] and [`secret_rotation`]
//! - [`testing`] your handler, and [`memory`]
//! - [`what_others_got_wrong`]: security advisories and bugs of other receivers

// The chapters are also read outside of rustdoc, so their examples have no hidden lines. What they
// need is a condition of the chapter, for doctests alone.
#[doc = include_str!("../docs/handling-events.md")]
pub mod handling_events {}

#[cfg(any(
    not(doctest),
    all(feature = "axum", feature = "client-certificate", feature = "tokio")
))]
#[doc = include_str!("../docs/deploying.md")]
pub mod deploying {}

#[doc = include_str!("../docs/choosing.md")]
pub mod choosing {}

#[cfg(any(not(doctest), all(feature = "axum", feature = "redis")))]
#[doc = include_str!("../docs/deduplication.md")]
pub mod deduplication {}

#[cfg(any(not(doctest), feature = "apps"))]
#[doc = include_str!("../docs/several-apps.md")]
pub mod several_apps {}

#[doc = include_str!("../docs/secret-rotation.md")]
pub mod secret_rotation {}

#[doc = include_str!("../docs/memory.md")]
pub mod memory {}

#[cfg(any(
    not(doctest),
    all(feature = "axum", feature = "testing", feature = "tokio")
))]
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/what-others-got-wrong.md")]
pub mod what_others_got_wrong {}
