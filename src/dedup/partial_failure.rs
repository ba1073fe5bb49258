use http::{Response, StatusCode};

use crate::event::{Event, EventKey};

/// The events that a handler failed to handle. A handler puts it into its response with
/// [`mark`](Self::mark).
///
/// Without it, the status counts for all events: after a 2xx all are done, after any other status
/// all are handled again. With it, all other events are done. The delivery is answered with 500, or
/// with the handler's own 5xx, so that Meta repeats it. The handler then gets the failed events
/// only.
///
/// Usually [`of_events`](Self::of_events) is enough: it takes the events themselves.
///
/// ```
/// use http::Response;
/// use tower_whatsapp::{Notification, dedup::PartialFailure};
///
/// # fn handle(_: &tower_whatsapp::Event) -> bool { false }
/// fn on_delivery(notification: &Notification) -> Response<()> {
///     let failed = notification.events().iter().filter(|event| !handle(event));
///     let mut response = Response::new(());
///     PartialFailure::of_events(failed).mark(&mut response);
///     response
/// }
/// ```
///
/// If it has an event or a key that is not in the delivery, no event of the delivery is recorded as
/// done, because an event that is handled twice is better than a lost one. The delivery is rejected
/// as [`FailureUnmatched`](super::DedupRejectionKind::FailureUnmatched). If it has only
/// [foreign](crate::Notification::foreign) events, all others are recorded as done, and the handler
/// gets the foreign ones again at the next delivery. If it is empty, the status alone decides.
///
/// Only a `DedupLayer` can record the other events as done. Without one inside the `WebhookLayer`,
/// the delivery is answered with 500, and all its events are handled again.
///
/// The layer removes it from the response. Its events keep the body of the delivery in memory.
#[doc(alias = "partial batch response")]
#[derive(Debug, Clone, Default)]
#[must_use = "it has no effect until `mark` puts it into the response"]
pub struct PartialFailure {
    events: Vec<Event>,
    keys: Vec<EventKey>,
}

impl PartialFailure {
    /// Reports these events as failed and all others as handled.
    ///
    /// They are events of the [`Notification`](crate::Notification) that the handler got, or
    /// [copies](Event::detach) of them. The layer finds their keys, whatever the label of the app
    /// and its own [`key`](super::DedupLayerBuilder::key) function are.
    pub fn of_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        Self {
            events: events.into_iter().cloned().collect(),
            keys: Vec::new(),
        }
    }

    /// Reports the events with these keys as failed and all others as handled. For results that
    /// come from another process and have only the keys.
    ///
    /// A key must be the one that the layer uses. That is [`Event::key_in`] the
    /// [app](crate::Verified::app), or [`Event::key`] if the app has no label. With a custom
    /// [`key`](super::DedupLayerBuilder::key) function it is the result of that function.
    pub fn of_keys(keys: impl IntoIterator<Item = EventKey>) -> Self {
        Self {
            events: Vec::new(),
            keys: keys.into_iter().collect(),
        }
    }

    /// Adds this to what the response reports already, and sets its status to 500 if that is a
    /// success. Does nothing if it [is empty](Self::is_empty).
    ///
    /// Middleware that builds a new response loses the extension. Thanks to the status all events
    /// are then handled again, and none is lost. A host that inserts the extension itself must
    /// answer with a failure too, and replaces what was there.
    pub fn mark<B>(mut self, response: &mut Response<B>) {
        if self.is_empty() {
            return;
        }
        if let Some(earlier) = response.extensions_mut().remove::<Self>() {
            self.events.extend(earlier.events);
            self.keys.extend(earlier.keys);
        }
        if response.status().is_success() {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        response.extensions_mut().insert(self);
    }

    /// Whether it has no event and no key.
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
