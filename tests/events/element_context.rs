//! Members around an element belong to it: to every participant of a group, every message of a
//! thread, and every copy.

use tower_whatsapp::{
    Event, Notification, Payload,
    event::{GroupEvent, GroupParticipant, HistoryMessage, Message, ParticipantOutcome, Reason},
};

fn events(field: &str, value: &str) -> Vec<Event> {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"9","changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
    );
    let notification = Notification::parse(body).unwrap();
    let events = notification.events().to_vec();
    assert!(!events.is_empty());
    events
}

/// The event, its copy, and its form from a queue.
fn forms(event: &Event) -> [Event; 3] {
    let queued = Notification::from_queue(event.to_queue()).unwrap();
    [event.clone(), event.detach(), queued.events()[0].clone()]
}

fn participant(event: &Event) -> GroupParticipant<'_> {
    match event.payload() {
        Payload::GroupParticipant(participant) => participant,
        other => panic!("{other:?}"),
    }
}

fn history(event: &Event) -> HistoryMessage<'_> {
    match event.payload() {
        Payload::HistoryMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

fn message(event: &Event) -> Message<'_> {
    match event.payload() {
        Payload::Message(message) | Payload::StandbyMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

/// All values differ, so that none can replace another, and the second group lacks
/// all members of the first.
#[test]
fn what_is_said_of_a_group_goes_with_each_of_its_participants_alone() {
    let events = events(
        "group_participants_update",
        r#"{"groups":[
            {"group_id":"g","type":"group_participants_remove","timestamp":"1760000000","request_id":"r","reason":"why",
             "initiated_by":"business","removed_participants":[{"wa_id":"1"},{"wa_id":"2"}],"failed_participants":[{"input":"3"}]},
            {"group_id":"h","added_participants":[{"wa_id":"4"}]}]}"#,
    );
    let participants: Vec<_> = events
        .iter()
        .filter(|event| event.kind() == "group_participant")
        .collect();
    assert_eq!(participants.len(), 4);
    for (index, event) in participants.into_iter().enumerate() {
        for event in forms(event) {
            let said = participant(&event);
            if index == 3 {
                assert_eq!(said.group_id, Some("h"));
                assert_eq!(said.outcome, Some(ParticipantOutcome::Added));
                assert_eq!((said.event, said.timestamp), (None, None));
                assert_eq!(
                    (said.request_id, said.reason, said.initiated_by),
                    (None, None, None)
                );
                continue;
            }
            assert_eq!(said.group_id, Some("g"));
            assert_eq!(said.event, Some(GroupEvent::ParticipantsRemove));
            assert_eq!(said.timestamp.unwrap().seconds(), 1_760_000_000);
            assert_eq!(
                (said.request_id, said.reason, said.initiated_by),
                (Some("r"), Some("why"), Some("business"))
            );
            let outcome = [ParticipantOutcome::Removed, ParticipantOutcome::Failed][index / 2];
            assert_eq!(said.outcome, Some(outcome));
        }
    }
}

#[test]
fn what_is_said_of_a_thread_and_chunk_goes_with_each_of_its_messages_alone() {
    let thread = |id: &str, context: &str| {
        format!(
            r#"{{"id":"{id}",{context}"messages":[{{"id":"{id}.1","type":"text"}},{{"id":"{id}.2","type":"text"}}]}}"#
        )
    };
    let context = r#""context":{"wa_id":"w","user_id":"u","parent_user_id":"p","username":"n"},"#;
    let events = events(
        "history",
        &format!(
            r#"{{"history":[
                {{"metadata":{{"phase":1,"chunk_order":2,"progress":55}},"threads":[{},{}]}},
                {{"threads":[{}],"metadata":{{"phase":0,"chunk_order":7,"progress":99}}}}]}}"#,
            thread("a", context),
            thread("b", ""),
            thread("c", "")
        ),
    );
    let found: Vec<_> = events.iter().map(|event| event.id().unwrap()).collect();
    assert_eq!(found, ["a.1", "a.2", "b.1", "b.2", "c.1", "c.2"]);
    for event in &events {
        for event in forms(event) {
            let said = history(&event);
            let (thread, _) = said.id.unwrap().split_once('.').unwrap();
            assert_eq!(said.thread_id, Some(thread));
            let chunk = said.chunk.unwrap();
            let chunk = [chunk.phase, chunk.chunk_order, chunk.progress].map(Option::unwrap);
            assert_eq!(
                chunk,
                if thread == "c" {
                    [0, 7, 99]
                } else {
                    [1, 2, 55]
                }
            );
            let user = said
                .thread
                .map(|user| [user.wa_id, user.user_id, user.parent_user_id, user.username]);
            assert_eq!(
                user,
                (thread == "a").then_some([Some("w"), Some("u"), Some("p"), Some("n")])
            );
        }
    }
}

#[test]
fn what_was_said_in_a_chat_goes_with_its_messages() {
    let list = r#""messages":[{"id":"A","type":"text"},{"id":"B","type":"text"}]"#;
    for (field, messages) in [
        ("messages", list.to_owned()),
        ("standby", format!(r#""standby":{{{list}}}"#)),
    ] {
        let context =
            r#""conversation_context":{"type":"summary","summary":{"text":"wants a sample"}}"#;
        let events = events(field, &format!("{{{messages},{context}}}"));
        assert_eq!(events.len(), 2);
        for event in events.iter().flat_map(forms) {
            let conversation = message(&event).conversation.unwrap();
            assert_eq!(conversation.kind, Some("summary"), "{field}");
            assert_eq!(conversation.summary.unwrap().text, Some("wants a sample"));
        }
    }
}

/// Wherever an element is in its value, what Meta adds to the value is named.
#[test]
fn what_is_not_read_of_a_value_is_named_for_each_of_its_elements() {
    for (field, list) in [
        ("messages", r#""messages":[{"id":"A"}]"#),
        ("messages", r#""statuses":[{"id":"A"}]"#),
        ("messages", r#""errors":[{"code":1}]"#),
        ("standby", r#""standby":{"messages":[{"id":"A"}]}"#),
        ("standby", r#""standby":{"statuses":[{"id":"A"}]}"#),
        (
            "group_participants_update",
            r#""groups":[{"group_id":"g","added_participants":[{"wa_id":"1"}]}]"#,
        ),
        (
            "group_status_update",
            r#""groups":[{"group_id":"g","type":"group_suspend"}]"#,
        ),
        ("history", r#""history":[{"errors":[{"code":1}]}]"#),
        (
            "history",
            r#""history":[{"threads":[{"id":"1","messages":[{"id":"A"}]}]}]"#,
        ),
    ] {
        let beside = r#""metadata":{"phone_number_id":"7","waac_id":"8"},"mood":"merry""#;
        for event in events(field, &format!("{{{beside},{list}}}"))
            .iter()
            .flat_map(forms)
        {
            let paths = ["value.metadata.waac_id", "value.mood"];
            assert_eq!(event.unread(), paths, "{list}");
        }
    }
}

/// Unknown events still have their list and id, for logs.
#[test]
fn what_is_unknown_has_its_list_and_id() {
    let events = events(
        "messages",
        r#"{"holograms":[{"id":"A"},{"id":7},{"id":null},{"depth":1},8]}"#,
    );
    let ids = [Some("A"), Some("7"), None, None, None];
    assert_eq!(events.len(), ids.len());
    for (event, id) in events.iter().zip(ids) {
        for event in forms(event) {
            let Payload::Unknown(unknown) = event.payload() else {
                panic!("{event:?}");
            };
            assert_eq!((unknown.list, unknown.id), (Some("holograms"), id));
            assert_eq!(event.id(), id);
            let expected = if event.raw() == "8" {
                Reason::Shape
            } else {
                Reason::List
            };
            assert_eq!(unknown.reason, expected);
        }
    }
}

/// `null` counts as missing, and does not override an earlier value.
#[test]
fn an_id_that_is_null_is_none() {
    for (members, id) in [
        (r#""id":null"#, None),
        (r#""id":"A","id":null"#, Some("A")),
        (r#""id":null,"id":"A""#, Some("A")),
        (r#""id":"A","id":"B""#, Some("B")),
    ] {
        let events = events(
            "messages",
            &format!(r#"{{"messages":[{{{members},"type":"text"}}]}}"#),
        );
        assert_eq!(events[0].id(), id, "{members}");
        assert_eq!(message(&events[0]).id, id, "{members}");
    }
}

/// Newer payloads have in `error_data` what older ones have next to the code.
#[test]
fn the_details_of_an_error_are_the_newer_ones_first() {
    for (members, details) in [
        (
            r#""error_data":{"details":"new"},"details":"old""#,
            Some("new"),
        ),
        (
            r#""details":"old","error_data":{"details":"new"}"#,
            Some("new"),
        ),
        (r#""details":"old","error_data":{}"#, Some("old")),
        (r#""details":"old""#, Some("old")),
        (r#""code":1"#, None),
    ] {
        let events = events("messages", &format!(r#"{{"errors":[{{{members}}}]}}"#));
        let Payload::Error(error) = events[0].payload() else {
            panic!("{members}");
        };
        assert_eq!(error.details(), details, "{members}");
    }
}

/// Meta spells names in several ways: in either case, with hyphens, underscores or spaces.
#[test]
fn names_are_the_same_however_their_words_are_joined() {
    for name in [
        "group_participants_add",
        "group-participants-add",
        "group participants add",
        "GROUP_PARTICIPANTS_ADD",
        "Group Participants-add",
        "group_add_participants",
        "GROUP ADD PARTICIPANTS",
    ] {
        let value = format!(r#"{{"groups":[{{"group_id":"g","type":"{name}"}}]}}"#);
        let events = events("group_participants_update", &value);
        let Payload::Group(group) = events[0].payload() else {
            panic!("{name}");
        };
        assert_eq!(group.event, Some(GroupEvent::ParticipantsAdd), "{name}");
        assert!(events[0].is_known(), "{name}");
    }
    for name in [
        "groupparticipantsadd",
        "group.participants.add",
        "group_participants_add ",
    ] {
        let value = format!(r#"{{"groups":[{{"group_id":"g","type":"{name}"}}]}}"#);
        let events = events("group_participants_update", &value);
        let Payload::Group(group) = events[0].payload() else {
            panic!("{name}");
        };
        assert_eq!(group.event, Some(GroupEvent::Other(name)), "{name}");
    }
}

/// Every form has its own version number; 0 was never used.
#[test]
fn a_form_of_no_version_is_refused() {
    for version in ["0", "-1", "1.0", "\"1\"", "true", "null", "[1]"] {
        let form = format!(
            r#"{{"tower_whatsapp":{version},"entry":[{{"changes":[{{"value":{{"messages":[{{}}]}}}}]}}]}}"#
        );
        assert!(Notification::from_queue(form).is_err(), "{version}");
    }
}
