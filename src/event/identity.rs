//! The ids, states and times that identify an event, read in one pass over it.

use super::{
    call::{CallIds, CallStatusIds},
    event::Event,
    field,
    group::GroupParticipant,
    key::{EventKey, KeyHash},
    message::MessageIds,
    payload::{Kind, Payload, Reason},
    schema::{Decode, IdBytes, Timestamp},
    status::StatusIds,
};

/// What identifies an event. A layer that needs the key and the time of an event reads both from
/// one value, so that the event is read once.
pub(crate) struct EventIdentity<'a> {
    event: &'a Event,
    /// With or without an id. A filter here would move them.
    members: Option<Ids<'a>>,
}

/// The parts of an event of a kind that has an id of its own.
enum Ids<'a> {
    Message(MessageIds<'a>),
    Echo(MessageIds<'a>),
    Status(StatusIds<'a>),
    Call(CallIds<'a>),
    CallStatus(CallStatusIds<'a>),
}

impl<'a> Ids<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        let element = event.element();
        let mut cursor = element.bare_cursor();
        Some(match element.kind() {
            Kind::Message => Self::Message(MessageIds::decode(&mut cursor)?),
            Kind::Echo => Self::Echo(MessageIds::decode(&mut cursor)?),
            Kind::Status => Self::Status(StatusIds::decode(&mut cursor)?),
            Kind::Call => Self::Call(CallIds::decode(&mut cursor)?),
            Kind::CallStatus => Self::CallStatus(CallStatusIds::decode(&mut cursor)?),
            _ => return None,
        })
    }

    fn id(&self) -> Option<&'a [u8]> {
        match self {
            Self::Message(ids) | Self::Echo(ids) => ids.id,
            Self::Status(ids) => ids.id,
            Self::Call(ids) => ids.id,
            Self::CallStatus(ids) => ids.id,
        }
    }

    fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Message(ids) | Self::Echo(ids) => ids.timestamp,
            Self::Status(ids) => ids.timestamp,
            Self::Call(ids) => ids.timestamp,
            Self::CallStatus(ids) => ids.timestamp,
        }
    }

    /// Whether it has all that tells two events about the same id apart.
    fn is_complete(&self) -> bool {
        let has_state = match self {
            // No two of them have the same id.
            Self::Message(_) | Self::Echo(_) => return true,
            Self::Status(ids) => ids.status.is_some(),
            Self::Call(ids) => ids.event.is_some(),
            Self::CallStatus(ids) => ids.state.is_some(),
        };
        has_state && self.timestamp().is_some()
    }

    /// Adds the ids and states to a key.
    fn add_to(&self, hash: &mut KeyHash<'a>, number: Option<&'a [u8]>) {
        match self {
            Self::Message(ids) => {
                hash.add_all([number, Some(b"msg"), ids.id, bytes(ids.kind.flatten())]);
            }
            Self::Echo(ids) => {
                hash.add_all([number, Some(b"echo"), ids.id, bytes(ids.kind.flatten())]);
            }
            Self::Status(ids) => add_status(hash, number, ids),
            Self::Call(ids) => {
                let event = bytes(ids.event.map(|event| event.as_str()));
                hash.add_all([number, Some(b"call"), ids.id, event]);
                hash.add_time(ids.timestamp);
            }
            Self::CallStatus(ids) => {
                hash.add_all([
                    number,
                    Some(b"callst"),
                    ids.id,
                    bytes(ids.state.map(|state| state.as_str())),
                    ids.recipient_id,
                    ids.recipient_user_id,
                ]);
                hash.add_time(ids.timestamp);
            }
        }
    }
}

fn add_status<'a>(hash: &mut KeyHash<'a>, number: Option<&'a [u8]>, ids: &StatusIds<'a>) {
    let payment = ids.payment.get();
    let transaction = payment.and_then(|payment| payment.transaction);
    hash.add_all([
        number,
        Some(b"st"),
        ids.id,
        bytes(ids.status.map(|state| state.as_str())),
        ids.recipient_id,
        ids.recipient_user_id,
        ids.recipient_participant_id,
        ids.recipient_participant_user_id,
        bytes(transaction.and_then(|transaction| transaction.id)),
    ]);
    hash.add_time(ids.timestamp);
    // Meta may report two states of a transaction, and a refund, with the same time of the status.
    if let Some(transaction) = transaction {
        hash.add(bytes(transaction.status));
    }
    for refund in transaction
        .iter()
        .flat_map(|transaction| transaction.refunds)
    {
        hash.add_all([bytes(refund.id), bytes(refund.status)]);
        hash.add_time(refund.updated_timestamp);
    }
}

impl<'a> EventIdentity<'a> {
    /// Reads the identity of an event.
    pub(crate) fn of(event: &'a Event) -> Self {
        Self {
            event,
            members: Ids::of(event),
        }
    }

    /// The ids, if the event has an id of its own.
    fn ids(&self) -> Option<&Ids<'a>> {
        self.members.as_ref().filter(|ids| ids.id().is_some())
    }

    /// [`Event::timestamp`], without reading the event again where it has an id.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self.ids() {
            Some(ids) => ids.timestamp().or_else(|| self.event.entry_time()),
            None => self.event.timestamp(),
        }
    }

    /// [`Event::is_distinguishable`].
    pub(crate) fn is_distinguishable(&self) -> bool {
        self.ids().is_some() || self.timestamp().is_some()
    }

    /// Starts the key of the event for `app`. The caller advances it in steps, because the JSON of
    /// an event may have megabytes.
    pub(crate) fn key_in_steps(&self, app: &'a str) -> KeyHash<'a> {
        let event = self.event;
        let mut hash = KeyHash::new();
        hash.add_all([Some(b"v1"), bytes(Some(app))]);
        let element = event.element();
        let kind = element.kind();
        hash.add(match kind {
            // The most frequent kinds have one field only, so no alias needs a lookup.
            Kind::Message | Kind::Status => element.decode_at::<IdBytes>(element.change().field),
            _ => bytes(event.field().map(field::key_name)),
        });
        let number = event.metadata_phone_number_id_bytes();
        match (kind, self.ids()) {
            (_, Some(ids)) => {
                ids.add_to(&mut hash, number);
                if !ids.is_complete() {
                    hash.add_json(event.raw_bytes());
                }
            }
            // The type, the time and the ids of the event are in the group, not in the participant.
            (Kind::GroupParticipant, None) => match event.payload() {
                Payload::GroupParticipant(participant) => {
                    add_participant(&mut hash, number, event, &participant);
                }
                _ => add_json(&mut hash, number, event),
            },
            // A user action does not name its user; the contact in the value does.
            (Kind::UserAction, None) => {
                add_json(&mut hash, number, event);
                if let Payload::UserAction(action) = event.payload() {
                    let contact = action.contact.get().unwrap_or_default();
                    hash.add_all([bytes(contact.user_id), bytes(contact.wa_id)]);
                }
            }
            // So may the elements of a list that Meta adds.
            (Kind::Unknown(Reason::List), None) => {
                add_json(&mut hash, number, event);
                if let Some(ids) = event.element().ids_of_person_beside() {
                    hash.add_all(ids.map(bytes));
                }
            }
            // The payload may be long and is not decoded: the key only needs its JSON.
            _ => add_json(&mut hash, number, event),
        }
        hash
    }
}

impl Event {
    /// Returns the key that is equal for two deliveries of the same event.
    ///
    /// It is the same in every process and however Meta groups deliveries. The exceptions are user
    /// actions and elements of unknown lists: they need not name their user, so the only contact
    /// beside them is part of the key. Beside other contacts such an event counts as new.
    #[doc(alias = "idempotency")]
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key_in("")
    }

    /// Returns the [`key`](Self::key) within one app.
    ///
    /// Use it in a process that serves several apps: a key that ignores the app makes one of the
    /// subscribed apps miss the event.
    #[must_use]
    pub fn key_in(&self, app: &str) -> EventKey {
        let mut hash = EventIdentity::of(self).key_in_steps(app);
        loop {
            if let Some(key) = hash.advance(usize::MAX) {
                return key;
            }
        }
    }

    /// Returns whether the [`key`](Self::key) differs from that of a later event with the same
    /// content, because the event has an id or a time.
    ///
    /// Meta sends some events without either, such as the errors of a phone number. A later one
    /// with the same content has the same key, so `DedupLayer` does not suppress such events:
    /// they are handled again when Meta redelivers them.
    #[must_use]
    pub fn is_distinguishable(&self) -> bool {
        EventIdentity::of(self).is_distinguishable()
    }
}

fn add_participant<'a>(
    hash: &mut KeyHash<'a>,
    number: Option<&'a [u8]>,
    event: &'a Event,
    participant: &GroupParticipant<'a>,
) {
    hash.add_all([
        number,
        Some(b"participant"),
        bytes(event.element().list()),
        bytes(participant.group_id),
        bytes(participant.event.map(|event| event.as_str())),
        bytes(participant.request_id),
    ]);
    hash.add_json(event.raw_bytes());
    // As of an event of any other kind that has no time of its own.
    hash.add_time(participant.timestamp.or_else(|| event.entry_time()));
}

/// Adds the JSON of an event without an id of its own.
fn add_json<'a>(hash: &mut KeyHash<'a>, number: Option<&'a [u8]>, event: &'a Event) {
    // A number may belong to several entry ids, one for each partner. Some kinds have it in the
    // event.
    let number = number.or_else(|| bytes(event.phone_number_id()));
    let entry_id = match number {
        None => event.entry_id(),
        Some(_) => None,
    };
    hash.add_all([bytes(entry_id), number, bytes(event.element().list())]);
    hash.add_json(event.raw_bytes());
    hash.add_time(event.entry_time());
}

fn bytes(text: Option<&str>) -> Option<&[u8]> {
    text.map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Notification;

    /// Members of an event, with repeated keys and values of unexpected types.
    fn members() -> impl Strategy<Value = String> {
        let keys = vec![
            "id",
            "type",
            "status",
            "timestamp",
            "recipient_id",
            "recipient_user_id",
            "recipient_participant_id",
            "participant_recipient_id",
            "recipient_participant_user_id",
            "payment",
            "event",
            "text",
        ];
        let values = vec![
            r#""a""#,
            r#""""#,
            r#""\u0061b""#,
            "7",
            "1.5",
            "null",
            "true",
            "{}",
            "[]",
            r#""read""#,
            r#""1760000000""#,
            "1760000001",
            r#"{"transaction":{"id":"t","refunds":[{"id":"r","status":"success"}]}}"#,
        ];
        let member = (prop::sample::select(keys), prop::sample::select(values));
        let member = member.prop_map(|(key, value)| format!(r#""{key}":{value}"#));
        prop::collection::vec(member, 0..14).prop_map(|members| members.join(","))
    }

    proptest! {
        /// Keys are stored for weeks, so they must not change when the two readings do.
        #[test]
        fn reads_what_the_payload_reads(members in members()) {
            for (field, list) in [
                ("messages", "messages"),
                ("messages", "statuses"),
                ("message_echoes", "message_echoes"),
                ("calls", "calls"),
                ("calls", "statuses"),
            ] {
                let body = format!(
                    r#"{{"entry":[{{"time":1,"changes":[{{"field":"{field}","value":{{"{list}":[{{{members}}}]}}}}]}}]}}"#
                );
                let notification = Notification::parse(body).unwrap();
                let [event] = notification.events() else { unreachable!("one element") };
                let identity = EventIdentity::of(event);
                prop_assert_eq!(identity.timestamp(), event.timestamp());
                prop_assert_eq!(identity.ids().is_some(), event.id().is_some());
                match (identity.ids(), event.payload()) {
                    (None, _) => {}
                    (Some(Ids::Message(ids)), Payload::Message(message)) => {
                        prop_assert_eq!(ids.id, bytes(message.id));
                        prop_assert_eq!(ids.kind.flatten(), message.kind);
                        prop_assert_eq!(ids.timestamp, message.timestamp);
                    }
                    (Some(Ids::Echo(ids)), Payload::Echo(echo)) => {
                        prop_assert_eq!(ids.id, bytes(echo.id));
                        prop_assert_eq!(ids.kind.flatten(), echo.kind);
                        prop_assert_eq!(ids.timestamp, echo.timestamp);
                    }
                    (Some(Ids::Status(ids)), Payload::Status(status)) => {
                        let recipient = status.recipient;
                        prop_assert_eq!(ids.id, bytes(status.id));
                        prop_assert_eq!(ids.status, status.state);
                        prop_assert_eq!(ids.timestamp, status.timestamp);
                        prop_assert_eq!(ids.recipient_id, bytes(recipient.id));
                        prop_assert_eq!(ids.recipient_user_id, bytes(recipient.user_id));
                        prop_assert_eq!(ids.recipient_participant_id, bytes(recipient.participant_id));
                        prop_assert_eq!(ids.recipient_participant_user_id, bytes(recipient.participant_user_id));
                        prop_assert_eq!(ids.payment, status.payment);
                    }
                    (Some(Ids::Call(ids)), Payload::Call(call)) => {
                        prop_assert_eq!(ids.id, bytes(call.id));
                        prop_assert_eq!(ids.event, call.event);
                        prop_assert_eq!(ids.timestamp, call.timestamp);
                    }
                    (Some(Ids::CallStatus(ids)), Payload::CallStatus(status)) => {
                        prop_assert_eq!(ids.id, bytes(status.id));
                        prop_assert_eq!(ids.state, status.state);
                        prop_assert_eq!(ids.timestamp, status.timestamp);
                        prop_assert_eq!(ids.recipient_id, bytes(status.recipient_id));
                        prop_assert_eq!(ids.recipient_user_id, bytes(status.recipient_user_id));
                    }
                    (_, payload) => prop_assert!(false, "{:?}", payload.name()),
                }
            }
        }
    }

    #[test]
    fn hashing_in_steps_gives_the_same_key() {
        let long = "x".repeat(10_000);
        let body = format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{
                "messages":[{{"id":"wamid.A","type":"text"}}],
                "statuses":[{{"id":"{long}","status":"sent","timestamp":"1"}}],
                "others":[{{"id":"{long}"}}]}}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let hashed = [0, 10_000, 10_000];
        for (event, hashed) in notification.events().iter().zip(hashed) {
            for step in (1..150).chain([500, 5000, 20_000]) {
                let mut hash = EventIdentity::of(event).key_in_steps("app");
                let mut steps = 1;
                let key = loop {
                    if let Some(key) = hash.advance(step) {
                        break key;
                    }
                    steps += 1;
                };
                assert_eq!(key, event.key_in("app"), "{step}");
                assert!(steps >= hashed / step, "{steps} of {step}");
            }
        }
    }
}
