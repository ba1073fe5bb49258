use std::collections::HashSet;

use crate::{
    event::{EventKey, State},
    testing::{
        rng::Rng,
        sample::{self, Sample},
    },
};

/// A kind of traffic in the [mix](super::Simulator::mix) of a simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Traffic {
    /// Messages of many types from many users.
    Messages,
    /// Statuses: two or three per message.
    Statuses,
    /// Statuses of messages to groups: the same state of a message, once per participant.
    GroupStatuses,
    /// A message, its edit, and sometimes its deletion, each with an id of its own.
    Edits,
    /// Events of accounts, phone numbers and templates. They have no id.
    Accounts,
    /// Types, fields and states that this version of the crate does not know.
    Unknown,
}

impl Traffic {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Messages,
        Self::Statuses,
        Self::GroupStatuses,
        Self::Edits,
        Self::Accounts,
        Self::Unknown,
    ];

    /// Returns the name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Statuses => "statuses",
            Self::GroupStatuses => "group_statuses",
            Self::Edits => "edits",
            Self::Accounts => "accounts",
            Self::Unknown => "unknown",
        }
    }
}

/// An event, and its entry in a body.
#[derive(Debug)]
pub(super) struct GeneratedEvent {
    pub(super) key: EventKey,
    entry: String,
}

const HEAD: &str = r#"{"object":"whatsapp_business_account","entry":["#;
const TAIL: &str = "]}";

/// Returns a delivery with one entry per event.
pub(super) fn body<'a>(events: impl Iterator<Item = &'a GeneratedEvent> + Clone) -> String {
    let length: usize = events.clone().map(|event| event.entry.len() + 1).sum();
    let mut body = String::with_capacity(HEAD.len() + length + TAIL.len());
    body.push_str(HEAD);
    for (index, event) in events.enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&event.entry);
    }
    body.push_str(TAIL);
    body
}

/// Generates this number of events. No two have the same key.
pub(super) fn generate(
    count: usize,
    mix: &[(Traffic, u32)],
    timestamp: u64,
    rng: &mut Rng,
) -> Vec<GeneratedEvent> {
    let mut generator = Generator {
        run: rng.next_u64(),
        timestamp,
        generated: 0,
        rng,
    };
    let mut keys = HashSet::new();
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        let traffic = generator.choose(mix);
        for sample in generator.samples(traffic) {
            let Some(event) = GeneratedEvent::new(&sample) else {
                continue;
            };
            if events.len() < count && keys.insert(event.key) {
                events.push(event);
            }
        }
    }
    events
}

impl GeneratedEvent {
    /// Returns `None` if the sample has more than one event.
    fn new(sample: &Sample) -> Option<Self> {
        let notification = sample.notification();
        let [event] = notification.events() else {
            return None;
        };
        let body = std::str::from_utf8(notification.body()).ok()?;
        Some(Self {
            key: event.key(),
            entry: body.strip_prefix(HEAD)?.strip_suffix(TAIL)?.to_owned(),
        })
    }
}

struct Generator<'a> {
    rng: &'a mut Rng,
    /// Part of every id, so that the events of two runs differ.
    run: u64,
    timestamp: u64,
    /// Number of ids generated so far.
    generated: u64,
}

impl Generator<'_> {
    fn choose(&mut self, mix: &[(Traffic, u32)]) -> Traffic {
        let total: usize = mix.iter().map(|&(_, weight)| weight as usize).sum();
        let mut left = self.rng.below(total);
        for &(traffic, weight) in mix {
            match left.checked_sub(weight as usize) {
                Some(rest) => left = rest,
                None => return traffic,
            }
        }
        Traffic::Messages
    }

    /// Returns related samples of this kind.
    fn samples(&mut self, traffic: Traffic) -> Vec<Sample> {
        match traffic {
            Traffic::Messages => vec![self.message()],
            Traffic::Statuses => self.statuses(),
            Traffic::GroupStatuses => self.group_statuses(),
            Traffic::Edits => self.edits(),
            Traffic::Accounts => vec![self.account()],
            Traffic::Unknown => vec![self.unknown()],
        }
    }

    fn message(&mut self) -> Sample {
        let names = [
            "text",
            "text",
            "text",
            "bsuid_only",
            "group_text",
            "quoted_text",
            "image",
            "audio",
            "document",
            "location",
            "button_reply",
            "list_reply",
            "reaction",
            "order",
            "unsupported",
        ];
        let sample = self.named(names);
        let sample = self.with_identity(sample);
        self.with_random_user(sample)
    }

    fn statuses(&mut self) -> Vec<Sample> {
        let id = self.id();
        let user = self.user();
        let states: &[State<'_>] = match self.rng.below(4) {
            // Meta leaves out `delivered` when a message is read at once.
            0 => &[State::Sent, State::Read],
            1 => &[State::Sent, State::Failed],
            2 => &[State::Sent, State::Delivered],
            _ => &[State::Sent, State::Delivered, State::Read],
        };
        let time = self.time();
        let statuses = states.iter().zip(0..).map(|(&state, later)| {
            let status = sample::status(state)
                .id(&*id)
                .timestamp(time.saturating_add(later / 2));
            Self::with_user(status.lenient(), user)
        });
        statuses.collect()
    }

    fn group_statuses(&mut self) -> Vec<Sample> {
        let names = ["status_group", "status_group_old"];
        let group = self.named(names).id(self.id()).timestamp(self.time());
        let first = self.user();
        let participants = 2 + self.rng.below(5);
        (0..participants)
            .map(|other| Self::with_user(group.clone(), (first + other) % USERS))
            .collect()
    }

    fn edits(&mut self) -> Vec<Sample> {
        let user = self.user();
        let mut samples = Vec::new();
        for name in ["text", "edit", "revoke"] {
            let sample = self.named([name]);
            let sample = self.with_identity(sample);
            samples.push(Self::with_user(sample, user));
        }
        samples.truncate(2 + self.rng.below(2));
        samples
    }

    fn account(&mut self) -> Sample {
        let names = [
            "account_alert",
            "account_review",
            "account_verified",
            "account_restriction",
            "business_capability",
            "template_rejected",
        ];
        self.generated += 1;
        let entry = format!("8000000000{:05}", self.rng.below(100_000));
        self.named(names).entry_id(entry).timestamp(self.time())
    }

    fn unknown(&mut self) -> Sample {
        let sample = match self.rng.below(3) {
            0 => sample::unknown_type(),
            1 => self.named(["unknown_field"]),
            _ => sample::status(State::Other("sparkling")),
        };
        let sample = self.with_identity(sample);
        self.with_random_user(sample)
    }

    fn named<const N: usize>(&mut self, names: [&str; N]) -> Sample {
        let sample = self.rng.choose(names).and_then(sample::named);
        let sample = sample.unwrap_or_else(|| sample::text("A sample of a text"));
        // Some samples have no sender, id or time.
        sample.lenient()
    }

    fn with_identity(&mut self, sample: Sample) -> Sample {
        sample.id(self.id()).timestamp(self.time())
    }

    fn with_random_user(&mut self, sample: Sample) -> Sample {
        let user = self.user();
        Self::with_user(sample, user)
    }

    fn with_user(sample: Sample, user: usize) -> Sample {
        // Phone numbers reserved for fiction.
        sample
            .from(format!("120255501{user:02}"))
            .user_id(format!("US.SampleUser{user:04}"))
    }

    fn user(&mut self) -> usize {
        self.rng.below(USERS)
    }

    fn id(&mut self) -> String {
        self.generated += 1;
        format!("wamid.SAMPLE{:016x}.{}", self.run, self.generated)
    }

    fn time(&mut self) -> u64 {
        self.timestamp.saturating_add(self.generated)
    }
}

/// Number of users.
const USERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, event::Notification};

    fn kinds(mix: &[(Traffic, u32)]) -> HashSet<String> {
        let events = generate(300, mix, 1, &mut Rng::new(1));
        assert_eq!(events.len(), 300);
        let whole = Notification::parse(body(events.iter())).unwrap();
        assert!(
            whole
                .events()
                .iter()
                .map(Event::key)
                .eq(events.iter().map(|event| event.key))
        );
        let name = |event: &Event| format!("{} {:?}", event.kind(), event.payload().subtype());
        whole.events().iter().map(name).collect()
    }

    #[test]
    fn every_kind_is_generated_and_batches_keep_the_keys() {
        let mut all = HashSet::new();
        for &traffic in Traffic::ALL {
            let kinds = kinds(&[(traffic, 1)]);
            assert!(kinds.len() > 1, "{traffic:?}: {kinds:?}");
            all.extend(kinds);
        }
        assert!(all.len() > 20, "{all:?}");
    }

    #[test]
    fn the_mix_follows_its_weights_and_defaults_to_messages() {
        let only = kinds(&[(Traffic::Accounts, 0), (Traffic::GroupStatuses, 1)]);
        assert!(
            only.iter().all(|kind| kind.starts_with("status")),
            "{only:?}"
        );
        assert!(kinds(&[]).iter().all(|kind| kind.starts_with("message")));
    }

    #[test]
    fn different_seeds_give_different_events() {
        let keys = |seed| -> HashSet<_> {
            let events = generate(200, &[(Traffic::Messages, 1)], 1, &mut Rng::new(seed));
            events.into_iter().map(|event| event.key).collect()
        };
        assert_eq!(keys(1), keys(1));
        assert!(keys(1).is_disjoint(&keys(2)));
    }
}
