//! Which contact belongs to an event: the user id takes precedence over the phone number, and the
//! first of several equal contacts counts.
//!
//! There are always several contacts here, because a single one may be used without a comparison.

use tower_whatsapp::{Event, Notification, Payload, event::Contact};

/// Up to four contacts are searched linearly, more in a sorted directory. The result
/// must be the same.
const COUNTS: [usize; 4] = [2, 4, 5, 6];

/// Contacts: the first two have the ids of the deliveries below, followed by `count`
/// minus two others.
fn contacts(first: &[&str], count: usize) -> String {
    let others = (first.len()..count).map(|number| {
        format!(r#"{{"profile":{{"name":"Other {number}"}},"wa_id":"1999{number}","user_id":"US.9{number}"}}"#)
    });
    let all: Vec<_> = first
        .iter()
        .map(|contact| (*contact).to_owned())
        .chain(others)
        .collect();
    format!("[{}]", all.join(","))
}

/// The event of a value with these contacts.
fn event(field: &str, element: &str, contacts: &str) -> Event {
    let body = format!(
        r#"{{"entry":[{{"changes":[{{"field":"{field}","value":{{{element},"contacts":{contacts}}}}}]}}]}}"#
    );
    let notification = Notification::parse(body).unwrap();
    let [event] = notification.events() else {
        panic!("{element}");
    };
    event.clone()
}

/// The name of the event's contact.
fn name(event: &Event) -> Option<String> {
    let contact = match event.payload() {
        Payload::Message(message) | Payload::StandbyMessage(message) => message.sender.contact,
        Payload::Status(status) | Payload::StandbyStatus(status) => status.recipient.contact,
        Payload::Call(call) => call.contact,
        Payload::CallStatus(status) => status.contact,
        Payload::Echo(echo) => echo.contact,
        Payload::UserPreference(preference) => preference.contact,
        Payload::UserIdUpdate(update) => update.contact,
        Payload::GroupParticipant(participant) => participant.contact,
        Payload::HistoryMessage(message) => message.contact,
        Payload::StandbyEcho(echo) => echo.contact,
        other => panic!("{other:?}"),
    };
    let contact: Contact<'_> = contact.get()?;
    contact.profile?.name.map(str::to_owned)
}

/// An element with two ids of a person: the phone number replaces `$phone`, the user id `$user`.
const TWO_WAYS: [(&str, &str); 9] = [
    (
        "messages",
        r#""messages":[{"id":"wamid.A","from":"$phone","from_user_id":"$user"}]"#,
    ),
    (
        "messages",
        r#""statuses":[{"id":"wamid.A","recipient_id":"$phone","recipient_user_id":"$user"}]"#,
    ),
    (
        "calls",
        r#""calls":[{"id":"wacid.A","from":"$phone","from_user_id":"$user","to":"15550000001"}]"#,
    ),
    (
        "calls",
        r#""calls":[{"id":"wacid.A","to":"$phone","to_user_id":"$user","from":"15550000001"}]"#,
    ),
    (
        "calls",
        r#""statuses":[{"id":"wacid.A","recipient_id":"$phone","recipient_user_id":"$user"}]"#,
    ),
    (
        "smb_message_echoes",
        r#""message_echoes":[{"id":"wamid.A","to":"$phone","to_user_id":"$user"}]"#,
    ),
    (
        "user_preferences",
        r#""user_preferences":[{"wa_id":"$phone","user_id":"$user"}]"#,
    ),
    (
        "user_id_update",
        r#""user_id_update":[{"wa_id":"$phone","user_id":{"previous":"US.0","current":"$user"}}]"#,
    ),
    (
        "group_participants_update",
        r#""groups":[{"group_id":"g","added_participants":[{"wa_id":"$phone","user_id":"$user"}]}]"#,
    ),
];

const BY_PHONE: &str = r#"{"profile":{"name":"By phone"},"wa_id":"16500"}"#;
const BY_USER: &str = r#"{"profile":{"name":"By user id"},"user_id":"US.1"}"#;

fn filled(element: &str, phone: &str, user: &str) -> String {
    element.replace("$phone", phone).replace("$user", user)
}

#[test]
fn the_user_id_decides_before_the_phone_number() {
    for (field, element) in TWO_WAYS {
        let element = filled(element, "16500", "US.1");
        for count in COUNTS {
            for first in [[BY_PHONE, BY_USER], [BY_USER, BY_PHONE]] {
                let event = event(field, &element, &contacts(&first, count));
                assert_eq!(
                    name(&event).as_deref(),
                    Some("By user id"),
                    "{count}: {element}"
                );
                let copy = event.detach();
                assert_eq!(
                    name(&copy).as_deref(),
                    Some("By user id"),
                    "{count}: {element}"
                );
            }
        }
    }
}

/// A contact may lack the user id that the element has.
#[test]
fn the_phone_number_decides_where_the_user_id_finds_nobody() {
    for (field, element) in TWO_WAYS {
        let element = filled(element, "16500", "US.unheard");
        for count in COUNTS {
            let event = event(field, &element, &contacts(&[BY_USER, BY_PHONE], count));
            assert_eq!(
                name(&event).as_deref(),
                Some("By phone"),
                "{count}: {element}"
            );
        }
    }
}

#[test]
fn of_equal_contacts_the_first_counts() {
    const TWICE: [&str; 2] = [
        r#"{"profile":{"name":"First"},"wa_id":"16500","user_id":"US.1"}"#,
        r#"{"profile":{"name":"Second"},"wa_id":"16500","user_id":"US.1"}"#,
    ];
    for (field, element) in TWO_WAYS {
        for (phone, user) in [("16500", "US.1"), ("16500", ""), ("", "US.1")] {
            let element = filled(element, phone, user);
            for count in COUNTS {
                let found = event(field, &element, &contacts(&TWICE, count));
                assert_eq!(name(&found).as_deref(), Some("First"), "{count}: {element}");
                // The result must not depend on the position or the sorting of the directory.
                let other = r#"{"profile":{"name":"Zero"},"wa_id":"0","user_id":"US.0"}"#;
                let three = [other, TWICE[1], TWICE[0]];
                let found = event(field, &element, &contacts(&three, count.max(3)));
                assert_eq!(
                    name(&found).as_deref(),
                    Some("Second"),
                    "{count}: {element}"
                );
            }
        }
    }
}

/// In `standby` the contacts are next to the list, inside or around `standby`.
#[test]
fn a_standby_message_has_its_contact_too() {
    for count in COUNTS {
        let contacts = contacts(&[BY_PHONE, BY_USER], count);
        let list = r#""messages":[{"id":"wamid.A","from":"16500"}]"#;
        let inside = event(
            "standby",
            &format!(r#""standby":{{"contacts":{contacts},{list}}}"#),
            "[]",
        );
        assert_eq!(name(&inside).as_deref(), Some("By phone"), "{count}");
        let around = event("standby", &format!(r#""standby":{{{list}}}"#), &contacts);
        assert_eq!(name(&around).as_deref(), Some("By phone"), "{count}");
    }
}

/// The sender's name in the message takes precedence over the contact's.
#[test]
fn the_ids_of_a_sender_are_those_of_the_message_first() {
    let contact = r#"{"wa_id":"16500","user_id":"US.contact","parent_user_id":"US.ENT.contact"}"#;
    let contacts = contacts(&[contact], 2);
    let sender = |members: &str| {
        let element = format!(r#""messages":[{{"id":"wamid.A","from":"16500",{members}}}]"#);
        let event = event("messages", &element, &contacts);
        let Payload::Message(message) = event.payload() else {
            panic!("{event:?}");
        };
        [message.sender.user_id(), message.sender.parent_user_id()].map(|id| id.map(str::to_owned))
    };
    let ids = |user: &str, parent: &str| [Some(user.to_owned()), Some(parent.to_owned())];
    assert_eq!(
        sender(r#""from_user_id":"US.message","from_parent_user_id":"US.ENT.message""#),
        ids("US.message", "US.ENT.message")
    );
    assert_eq!(
        sender(r#""from_user_id":"US.message""#),
        ids("US.message", "US.ENT.contact")
    );
    assert_eq!(
        sender(r#""from_parent_user_id":"US.ENT.message""#),
        ids("US.contact", "US.ENT.message")
    );
    assert_eq!(sender(r#""new":1"#), ids("US.contact", "US.ENT.contact"));
}

/// An element with one id of a person, in each place where it may be.
const ONE_WAY: [(&str, &str); 14] = [
    (
        "messages",
        r#""statuses":[{"id":"wamid.A","recipient_id":"g","recipient_participant_id":"$id"}]"#,
    ),
    (
        "messages",
        r#""statuses":[{"id":"wamid.A","recipient_id":"g","recipient_participant_user_id":"$id"}]"#,
    ),
    (
        "user_id_update",
        r#""user_id_update":[{"wa_id":"$id","user_id":{"previous":"US.0","current":"US.7"}}]"#,
    ),
    (
        "user_id_update",
        r#""user_id_update":[{"wa_id":"7","user_id":{"previous":"$id","current":"US.7"}}]"#,
    ),
    (
        "user_id_update",
        r#""user_id_update":[{"wa_id":"7","user_id":{"previous":"US.0","current":"$id"}}]"#,
    ),
    (
        "standby",
        r#""standby":{"message_echoes":[{"id":"wamid.A","message":{"to":"$id"}}]}"#,
    ),
    (
        "standby",
        r#""standby":{"message_echoes":[{"id":"wamid.A","message":{"recipient":"$id"}}]}"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"context":{"user_id":"$id"},"messages":[{"id":"wamid.A"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"context":{"wa_id":"$id"},"messages":[{"id":"wamid.A"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"id":"$id","messages":[{"id":"wamid.A"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"messages":[{"id":"wamid.A","from":"$id"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"messages":[{"id":"wamid.A","from_user_id":"$id"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"messages":[{"id":"wamid.A","to":"$id"}]}]}]"#,
    ),
    (
        "history",
        r#""history":[{"threads":[{"messages":[{"id":"wamid.A","to_user_id":"$id"}]}]}]"#,
    ),
];

#[test]
fn each_id_of_a_person_finds_the_contact() {
    let meant = r#"{"profile":{"name":"Meant"},"wa_id":"16500","user_id":"US.1"}"#;
    for (field, element) in ONE_WAY {
        for id in ["16500", "US.1"] {
            let element = element.replace("$id", id);
            for count in COUNTS {
                let event = event(field, &element, &contacts(&[BY_OTHERS, meant], count));
                for event in [&event, &event.detach()] {
                    let name = name(event);
                    assert_eq!(name.as_deref(), Some("Meant"), "{count}: {element}");
                }
            }
        }
    }
}

const BY_OTHERS: &str = r#"{"profile":{"name":"Someone else"},"wa_id":"16501","user_id":"US.2"}"#;

/// Some senders write it, and some do not. Plain numbers and others are sorted in another order.
#[test]
fn a_plus_before_a_phone_number_finds_the_same_contact() {
    for count in COUNTS {
        let plus = |number: usize| ["", "+"][number % 2];
        let all = (0..count).map(|number| {
            let plus = plus(number);
            format!(r#"{{"profile":{{"name":"{number}"}},"wa_id":"{plus}1650{number}"}}"#)
        });
        let all = format!("[{}]", all.collect::<Vec<_>>().join(","));
        for number in 0..count {
            for plus in ["", "+"] {
                let element =
                    format!(r#""messages":[{{"id":"wamid.A","from":"{plus}1650{number}"}}]"#);
                let event = event("messages", &element, &all);
                let expected = Some(number.to_string());
                assert_eq!(name(&event), expected, "{count}: {element}");
            }
        }
    }
}

/// Its person may be in it or in an object in it. Deeper, it may be about somebody else.
#[test]
fn a_copy_of_an_unknown_element_has_the_contact_that_it_names() {
    for (element, expected) in [
        (r#"{"id":"A","wa_id":"16500"}"#, &["Meant"][..]),
        (r#"{"id":"A","owner":{"wa_id":"16500"}}"#, &["Meant"]),
        (r#"{"id":"A","owner":{"user":"US.1"}}"#, &["Meant"]),
        (r#"{"id":"A","owner":{"of":{"wa_id":"16500"}}}"#, &[]),
        (r#"{"id":"A"}"#, &[]),
    ] {
        let meant = r#"{"profile":{"name":"Meant"},"wa_id":"16500","user_id":"US.1"}"#;
        for count in COUNTS {
            let list = format!(r#""holograms":[{element}]"#);
            let event = event("messages", &list, &contacts(&[BY_OTHERS, meant], count));
            let queued = Notification::from_queue(event.to_queue()).unwrap();
            for copy in [&event.detach(), &queued.events()[0]] {
                let names = copy.contacts().map(|contact| contact.profile?.name);
                let names: Vec<_> = names.map(Option::unwrap).collect();
                assert_eq!(names, expected, "{count}: {element}");
            }
        }
    }
}
