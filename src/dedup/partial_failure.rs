use crate::event::{Event, EventKey};

/// The events that a handler did not handle, in the extensions of its response.
///
/// Without it the status speaks for all events: after 2xx all are done, after anything else all
/// come again. With it, the other events are done and do not come again. The delivery is answered
/// with 500 (or the handler's own 5xx), so that Meta repeats it. The handler then gets the failed
/// events only.
///
/// [`of_events`](Self::of_events) is the usual way: it takes the events themselves.
///
/// ```
/// use http::Response;
/// use tower_whatsapp::{Notification, dedup::PartialFailure};
///
/// # fn handle(_: &tower_whatsapp::Event) -> bool { false }
/// fn on_delivery(notification: &Notification) -> Response<()> {
///     let failed = notification.events().iter().filter(|event| !handle(event));
///     let mut response = Response::new(());
///     response.extensions_mut().insert(PartialFailure::of_events(failed));
///     response
/// }
/// ```
///
/// If it names an event or a key that is not in the delivery, no event of the delivery is recorded
/// as done: twice is better than lost. If it names nothing, the status decides alone.
///
/// Only a `DedupLayer` can record the others as done. Where there is none inside the `WebhookLayer`, the delivery is
/// answered with 500, and all its events come again.
///
/// The layer takes it out of the response. Its events keep the body of the delivery alive.
#[derive(Debug, Clone, Default)]
#[must_use = "it has no effect until it is in the extensions of the response"]
pub struct PartialFailure {
    events: Vec<Event>,
    keys: Vec<EventKey>,
}

impl PartialFailure {
    /// These events were not handled, all others were.
    ///
    /// They are events of the [`Notification`](crate::Notification) that the handler got, or
    /// [copies](Event::detach) of them. The host needs no keys, whatever the label of the app and
    /// the layer's own [`key`](super::DedupLayerBuilder::key) function are.
    pub fn of_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        Self {
            events: events.into_iter().cloned().collect(),
            keys: Vec::new(),
        }
    }

    /// The events with these keys were not handled, all others were. For handlers whose results
    /// come from elsewhere and have nothing but keys.
    ///
    /// A key must be the one that the layer uses: [`Event::key_in`] the
    /// [app](crate::Verified::app), which is [`Event::key`] without a label, or the result of the
    /// layer's own [`key`](super::DedupLayerBuilder::key) function.
    pub fn of_keys(keys: impl IntoIterator<Item = EventKey>) -> Self {
        Self {
            events: Vec::new(),
            keys: keys.into_iter().collect(),
        }
    }

    /// Whether it names no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.keys.is_empty()
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn keys(&self) -> &[EventKey] {
        &self.keys
    }
}
