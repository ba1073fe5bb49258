//! Which conversation, and which lane, an event belongs to.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tower_whatsapp::{
    Event,
    event::{Call, CallStatus, Content, Payload, Sender, Status, System},
};

/// Lanes of messages and of what belongs with them.
pub(crate) const MESSAGES: i16 = 0;
/// Lanes of statuses, histories and the like: many, and not urgent.
pub(crate) const BULK: i16 = 1;

/// Maximum length of a conversation, bytes. Longer ones end in a hash. An index of PostgreSQL
/// takes entries of 2,700 bytes.
const MAX_LEN: usize = 300;

/// Where an event belongs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) conversation: String,
    /// Stands before the conversation in the name of the lane.
    pub(crate) prefix: &'static str,
    pub(crate) class: i16,
    /// New and old conversation of a person whose id has changed.
    pub(crate) aliases: Vec<(String, String)>,
}

/// One person, by the ids that a conversation is named after.
#[derive(Clone, Copy, Default)]
struct Person<'a> {
    group: Option<&'a str>,
    user: Option<&'a str>,
    number: Option<&'a str>,
}

impl Place {
    pub(crate) fn of(event: &Event, app: &str) -> Self {
        let scope = Scope { event, app };
        let payload = event.payload();
        let (class, prefix) = match payload {
            Payload::Status(_) | Payload::StandbyStatus(_) => (BULK, "status "),
            Payload::HistoryMessage(_) | Payload::HistoryProgress(_) | Payload::AppState(_) => {
                (BULK, "history ")
            }
            Payload::TrackingEvent(_) => (BULK, "tracking "),
            _ => (MESSAGES, ""),
        };
        let mut aliases = Vec::new();
        let person = match payload {
            Payload::Message(message) | Payload::StandbyMessage(message) => {
                let mut person = of_sender(&message.sender);
                if let Content::System(system) = &message.content {
                    person = scope.follow(person, system, &mut aliases);
                }
                person.group = message.group_id;
                person
            }
            Payload::Status(status) | Payload::StandbyStatus(status) => of_status(&status),
            Payload::UserIdUpdate(update) => {
                let change = update.user_id.unwrap_or_default();
                scope.alias(
                    Person::user(change.current),
                    Person::user(change.previous),
                    &mut aliases,
                );
                Person {
                    user: change.previous.or(change.current),
                    number: update.wa_id,
                    group: None,
                }
            }
            payload => of_payload(&payload),
        };
        Self {
            conversation: scope.name(person),
            prefix,
            class,
            aliases,
        }
    }
}

impl<'a> Person<'a> {
    fn new(user: Option<&'a str>, number: Option<&'a str>) -> Self {
        let group = None;
        Self {
            group,
            user,
            number,
        }
    }

    fn user(user: Option<&'a str>) -> Self {
        Self::new(user, None)
    }

    fn number(number: Option<&'a str>) -> Self {
        Self::new(None, number)
    }
}

fn of_sender<'a>(sender: &Sender<'a>) -> Person<'a> {
    Person::new(sender.user_id(), sender.wa_id().or(sender.phone))
}

fn of_status<'a>(status: &Status<'a>) -> Person<'a> {
    let recipient = &status.recipient;
    let is_group = recipient.kind == Some("group");
    Person {
        group: status.group_id.or(recipient.id.filter(|_| is_group)),
        user: recipient.user_id,
        number: recipient.id,
    }
}

fn of_call<'a>(call: &Call<'a>) -> Person<'a> {
    // The business is one of the two; the contact is the other.
    let contact = call.contact.get().unwrap_or_default();
    let user = contact.user_id.or(call.from_user_id).or(call.to_user_id);
    let is_outgoing = call
        .direction
        .is_some_and(|direction| direction.as_str() == "BUSINESS_INITIATED");
    let number = if is_outgoing { call.to } else { call.from };
    Person::new(user, contact.wa_id.or(number))
}

fn of_call_status<'a>(status: &CallStatus<'a>) -> Person<'a> {
    Person::new(status.recipient_user_id, status.recipient_id)
}

fn of_payload<'a>(payload: &Payload<'a>) -> Person<'a> {
    match payload {
        Payload::Call(call) => of_call(call),
        Payload::CallStatus(status) => of_call_status(status),
        Payload::Echo(echo) => Person::new(echo.to_user_id, echo.to),
        Payload::StandbyEcho(echo) => {
            let contact = echo.contact.get().unwrap_or_default();
            Person::new(contact.user_id, contact.wa_id)
        }
        Payload::UserAction(action) => {
            let contact = action.contact.get().unwrap_or_default();
            Person::new(contact.user_id, contact.wa_id)
        }
        Payload::Handover(handover) => {
            let sender = handover.sender.unwrap_or_default();
            Person::new(sender.user_id, sender.phone_number)
        }
        Payload::UserPreference(preference) => Person::new(preference.user_id, preference.wa_id),
        Payload::Group(group) => Person {
            group: group.group_id,
            ..Person::default()
        },
        Payload::GroupParticipant(participant) => Person {
            group: participant.group_id,
            ..Person::default()
        },
        Payload::HistoryMessage(message) => {
            let thread = message.thread.unwrap_or_default();
            Person::new(thread.user_id, thread.wa_id.or(message.thread_id))
        }
        _ => Person::default(),
    }
}

/// The app and number within which ids are unique.
struct Scope<'a> {
    event: &'a Event,
    app: &'a str,
}

impl Scope<'_> {
    /// Returns the person that the conversation is named after, and notes its new names.
    fn follow<'a>(
        &self,
        sender: Person<'a>,
        system: &System<'a>,
        aliases: &mut Vec<(String, String)>,
    ) -> Person<'a> {
        let Some(previous) = system.previous_user_id else {
            if system.user_id.is_none() {
                // The number of a person without user id has changed.
                let number = sender.number;
                self.alias(
                    Person::number(system.wa_id),
                    Person::number(number),
                    aliases,
                );
            }
            return sender;
        };
        let current = system.user_id.or(sender.user);
        self.alias(Person::user(current), Person::user(Some(previous)), aliases);
        Person {
            user: Some(previous),
            ..sender
        }
    }

    fn alias(&self, new: Person<'_>, old: Person<'_>, aliases: &mut Vec<(String, String)>) {
        if new.is_known() && old.is_known() {
            let (new, old) = (self.name(new), self.name(old));
            if new != old {
                aliases.push((new, old));
            }
        }
    }

    /// The name of a conversation: `app/number/user/US.1`.
    fn name(&self, person: Person<'_>) -> String {
        let (kind, id) = match person {
            Person {
                group: Some(id), ..
            } => ("group", id),
            Person { user: Some(id), .. } => ("user", id),
            Person {
                number: Some(id), ..
            } => ("wa", id.strip_prefix('+').unwrap_or(id)),
            _ => match self.event.phone_number_id() {
                Some(_) => ("number", ""),
                None => ("account", self.event.entry_id().unwrap_or_default()),
            },
        };
        let number = self.event.phone_number_id().unwrap_or("-");
        let app = self.app;
        bounded(format!("{app}/{number}/{kind}/{id}"))
    }
}

impl Person<'_> {
    fn is_known(&self) -> bool {
        self.user.is_some() || self.number.is_some()
    }
}

/// A text that PostgreSQL can index: without NUL, and not too long.
pub(crate) fn bounded(mut text: String) -> String {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > MAX_LEN {
        let hash = Sha256::digest(&text);
        let mut end = MAX_LEN - 2 * 16 - 4;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('#');
        for byte in hash.iter().take(16) {
            // Writing to a text does not fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tower_whatsapp::Notification;

    use super::*;

    fn place(field: &str, value: &str) -> Place {
        let body = format!(
            r#"{{"entry":[{{"id":"9","changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let [event] = notification.events() else {
            panic!("one event is expected")
        };
        Place::of(event, "app")
    }

    fn message(json: &str) -> Place {
        let value =
            format!(r#"{{"metadata":{{"phone_number_id":"7"}},"messages":[{{"id":"w",{json}}}]}}"#);
        place("messages", &value)
    }

    #[test]
    fn conversations_are_named_by_group_then_user_then_number() {
        let by_number = message(r#""from":"+49123","type":"text""#);
        assert_eq!(by_number.conversation, "app/7/wa/49123");
        let by_user = message(r#""from":"49123","from_user_id":"DE.1","type":"text""#);
        assert_eq!(by_user.conversation, "app/7/user/DE.1");
        let by_group = message(r#""from":"49123","from_user_id":"DE.1","group_id":"G""#);
        assert_eq!(by_group.conversation, "app/7/group/G");
        assert_eq!(by_group.class, MESSAGES);
    }

    #[test]
    fn a_changed_id_is_an_alias_of_the_old_one() {
        let changed = message(
            r#""from_user_id":"DE.2","type":"system","system":{"type":"user_changed_user_id",
            "user_id":"DE.2","previous_user_id":"DE.1"}"#,
        );
        assert_eq!(changed.conversation, "app/7/user/DE.1");
        let alias = ("app/7/user/DE.2".into(), "app/7/user/DE.1".into());
        assert_eq!(changed.aliases, [alias]);
        let changed = message(
            r#""from":"1","type":"system","system":{"type":"user_changed_number","wa_id":"2"}"#,
        );
        assert_eq!(changed.conversation, "app/7/wa/1");
        let alias = ("app/7/wa/2".into(), "app/7/wa/1".into());
        assert_eq!(changed.aliases, [alias]);
    }

    #[test]
    fn statuses_have_lanes_of_their_own() {
        let status = place(
            "messages",
            r#"{"metadata":{"phone_number_id":"7"},"statuses":[
            {"id":"w","status":"sent","timestamp":"1","recipient_id":"49123"}]}"#,
        );
        assert_eq!((status.class, status.prefix), (BULK, "status "));
        assert_eq!(status.conversation, "app/7/wa/49123");
    }

    #[test]
    fn a_status_of_a_group_belongs_to_the_group() {
        for recipient in [
            r#""recipient_id":"G","recipient_type":"group""#,
            r#""recipient_id":"49123","group_id":"G""#,
            r#""recipient_id":"49123","recipient_user_id":"DE.1","group_id":"G""#,
        ] {
            for (field, list) in [("messages", "statuses"), ("standby", "standby")] {
                let status = format!(r#"{{"id":"w","status":"sent",{recipient}}}"#);
                let list = match list {
                    "standby" => format!(r#""standby":{{"statuses":[{status}]}}"#),
                    _ => format!(r#""statuses":[{status}]"#),
                };
                let value = format!(r#"{{"metadata":{{"phone_number_id":"7"}},{list}}}"#);
                let place = place(field, &value);
                assert_eq!(place.conversation, "app/7/group/G", "{recipient}");
                assert_eq!(place.class, BULK, "{recipient}");
            }
        }
    }

    #[test]
    fn an_outgoing_call_is_named_after_the_person_called() {
        let call = |direction: &str, from: &str, to: &str| {
            let value = format!(
                r#"{{"metadata":{{"phone_number_id":"7"}},"calls":[{{"id":"w","event":"terminate",
                "direction":"{direction}","from":"{from}","to":"{to}"}}]}}"#
            );
            place("calls", &value).conversation
        };
        let outgoing = call("BUSINESS_INITIATED", "1555", "49123");
        assert_eq!(outgoing, "app/7/wa/49123");
        assert_eq!(call("USER_INITIATED", "49123", "1555"), outgoing);
    }

    #[test]
    fn a_standby_message_of_a_group_belongs_to_the_group() {
        let standby = place(
            "standby",
            r#"{"metadata":{"phone_number_id":"7"},"standby":{"messages":[
            {"id":"w","from":"49123","group_id":"G","type":"text","text":{"body":"hi"}}]}}"#,
        );
        assert_eq!(standby.conversation, "app/7/group/G");
    }

    #[test]
    fn events_of_an_account_have_the_lane_of_the_account() {
        let alert = place("account_update", r#"{"event":"X"}"#);
        assert_eq!(alert.conversation, "app/-/account/9");
    }

    #[test]
    fn names_fit_into_an_index_and_have_no_nul() {
        let long = "x".repeat(5000);
        let one = message(&format!(r#""from_user_id":"{long}1""#));
        let two = message(&format!(r#""from_user_id":"{long}2""#));
        assert!(one.conversation.len() <= MAX_LEN);
        assert_ne!(one.conversation, two.conversation);
        let nul = message(r#""from_user_id":"a\u0000b""#);
        assert_eq!(nul.conversation, "app/7/user/a\u{fffd}b");
    }
}
