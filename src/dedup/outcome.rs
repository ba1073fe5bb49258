use std::collections::HashSet;

use crate::event::EventKey;

/// What a handler says of its events one by one, in the extensions of its response.
///
/// Without it the status says it of all: 2xx, and all are done; anything else, and all are to come again. With it, those that are not
/// named are done and will not come again, and the delivery is answered with 500 (or the handler's own 5xx), so that Meta repeats it.
/// The named ones are then the only ones that the handler sees.
///
/// ```
/// use http::Response;
/// use tower_whatsapp::{Notification, dedup::Outcome};
///
/// # fn handle(_: &tower_whatsapp::Event) -> bool { false }
/// fn on_delivery(notification: &Notification) -> Response<()> {
///     let failed = notification.events().iter().filter(|event| !handle(event));
///     let mut response = Response::new(());
///     let outcome = Outcome::failed(failed.map(|event| event.key()));
///     response.extensions_mut().insert(outcome);
///     response
/// }
/// ```
///
/// Keys are those of the layer: [`Event::key`](crate::Event::key), or [`Event::key_in`](crate::Event::key_in) the
/// [app](crate::Verified::app) if it has a label, or what the layer's own [function](super::DedupLayerBuilder::key) says. If there is a
/// key that no event of the delivery has, none of the events is taken for done: better twice than lost. If no key is named, the status
/// decides alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    failed: HashSet<EventKey>,
}

impl Outcome {
    /// The events of these keys were not handled, all others were.
    pub fn failed(keys: impl IntoIterator<Item = EventKey>) -> Self {
        Self {
            failed: keys.into_iter().collect(),
        }
    }

    /// Whether the event of this key was not handled.
    #[must_use]
    pub fn has_failed(&self, key: EventKey) -> bool {
        self.failed.contains(&key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = EventKey> {
        self.failed.iter().copied()
    }

    /// Whether no key is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }
}
