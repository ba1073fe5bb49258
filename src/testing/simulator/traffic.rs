use std::collections::HashSet;

use crate::{
    event::{EventKey, State},
    testing::{
        random::Random,
        sample::{self, Sample},
    },
};

/// Kinds of traffic that a [`Simulator`](super::Simulator) mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Traffic {
    /// Messages of many types from many users.
    Messages,
    /// Statuses: two or three of one message each.
    Statuses,
    /// Statuses of messages to groups: the same state of one message, once for each of several participants.
    GroupStatuses,
    /// A message, what it was edited to, and sometimes that it was taken back: each with an id of its own.
    Edits,
    /// Changes of accounts, phone numbers and templates, which have no id.
    Accounts,
    /// Types, fields and states that this version does not know.
    Unknown,
}

impl Traffic {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::Statuses,
        Self::GroupStatuses,
        Self::Edits,
        Self::Accounts,
        Self::Unknown,
    ];

    /// Its name in snake case.
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

/// An event, and what stands in a body for it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) key: EventKey,
    entry: String,
}

const HEAD: &str = r#"{"object":"whatsapp_business_account","entry":["#;
const TAIL: &str = "]}";

/// A delivery with an entry for each of the events.
pub(super) fn body<'a>(events: impl Iterator<Item = &'a Made> + Clone) -> String {
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

/// Makes so many events, of which no two have the same key.
pub(super) fn make(
    count: usize,
    mix: &[(Traffic, u32)],
    time: u64,
    random: &mut Random,
) -> Vec<Made> {
    let mut maker = Maker {
        run: random.next(),
        time,
        made: 0,
        random,
    };
    let mut keys = HashSet::new();
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        let traffic = maker.choose(mix);
        for sample in maker.samples(traffic) {
            let Some(event) = Made::of(&sample) else {
                continue;
            };
            if events.len() < count && keys.insert(event.key) {
                events.push(event);
            }
        }
    }
    events
}

impl Made {
    fn of(sample: &Sample) -> Option<Self> {
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

struct Maker<'a> {
    random: &'a mut Random,
    /// So that the events of two simulations differ.
    run: u64,
    time: u64,
    made: u64,
}

impl Maker<'_> {
    fn choose(&mut self, mix: &[(Traffic, u32)]) -> Traffic {
        let total: usize = mix.iter().map(|&(_, weight)| weight as usize).sum();
        let mut left = self.random.below(total);
        for &(traffic, weight) in mix {
            match left.checked_sub(weight as usize) {
                Some(rest) => left = rest,
                None => return traffic,
            }
        }
        Traffic::Messages
    }

    /// What belongs together.
    fn samples(&mut self, traffic: Traffic) -> Vec<Sample> {
        match traffic {
            Traffic::Messages => {
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
                let sample = self.identified(sample);
                vec![self.by_somebody(sample)]
            }
            Traffic::Statuses => {
                let id = self.id();
                let user = self.user();
                let states: &[State<'_>] = match self.random.below(4) {
                    // `delivered` is left out when a message is read at once.
                    0 => &[State::Sent, State::Read],
                    1 => &[State::Sent, State::Failed],
                    2 => &[State::Sent, State::Delivered],
                    _ => &[State::Sent, State::Delivered, State::Read],
                };
                let time = self.time();
                let statuses = states.iter().zip(0..).map(|(&state, later)| {
                    let status = sample::status(state).id(&*id).timestamp(time + later / 2);
                    Self::by(status.lenient(), user)
                });
                statuses.collect()
            }
            Traffic::GroupStatuses => {
                let names = ["status_group", "status_group_old"];
                let group = self.named(names).id(self.id()).timestamp(self.time());
                let first = self.user();
                let participants = 2 + self.random.below(5);
                (0..participants)
                    .map(|other| Self::by(group.clone(), (first + other) % USERS))
                    .collect()
            }
            Traffic::Edits => {
                let user = self.user();
                let mut samples = Vec::new();
                for name in ["text", "edit", "revoke"] {
                    let sample = self.named([name]);
                    let sample = self.identified(sample);
                    samples.push(Self::by(sample, user));
                }
                samples.truncate(2 + self.random.below(2));
                samples
            }
            Traffic::Accounts => {
                let names = [
                    "account_alert",
                    "account_review",
                    "account_verified",
                    "account_restriction",
                    "business_capability",
                    "template_rejected",
                ];
                self.made += 1;
                let entry = format!("8000000000{:05}", self.random.below(100_000));
                vec![self.named(names).entry_id(entry).timestamp(self.time())]
            }
            Traffic::Unknown => {
                let sample = match self.random.below(3) {
                    0 => sample::unknown_type(),
                    1 => self.named(["unknown_field"]),
                    _ => sample::status(State::Other("sparkling")),
                };
                let sample = self.identified(sample);
                vec![self.by_somebody(sample)]
            }
        }
    }

    fn named<const N: usize>(&mut self, names: [&str; N]) -> Sample {
        let sample = self.random.pick(names).and_then(sample::named);
        // Not all of them have a sender, an id and a time.
        let sample = sample.unwrap_or_else(|| sample::text("A sample of a text"));
        sample.lenient()
    }

    fn identified(&mut self, sample: Sample) -> Sample {
        sample.id(self.id()).timestamp(self.time())
    }

    fn by_somebody(&mut self, sample: Sample) -> Sample {
        let user = self.user();
        Self::by(sample, user)
    }

    fn by(sample: Sample, user: usize) -> Sample {
        // Numbers that are set aside for fiction.
        sample
            .from(format!("120255501{user:02}"))
            .user_id(format!("US.SampleUser{user:04}"))
    }

    fn user(&mut self) -> usize {
        self.random.below(USERS)
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("wamid.SAMPLE{:016x}.{}", self.run, self.made)
    }

    fn time(&mut self) -> u64 {
        self.time.saturating_add(self.made)
    }
}

const USERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, event::Notification};

    fn kinds(mix: &[(Traffic, u32)]) -> HashSet<String> {
        let events = make(300, mix, 1, &mut Random::new(1));
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
    fn every_kind_is_made_and_every_key_survives_grouping() {
        let mut all = HashSet::new();
        for traffic in Traffic::ALL {
            let kinds = kinds(&[(traffic, 1)]);
            assert!(kinds.len() > 1, "{traffic:?}: {kinds:?}");
            all.extend(kinds);
        }
        assert!(all.len() > 20, "{all:?}");
    }

    #[test]
    fn weights_are_kept_and_no_mix_means_messages() {
        let only = kinds(&[(Traffic::Accounts, 0), (Traffic::GroupStatuses, 1)]);
        assert!(
            only.iter().all(|kind| kind.starts_with("status")),
            "{only:?}"
        );
        assert!(kinds(&[]).iter().all(|kind| kind.starts_with("message")));
    }

    #[test]
    fn another_seed_makes_other_events() {
        let keys = |seed| -> HashSet<_> {
            let events = make(200, &[(Traffic::Messages, 1)], 1, &mut Random::new(seed));
            events.into_iter().map(|event| event.key).collect()
        };
        assert_eq!(keys(1), keys(1));
        assert!(keys(1).is_disjoint(&keys(2)));
    }
}
