//! Sample deliveries in Meta's format.
//!
//! A [`Sample`] builds a delivery: set the values that your test is about, combine several samples
//! into one, and take the [`body`](Sample::body) or the [`notification`](Sample::notification).
//!
//! ```
//! use tower_whatsapp::{Payload, event::State, testing::sample};
//!
//! let notification = sample::text("Grüße")
//!     .from("16505550001")
//!     .and(sample::status(State::Read).repeat(2))
//!     .notification();
//! let [text, first, second] = notification.events() else { unreachable!() };
//!
//! let Payload::Message(message) = text.payload() else { unreachable!() };
//! assert_eq!(message.sender.phone, Some("16505550001"));
//! // The events of a delivery differ, and the same sample always has the same events.
//! assert_ne!(first.key(), second.key());
//! ```

#![doc = include_str!("samples.md")]

mod builder;
mod catalog;
mod part;
mod template;
mod writer;

pub use self::builder::Sample;
use self::catalog::templates;
use crate::event::State;

/// Returns a text message.
pub fn text(body: impl Into<String>) -> Sample {
    known("text").text(body)
}

/// Returns a status. [`State::Other`] makes one with a state that this version does not know.
pub fn status(state: State<'_>) -> Sample {
    let sample = named(&format!("status_{}", state.as_str()));
    sample
        .unwrap_or_else(|| known("unknown_state"))
        .state(state)
}

/// Returns a message from a user whose phone number Meta does not share: it has a business-scoped
/// user id and a user name.
#[doc(alias = "bsuid")]
pub fn bsuid_only() -> Sample {
    known("bsuid_only")
}

/// Returns a message of a type that this version does not know. Meta adds types without notice.
pub fn unknown_type() -> Sample {
    known("unknown_type")
}

/// Returns a delivery with this number of events: half text messages, half statuses. An odd number
/// has one message more.
pub fn batch(events: usize) -> Sample {
    let statuses = events / 2;
    text("A sample of a text")
        .repeat(events - statuses)
        .and(status(State::Delivered).repeat(statuses))
}

/// Returns the sample with this name, if there is one: `image`, `list_reply`, `call_connect`,
/// `template_rejected`, ….
#[must_use]
pub fn named(name: &str) -> Option<Sample> {
    templates()
        .find(|template| template.name == name)
        .map(Sample::new)
}

/// Returns all samples with their names: every known field, type and event, and some unknown ones,
/// whose names start with `unknown`.
///
/// Later versions of this crate add samples, as Meta adds fields and types.
#[must_use]
pub fn all() -> Vec<(&'static str, Sample)> {
    templates()
        .map(|template| (template.name, Sample::new(template)))
        .collect()
}

#[expect(
    clippy::expect_used,
    reason = "called with names from the catalog only"
)]
fn known(name: &str) -> Sample {
    named(name).expect("there is a sample of this name")
}
