//! The deliveries, and when which event was acknowledged and started.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tower_whatsapp::{Notification, testing::sample};

/// Events in each conversation.
const PER_CONVERSATION: usize = 40;

/// One message, of about the length of a usual one.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) conversation: String,
    number: usize,
}

impl Message {
    pub(crate) fn many(prefix: &str, count: usize) -> Vec<Self> {
        let persons = (count / PER_CONVERSATION).max(50);
        (0..count)
            .map(|number| Self {
                id: format!("wamid.{prefix}{number}"),
                conversation: format!("49155{:08}", number % persons),
                number,
            })
            .collect()
    }

    pub(crate) fn sample(&self) -> sample::Sample {
        sample::text("Hello, is the blue one available in size 42? I would take two of them.")
            .from(self.conversation.clone())
            .user_id(format!("DE.{}", self.conversation))
            .id(self.id.clone())
            .timestamp(1_790_000_000 + self.number as u64)
    }

    /// The event alone, as a job for other queues.
    pub(crate) fn job(&self) -> String {
        let notification: Notification = self.sample().notification();
        let event = notification.events().first().map(|event| event.to_queue());
        String::from_utf8(event.unwrap_or_default().to_vec()).unwrap_or_default()
    }
}

/// Deliveries of 1 to 50 events.
pub(crate) fn mixed(mut messages: &[Message]) -> Vec<Vec<Message>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut deliveries = Vec::new();
    while !messages.is_empty() {
        let (first, rest) = messages.split_at(random.usize(1..51).min(messages.len()));
        deliveries.push(first.to_vec());
        messages = rest;
    }
    deliveries
}

/// When events were acknowledged and when their handlers started.
#[derive(Clone, Default)]
pub(crate) struct Times {
    times: Arc<Mutex<HashMap<String, (Option<Instant>, Option<Instant>)>>>,
}

impl Times {
    pub(crate) fn acknowledged(&self, id: &str) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(id.to_owned()).or_default().0 = Some(Instant::now());
    }

    pub(crate) fn started(&self, id: &str) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(id.to_owned()).or_default().1 = Some(Instant::now());
    }

    /// A handler that starts before the acknowledgement has arrived took no time.
    pub(crate) fn waited(&self) -> Vec<Duration> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = |(acknowledged, started): &(Option<Instant>, Option<Instant>)| {
            Some(
                started
                    .as_ref()?
                    .saturating_duration_since((*acknowledged)?),
            )
        };
        times.values().filter_map(waited).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
