use std::{sync::Arc, time::Duration};

use super::{report::Delivery, traffic::Traffic};

/// Settings of a [`Simulator`](super::Simulator), documented at its setters.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) secret: String,
    pub(super) path: String,
    pub(super) seed: u64,
    pub(super) events: usize,
    pub(super) mix: Vec<(Traffic, u32)>,
    pub(super) timestamp: u64,
    pub(super) rate: f64,
    pub(super) concurrency: usize,
    pub(super) max_batch_size: usize,
    pub(super) response_timeout: Duration,
    pub(super) retry_delays: Vec<Duration>,
    pub(super) max_event_age: Duration,
    pub(super) time_scale: f64,
    pub(super) regroup_probability: f64,
    pub(super) redelivery_probability: f64,
    pub(super) duplicate_probability: f64,
    pub(super) on_delivery: Option<OnDelivery>,
}

type OnDelivery = Arc<dyn Fn(&Delivery) + Send + Sync>;

impl Settings {
    pub(super) fn new(secret: String) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            secret,
            path: "/webhook".to_owned(),
            seed: 0,
            events: 500,
            mix: vec![
                (Traffic::Messages, 4),
                (Traffic::Statuses, 4),
                (Traffic::GroupStatuses, 1),
                (Traffic::Edits, 1),
                (Traffic::Accounts, 1),
                (Traffic::Unknown, 1),
            ],
            timestamp: 1_760_000_000,
            rate: 100.0,
            concurrency: 64,
            max_batch_size: 1000,
            response_timeout: Duration::from_secs(5),
            retry_delays: [
                0,
                10,
                MINUTE,
                5 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                6 * HOUR,
                12 * HOUR,
            ]
            .map(Duration::from_secs)
            .to_vec(),
            max_event_age: Duration::from_secs(7 * 24 * HOUR),
            time_scale: 1.0,
            regroup_probability: 0.5,
            redelivery_probability: 0.1,
            duplicate_probability: 0.05,
            on_delivery: None,
        }
    }
}
