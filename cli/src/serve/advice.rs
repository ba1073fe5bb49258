//! What the library logs about a rejection: the cause and what to do, for the page.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    fmt as format,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The texts seen so far, by the name of the rejection. The library has one text for each.
#[derive(Clone, Default)]
pub(super) struct Advice(Arc<Mutex<HashMap<String, String>>>);

impl Advice {
    /// Listens to all log events of the library. Warnings are also printed on standard error.
    pub(super) fn install() -> Self {
        let advice = Self::default();
        let ours = filter_fn(|metadata| metadata.target() == "tower_whatsapp");
        let printed = format::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            // On standard error too, where it would panic.
            .log_internal_errors(false)
            .with_filter(LevelFilter::from_level(Level::WARN));
        let registry = tracing_subscriber::registry()
            .with(advice.clone().with_filter(ours))
            .with(printed);
        // Fails if there is a subscriber already: then the page lacks the advice.
        let _ = registry.try_init();
        advice
    }

    pub(super) fn of(&self, reason: &str) -> Option<String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(reason).cloned()
    }
}

impl<S: Subscriber> Layer<S> for Advice {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Fields {
            reason: Some(reason),
            message: Some(message),
        } = fields
        {
            let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            texts.entry(reason).or_insert(message);
        }
    }
}

#[derive(Default)]
struct Fields {
    reason: Option<String>,
    message: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "reason" {
            self.reason = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = Some(format!("{value:?}"));
        }
    }
}
