//! Facts of a delivery that a host must be able to read through the typed view: persons, members
//! next to a list, recent additions of Meta.

use tower_whatsapp::{
    Event, Notification, Payload,
    event::{
        Content, GroupEvent, GroupParticipant, HistoryMessage, Interactive, Message,
        ParticipantOutcome, Reason, Status, System, SystemKind, Unknown, UserActionKind,
    },
};

fn parse(body: &str) -> Vec<Event> {
    Notification::parse(body.to_owned())
        .unwrap()
        .events()
        .to_vec()
}

/// The events of a delivery with one value.
fn events(field: &str, members: &str) -> Vec<Event> {
    parse(&format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"880000000000001","changes":[{{"field":"{field}","value":{{
            "messaging_product":"whatsapp",
            "metadata":{{"display_phone_number":"4930000001","phone_number_id":"770000000000001"}},{members}}}}}]}}]}}"#
    ))
}

fn only(field: &str, members: &str) -> Event {
    let [event] = &events(field, members)[..] else {
        panic!("not one event: {members}")
    };
    event.clone()
}

fn message(event: &Event) -> Message<'_> {
    let Payload::Message(message) = event.payload() else {
        panic!("{event:?}")
    };
    message
}

fn status(event: &Event) -> Status<'_> {
    let Payload::Status(status) = event.payload() else {
        panic!("{event:?}")
    };
    status
}

fn system(event: &Event) -> System<'_> {
    let Content::System(system) = message(event).content else {
        panic!("{event:?}")
    };
    system
}

fn participant(event: &Event) -> GroupParticipant<'_> {
    let Payload::GroupParticipant(participant) = event.payload() else {
        panic!("{event:?}")
    };
    participant
}

fn unknown(event: &Event) -> Unknown<'_> {
    let Payload::Unknown(unknown) = event.payload() else {
        panic!("{event:?}")
    };
    unknown
}

/// Queued and copied events have the same content.
fn survives_copies(event: &Event) {
    let queued = Notification::from_queue(event.to_queue()).unwrap();
    let [again] = queued.events() else {
        panic!("{} events of one", queued.events().len())
    };
    for copy in [again, &event.detach(), &again.detach()] {
        assert_eq!(copy.payload(), event.payload());
        assert_eq!(copy.key(), event.key());
        assert_eq!(copy.raw(), event.raw());
        let sorted = |mut paths: Vec<String>| {
            paths.sort();
            paths
        };
        assert_eq!(sorted(copy.unread()), sorted(event.unread()));
        assert_eq!(copy.timestamp(), event.timestamp());
        assert_eq!(copy.phone_number_id(), event.phone_number_id());
        assert_eq!(copy.display_phone_number(), event.display_phone_number());
        assert_eq!(copy.field(), event.field());
        assert_eq!(copy.entry_id(), event.entry_id());
        assert_eq!(copy.entry_time(), event.entry_time());
        assert_eq!(copy.to_queue(), event.to_queue());
    }
}

#[test]
fn a_sender_is_identified_by_the_message_where_no_contact_comes_with_it() {
    let event = only(
        "messages",
        r#""messages":[{"from_user_id":"DE.7","from_parent_user_id":"DE.ENT.7","id":"wamid.1","timestamp":"1790000001",
            "type":"text","text":{"body":"Moin"}}]"#,
    );
    let sender = message(&event).sender;
    assert_eq!(sender.user_id(), Some("DE.7"));
    assert_eq!(sender.parent_user_id(), Some("DE.ENT.7"));
    assert_eq!(
        (sender.wa_id(), sender.name(), sender.username()),
        (None, None, None)
    );
    survives_copies(&event);

    // The contact may supply what the message lacks.
    let event = only(
        "messages",
        r#""contacts":[{"user_id":"DE.7","parent_user_id":"DE.ENT.7","wa_id":"4915100000007"}],
            "messages":[{"from":"4915100000007","id":"wamid.1"}]"#,
    );
    let sender = message(&event).sender;
    assert_eq!(sender.user_id(), Some("DE.7"));
    assert_eq!(sender.parent_user_id(), Some("DE.ENT.7"));
}

#[test]
fn a_changed_user_id_can_be_followed() {
    let event = only(
        "messages",
        r#""messages":[{"id":"wamid.1","timestamp":"1790000001","type":"system","from_user_id":"DE.7","system":{
            "body":"Lotte has a new id","type":"user_changed_user_id","previous_user_id":"DE.7","user_id":"DE.8",
            "previous_parent_user_id":"DE.ENT.7","parent_user_id":"DE.ENT.8"}}]"#,
    );
    let change = system(&event);
    assert_eq!(message(&event).sender.user_id(), Some("DE.7"));
    assert_eq!(change.kind, Some(SystemKind::UserChangedUserId));
    assert_eq!(
        (change.previous_user_id, change.user_id),
        (Some("DE.7"), Some("DE.8"))
    );
    assert_eq!(change.previous_parent_user_id, Some("DE.ENT.7"));
    assert_eq!(change.parent_user_id, Some("DE.ENT.8"));
    assert_eq!(event.unread(), [""; 0]);
    assert!(event.is_known());

    // Empty texts count as missing.
    let event = only(
        "messages",
        r#""messages":[{"id":"wamid.2","from":"","type":"system","system":{
            "type":"user_changed_number","wa_id":"","previous_user_id":"DE.7","user_id":"DE.8"}}]"#,
    );
    let change = system(&event);
    assert_eq!(change.kind, Some(SystemKind::UserChangedNumber));
    assert_eq!((message(&event).sender.phone, change.wa_id), (None, None));
    assert_eq!(
        (change.previous_user_id, change.user_id),
        (Some("DE.7"), Some("DE.8"))
    );
    assert_eq!(event.unread(), [""; 0]);

    let event = only(
        "messages",
        r#""messages":[{"id":"wamid.3","from":"4915100000007","type":"system","system":{
            "body":"new keys","type":"user_identity_changed","user_id":"DE.8"}}]"#,
    );
    assert_eq!(system(&event).kind, Some(SystemKind::UserIdentityChanged));
    assert!(event.is_known());
}

#[test]
fn in_a_group_the_contact_of_a_status_is_the_participants() {
    let two = r#""contacts":[{"profile":{"name":"Hedy"},"wa_id":"4915100000002"},
        {"profile":{"name":"Lotte"},"wa_id":"4915100000007","user_id":"DE.7"}],"#;
    for (contacts, participant) in [
        (two, r#""recipient_participant_id":"4915100000007""#),
        (two, r#""recipient_participant_user_id":"DE.7""#),
        (two, r#""participant_recipient_id":"4915100000007""#),
        (
            two,
            r#""recipient_participant_id":"+4915100000007","recipient_participant_user_id":"DE.unknown""#,
        ),
        (
            r#""contacts":[{"profile":{"name":"Lotte"},"wa_id":"4915100000007"}],"#,
            r#""recipient_participant_id":"1""#,
        ),
    ] {
        let event = only(
            "messages",
            &format!(
                r#"{contacts}"statuses":[{{"id":"wamid.1","status":"read","recipient_id":"G7@g.us","recipient_type":"group",{participant}}}]"#
            ),
        );
        let contact = status(&event).recipient.contact.get().unwrap();
        assert_eq!(
            contact.profile.unwrap().name,
            Some("Lotte"),
            "{participant}"
        );
        survives_copies(&event);
    }
    // Neither the group's id nor that of another person selects a contact.
    let event = only(
        "messages",
        &format!(
            r#"{two}"statuses":[{{"id":"wamid.1","status":"read","recipient_id":"4915100000002","recipient_type":"group","recipient_participant_id":"3"}}]"#
        ),
    );
    assert_eq!(status(&event).recipient.contact.get(), None);
    survives_copies(&event);
}

#[test]
fn one_contact_and_one_person_belong_together() {
    for (contact, sender) in [
        (
            r#"{"profile":{"name":"Lupe"},"wa_id":"5215500000001"}"#,
            r#""from":"525500000001","#,
        ),
        (r#"{"profile":{"name":"Lupe"},"user_id":"MX.1"}"#, ""),
        (
            r#"{"profile":{"name":"Lupe"},"user_id":"MX.1"}"#,
            r#""from":"525500000001","#,
        ),
    ] {
        let event = only(
            "messages",
            &format!(r#""contacts":[{contact}],"messages":[{{{sender}"id":"wamid.1"}}]"#),
        );
        assert_eq!(message(&event).sender.name(), Some("Lupe"), "{contact}");
        survives_copies(&event);
    }
    let name = |event: &Event| match event.payload() {
        Payload::Message(message) => message.sender.contact.get().is_some(),
        Payload::Status(status) => status.recipient.contact.get().is_some(),
        Payload::Error(_) | Payload::Unknown(_) => false,
        other => panic!("{other:?}"),
    };
    let lupe = r#""contacts":[{"profile":{"name":"Lupe"},"wa_id":"5215500000001"}]"#;
    // Elements without a person do not count.
    let beside = events(
        "messages",
        &format!(
            r#"{lupe},"errors":[{{"code":1}}],"messages":[{{"from":"525500000001","id":"wamid.1"}}],"holograms":[{{}}]"#
        ),
    );
    assert_eq!(
        beside.iter().map(name).collect::<Vec<_>>(),
        [false, true, false]
    );
    beside.iter().for_each(survives_copies);
    // With two persons the contact is ambiguous, and in a copy of one of them it must
    // not become the only one.
    for elements in [
        r#""messages":[{"from":"525500000001","id":"wamid.1"},{"from":"525500000002","id":"wamid.2"}]"#,
        r#""messages":[{"from":"525500000001","id":"wamid.1"}],"statuses":[{"id":"wamid.2","recipient_id":"525500000002"}]"#,
        r#""messages":[{"from":"525500000001","id":"wamid.1"}],"errors":[{}],"statuses":[{"id":"wamid.2"}]"#,
    ] {
        let events = events("messages", &format!("{lupe},{elements}"));
        assert!(!events.iter().any(name), "{elements}");
        events.iter().for_each(survives_copies);
    }
}

#[test]
fn a_copy_does_not_take_the_contact_of_somebody_else() {
    // The quoted person has a contact, the sender has none.
    let event = only(
        "messages",
        r#""contacts":[{"profile":{"name":"Hedy"},"wa_id":"4915100000002"},{"profile":{"name":"Lotte"},"wa_id":"4915100000007"}],
            "messages":[{"from":"4915100000003","id":"wamid.1","group_id":"G7","context":{"from":"4915100000002","id":"wamid.0"}}]"#,
    );
    assert_eq!(message(&event).sender.name(), None);
    survives_copies(&event);
    let names: Vec<_> = event
        .contacts()
        .map(|contact| contact.wa_id.unwrap().to_owned())
        .collect();
    assert_eq!(names, ["4915100000002", "4915100000007"]);
}

#[test]
fn a_leading_plus_makes_no_other_number() {
    for contacts in [2, 6] {
        let others: String = (0..contacts - 1)
            .map(|index| {
                format!(r#"{{"profile":{{"name":"{index}"}},"wa_id":"49151000001{index}"}},"#)
            })
            .collect();
        for (from, wa_id) in [
            ("+4915100000007", "4915100000007"),
            ("4915100000007", "+4915100000007"),
        ] {
            let event = only(
                "messages",
                &format!(
                    r#""contacts":[{others}{{"profile":{{"name":"Lotte"}},"wa_id":"{wa_id}"}}],"messages":[{{"from":"{from}","id":"wamid.1"}}]"#
                ),
            );
            assert_eq!(
                message(&event).sender.name(),
                Some("Lotte"),
                "{contacts} {from}"
            );
            survives_copies(&event);
        }
    }
}

#[test]
fn what_is_said_of_a_group_beside_its_participants_is_an_event() {
    let events = events(
        "group_lifecycle_update",
        r#""groups":[{"timestamp":"1790000001","group_id":"G7","type":"group_create","request_id":"R7","subject":"Rowing",
            "description":"Sundays","invite_link":"https://example.com/g7","mood":"merry",
            "added_participants":[{"wa_id":"4915100000007"},{"user_id":"DE.8"}]}]"#,
    );
    let [group, first, second] = &events[..] else {
        panic!("{events:?}")
    };
    let Payload::Group(group_said) = group.payload() else {
        panic!("{group:?}")
    };
    assert_eq!(group_said.event, Some(GroupEvent::Create));
    assert_eq!(
        (group_said.subject, group_said.description),
        (Some("Rowing"), Some("Sundays"))
    );
    assert_eq!(group_said.invite_link, Some("https://example.com/g7"));
    assert_eq!(group.unread(), ["mood"]);
    assert_eq!(participant(first).wa_id, Some("4915100000007"));
    assert_eq!(participant(second).user_id, Some("DE.8"));
    assert_eq!(participant(second).outcome, Some(ParticipantOutcome::Added));
    assert_eq!(participant(second).group_id, Some("G7"));
    events.iter().for_each(survives_copies);

    let events = self::events(
        "group_participants_update",
        r#""groups":[{"group_id":"G7","type":"group_participants_add","failed_participants":[{"input":"4915100000007"}],
            "errors":[{"code":131210,"message":"Not all could be added"}]}]"#,
    );
    let [group, failed] = &events[..] else {
        panic!("{events:?}")
    };
    let Payload::Group(group_said) = group.payload() else {
        panic!("{group:?}")
    };
    assert_eq!(group_said.errors.first().unwrap().code, Some(131_210));
    assert_eq!(
        participant(failed).outcome,
        Some(ParticipantOutcome::Failed)
    );
    events.iter().for_each(survives_copies);

    // All of this is copied to the participants: the group is not a separate event.
    let event = only(
        "group_participants_update",
        r#""groups":[{"group_id":"G7","type":"group_participants_remove","timestamp":"1790000001","request_id":"R",
            "reason":"invite_link","initiated_by":"business","errors":null,"removed_participants":[{"wa_id":"4915100000007"}]}]"#,
    );
    assert_eq!(participant(&event).initiated_by, Some("business"));
    let outcomes = [first, failed, &event].map(|event| participant(event).outcome.unwrap());
    assert_eq!(
        outcomes.map(ParticipantOutcome::as_str),
        ["added", "failed", "removed"]
    );
}

#[test]
fn the_progress_of_a_history_is_told_beside_its_errors() {
    let events = events(
        "history",
        r#""history":[{"metadata":{"phase":1,"chunk_order":2,"progress":60},"errors":[{"code":2593109}]}]"#,
    );
    let [progress, error] = &events[..] else {
        panic!("{events:?}")
    };
    let Payload::HistoryProgress(progress_told) = progress.payload() else {
        panic!("{progress:?}")
    };
    assert_eq!(progress_told.chunk.unwrap().progress, Some(60));
    assert!(matches!(error.payload(), Payload::Error(_)));
    events.iter().for_each(survives_copies);
}

#[test]
fn additions_of_2026_are_typed() {
    let event = only(
        "messages",
        r#""messages":[{"from":"4915100000007","id":"wamid.1","type":"interactive","interactive":{"type":"product",
            "product":{"catalog_id":"660000000000001","product_retailer_id":"OAR-2"},"body":{"text":"In blue?"}}}]"#,
    );
    let Content::Interactive(Interactive::Product(product)) = message(&event).content else {
        panic!("{event:?}")
    };
    assert_eq!(product.product_retailer_id, Some("OAR-2"));
    assert_eq!(product.catalog_id, Some("660000000000001"));
    assert_eq!(message(&event).text(), Some("In blue?"));
    assert!(event.is_known());
    assert_eq!(event.unread(), [""; 0]);

    let event = only(
        "messages",
        r#""statuses":[{"id":"wamid.1","status":"sent","pricing":{"billable":false,"pricing_model":"PMP",
            "type":"free_group_customer_service","category":"service","subtype":"paid_exempt"}}]"#,
    );
    let pricing = status(&event).pricing.unwrap();
    assert_eq!(
        (pricing.kind, pricing.subtype),
        (Some("free_group_customer_service"), Some("paid_exempt"))
    );
    assert!(event.is_known());
    assert_eq!(event.unread(), [""; 0]);

    let event = only(
        "messages",
        r#""user_actions":[{"action_type":"landing_page_view","timestamp":"1790000001",
            "marketing_messages_link_click_data":{"tracking_token":"tt","client_user_agent":"Browser/1"}}]"#,
    );
    let Payload::UserAction(action) = event.payload() else {
        panic!("{event:?}")
    };
    assert_eq!(action.action_type, Some(UserActionKind::LandingPageView));
    assert_eq!(
        action.link_click.unwrap().client_user_agent,
        Some("Browser/1")
    );
    assert!(event.is_known());
    assert_eq!(event.unread(), [""; 0]);
}

#[test]
fn a_contact_of_the_app_has_the_time_of_its_change() {
    let event = only(
        "smb_app_state_sync",
        r#""state_sync":[{"type":"contact","action":"add","contact":{"full_name":"Lotte L","phone_number":"4915100000007"},
            "metadata":{"timestamp":"1790000001"}}]"#,
    );
    assert_eq!(event.timestamp().unwrap().seconds(), 1_790_000_001);
    survives_copies(&event);
}

#[test]
fn a_body_that_was_left_out_is_told_from_one_that_was_read() {
    for (members, known, has_body) in [
        (
            r#""type":"interactive","errors":[{"code":131000}]"#,
            true,
            false,
        ),
        (
            r#""type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"b"}}"#,
            true,
            true,
        ),
        (
            r#""type":"interactive","interactive":{"type":"hologram_reply"}"#,
            false,
            true,
        ),
        (r#""type":"text""#, true, false),
        (r#""type":"text","text":{}"#, true, true),
        (r#""type":"text","text":"x""#, false, false),
        (r#""type":"text","image":{}"#, false, false),
        (r#""type":"hologram","hologram":{}"#, false, false),
        (r#""type":"request_welcome""#, true, false),
    ] {
        let event = only(
            "messages",
            &format!(r#""messages":[{{"id":"wamid.1",{members}}}]"#),
        );
        assert_eq!(event.is_known(), known, "{members}");
        assert_eq!(message(&event).has_body, has_body, "{members}");
    }
}

#[test]
fn of_two_equal_keys_the_last_counts_that_can_be_read() {
    let event = |metadata: &str, element: &str| {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"metadata":{metadata},"messages":[{element}]}}}}]}}]}}"#
        );
        parse(&body).remove(0)
    };
    for (metadata, id) in [
        (
            r#"{"phone_number_id":"a","phone_number_id":"b"}"#,
            Some("b"),
        ),
        (
            r#"{"phone_number_id":"a","phone_number_id":null}"#,
            Some("a"),
        ),
        (
            r#"{"phone_number_id":null,"phone_number_id":"b"}"#,
            Some("b"),
        ),
        (r#"{"phone_number_id":"a","phone_number_id":""}"#, Some("a")),
        (r#"{"phone_number_id":"a","phone_number_id":{}}"#, Some("a")),
        (r#"{"phone_number_id":7}"#, Some("7")),
        (r#"{"phone_number_id":""}"#, None),
        ("[]", None),
    ] {
        let found = event(metadata, r#"{"id":"wamid.1"}"#);
        assert_eq!(found.phone_number_id(), id, "{metadata}");
        survives_copies(&found);
        let metadata = metadata.replace("phone_number_id", "display_phone_number");
        let found = event(&metadata, r#"{"id":"wamid.1"}"#);
        assert_eq!(found.display_phone_number(), id, "{metadata}");
    }
    for (element, id) in [
        (r#"{"id":"a","id":"b"}"#, Some("b")),
        (r#"{"id":"a","id":null}"#, Some("a")),
        (r#"{"id":null,"id":"b"}"#, Some("b")),
        (r#"{"id":"a","id":[]}"#, Some("a")),
    ] {
        let found = event("{}", element);
        assert_eq!(found.id(), id, "{element}");
        assert_eq!(message(&found).id, id, "{element}");
        let element = element
            .replace(r#""id""#, r#""timestamp""#)
            .replace(r#""a""#, r#""1""#)
            .replace(r#""b""#, r#""2""#);
        let found = event("{}", &element);
        assert_eq!(found.timestamp(), message(&found).timestamp, "{element}");
    }
}

#[test]
fn what_stands_beside_is_an_event_of_its_own() {
    // At each level: the body, an entry, a change, a value, and lists in it.
    let place = |body: &str, entry: &str, change: &str, value: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account",{body}"entry":[{{"id":"1","time":1790000001,{entry}"changes":[
                {{"field":"messages",{change}"value":{{"metadata":{{"phone_number_id":"7"}},{value}"messages":[{{"id":"wamid.1"}}]}}}}]}}]}}"#
        )
    };
    let object = r#""novelty":{"id":"n","depth":3},"#;
    let list = r#""novelty":[{"id":"n","depth":3}],"#;
    let text = format!(r#""novelty":"{}","#, "n".repeat(300));
    let long = format!(r#""{}""#, "n".repeat(300));
    for (member, raw, reason, id) in [
        (object, r#"{"id":"n","depth":3}"#, Reason::Key, Some("n")),
        (list, r#"{"id":"n","depth":3}"#, Reason::List, Some("n")),
        (&*text, &*long, Reason::Key, None),
    ] {
        for body in [
            place(member, "", "", ""),
            place("", member, "", ""),
            place("", "", member, ""),
            place("", "", "", member),
        ] {
            let events = parse(&body);
            assert_eq!(events.len(), 2, "{body}");
            let beside = events
                .iter()
                .find(|event| event.kind() == "unknown")
                .unwrap();
            assert_eq!(beside.raw(), raw, "{body}");
            let unknown = unknown(beside);
            let found = (unknown.list, unknown.reason, unknown.id, unknown.raw);
            assert_eq!(found, (Some("novelty"), reason, id, raw), "{body}");
            let names: &[&str] = if id.is_some() { &["depth"] } else { &["."] };
            assert_eq!(beside.unread(), names);
            events.iter().for_each(survives_copies);
        }
        // A lone `null` is no event.
        assert_eq!(
            parse(&place(
                r#""novelty":null,"#,
                r#""novelty":null,"#,
                r#""novelty":null,"#,
                r#""novelty":null,"#
            ))
            .len(),
            1
        );
    }
    for (field, members, count) in [
        (
            "standby",
            r#""standby":{"messages":[{"id":"wamid.1"}],"novelty":{"a":1}}"#,
            2,
        ),
        (
            "history",
            r#""history":[{"metadata":{"phase":0},"threads":[{"id":"1","messages":[{"id":"wamid.1"}]}],"novelty":true}]"#,
            2,
        ),
        (
            "history",
            r#""history":[{"threads":[{"id":"1","novelty":7,"messages":[{"id":"wamid.1"}]}]}]"#,
            2,
        ),
        (
            "account_update",
            r#""event":"DISABLED_UPDATE"},"novelty":{"a":1"#,
            2,
        ),
        ("holograms", r#""a":1},"novelty":{"b":2"#, 2),
    ] {
        let events = events(field, members);
        assert_eq!(events.len(), count, "{members}");
        events.iter().for_each(survives_copies);
    }
}

/// Meta adds such keys to every delivery, so they are not an event each time.
#[test]
fn small_texts_and_numbers_beside_go_along_with_the_events() {
    for (entry, value, paths, found) in [
        (r#""waac_id":"77","#, "", &["entry.waac_id"][..], Some("77")),
        ("", r#""waac_id":77,"#, &["value.waac_id"], Some("77")),
        (
            r#""waac_id":"e","#,
            r#""waac_id":"v","#,
            &["value.waac_id", "entry.waac_id"],
            Some("v"),
        ),
        (
            r#""flag":true,"#,
            r#""empty":"","#,
            &["value.empty", "entry.flag"],
            None,
        ),
    ] {
        let body = format!(
            r#"{{"entry":[{{"id":"1",{entry}"changes":[{{"field":"messages","value":{{{value}"messages":[{{"id":"a"}},{{"id":"b"}}]}}}}]}}]}}"#
        );
        let events = parse(&body);
        assert_eq!(events.len(), 2, "{body}");
        for event in &events {
            assert_eq!(event.unread(), paths);
            assert_eq!(event.envelope_value("waac_id"), found);
            let queued = Notification::from_queue(event.to_queue()).unwrap();
            for copy in [&queued.events()[0], &event.detach()] {
                assert_eq!(copy.envelope_value("waac_id"), found);
            }
            survives_copies(event);
        }
    }
    // Without an event that they could belong to, they are an event themselves.
    let events = parse(r#"{"entry":[{"id":"1","waac_id":"77","flag":true,"changes":[]}]}"#);
    assert_eq!(
        events.iter().map(Event::raw).collect::<Vec<_>>(),
        [r#""77""#, "true"]
    );
    events.iter().for_each(survives_copies);
    let event = only("account_update", r#""event":"DISABLED_UPDATE""#);
    assert_eq!(event.envelope_value("event"), Some("DISABLED_UPDATE"));
}

/// The same for each way in which a value can hold its elements.
#[test]
fn small_texts_go_along_with_the_events_of_every_field() {
    for (field, elements) in [
        ("messages", r#""statuses":[{"id":"a"}]"#),
        ("standby", r#""standby":{"messages":[{"id":"a"}]}"#),
        (
            "group_lifecycle_update",
            r#""groups":[{"group_id":"a","subject":"Rowing"}]"#,
        ),
        (
            "history",
            r#""history":[{"threads":[{"id":"1","messages":[{"id":"a"}]}]}]"#,
        ),
    ] {
        let event = only(field, &format!(r#""waac_id":"77",{elements}"#));
        assert_eq!(event.envelope_value("waac_id"), Some("77"), "{field}");
        assert_eq!(event.unread(), ["value.waac_id"], "{field}");
        survives_copies(&event);
    }
}

#[test]
fn contacts_and_contexts_without_a_list_are_an_event() {
    for members in [
        r#""contacts":[{"wa_id":"4915100000007"}]"#,
        r#""contacts":[{"wa_id":"4915100000007"}],"messages":[]"#,
        r#""conversation_context":{"type":"summary","summary":{"text":"s"}}"#,
    ] {
        let event = only("messages", members);
        assert_eq!(unknown(&event).reason, Reason::Shape, "{members}");
        assert_eq!(event.raw(), event.value().unwrap(), "{members}");
        survives_copies(&event);
    }
    // In an unusual place or shape they are not hidden either.
    let events = events(
        "messages",
        r#""contacts":{"wa_id":"4915100000007"},"messages":[{"id":"wamid.1"}]"#,
    );
    assert_eq!(
        (events.len(), unknown(&events[1]).list),
        (2, Some("contacts"))
    );
    let event = only(
        "messages",
        r#""conversation_context":{"type":"summary"},"statuses":[{"id":"wamid.1"}]"#,
    );
    assert_eq!(event.unread(), ["value.conversation_context"]);
}

#[test]
fn a_contact_that_contradicts_is_nobodys() {
    let ada = r#""contacts":[{"profile":{"name":"Ada"},"wa_id":"4915100000001","user_id":"DE.1"}]"#;
    for elements in [
        r#""messages":[{"from":"4915100000002","from_user_id":"DE.2","id":"wamid.1"}]"#,
        r#""messages":[{"from_user_id":"DE.2","id":"wamid.1","type":"system","system":{"previous_user_id":"DE.2","user_id":"DE.3"}}]"#,
        r#""statuses":[{"recipient_user_id":"DE.2","id":"wamid.1"}]"#,
    ] {
        let event = only("messages", &format!("{ada},{elements}"));
        let contact = match event.payload() {
            Payload::Message(message) => message.sender.contact.get(),
            Payload::Status(status) => status.recipient.contact.get(),
            other => panic!("{other:?}"),
        };
        assert_eq!(contact, None, "{elements}");
        survives_copies(&event);
    }
}

#[test]
fn several_events_of_one_person_share_its_contact() {
    let lupe =
        r#""contacts":[{"profile":{"name":"Lupe"},"wa_id":"5215500000001","user_id":"MX.1"}]"#;
    for elements in [
        r#""messages":[{"from":"525500000001","id":"wamid.1"},{"from":"+525500000001","id":"wamid.2"}]"#,
        r#""messages":[{"from":"525500000001","id":"wamid.1"}],"statuses":[{"id":"wamid.2","recipient_id":"525500000001"}]"#,
    ] {
        let events = events("messages", &format!("{lupe},{elements}"));
        assert_eq!(events.len(), 2);
        for event in &events {
            let contact = match event.payload() {
                Payload::Message(message) => message.sender.contact.get(),
                Payload::Status(status) => status.recipient.contact.get(),
                other => panic!("{other:?}"),
            };
            assert_eq!(contact.unwrap().user_id, Some("MX.1"), "{elements}");
            survives_copies(event);
        }
    }
}

#[test]
fn people_of_histories_and_standby_have_their_contacts() {
    let contacts = r#""contacts":[{"profile":{"name":"Lotte"},"wa_id":"4915100000007","user_id":"DE.7"},{"wa_id":"4915100000008"}]"#;
    let event = only(
        "history",
        &format!(
            r#"{contacts},"history":[{{"threads":[{{"id":"4915100000007","messages":[{{"from":"4930000001","id":"wamid.1"}}]}}]}}]"#
        ),
    );
    let Payload::HistoryMessage(message) = event.payload() else {
        panic!("{event:?}")
    };
    assert_eq!(message.contact.get().unwrap().user_id, Some("DE.7"));
    survives_copies(&event);
    let event = only(
        "history",
        &format!(r#"{contacts},"messages":[{{"from":"4915100000007","id":"wamid.1"}}]"#),
    );
    let Payload::HistoryMessage(message) = event.payload() else {
        panic!("{event:?}")
    };
    assert_eq!(message.contact.get().unwrap().user_id, Some("DE.7"));
    survives_copies(&event);
    for recipient in [r#""to":"4915100000007""#, r#""recipient":"DE.7""#] {
        let event = only(
            "standby",
            &format!(
                r#""standby":{{{contacts},"message_echoes":[{{"id":"wamid.1","message":{{{recipient}}}}}]}}"#
            ),
        );
        let Payload::StandbyEcho(echo) = event.payload() else {
            panic!("{event:?}")
        };
        assert_eq!(echo.contact.get().unwrap().user_id, Some("DE.7"));
        survives_copies(&event);
    }
}

#[test]
fn a_phone_number_is_found_wherever_a_field_names_it() {
    for (field, value, id, display) in [
        (
            "messaging_handovers",
            r#"{"recipient":{"phone_number_id":"77","display_phone_number":"4930000001"}}"#,
            Some("77"),
            Some("4930000001"),
        ),
        (
            "account_settings_update",
            r#"{"phone_number_settings":{"phone_number_id":"77"}}"#,
            Some("77"),
            None,
        ),
        (
            "phone_number_name_update",
            r#"{"display_phone_number":"4930000001"}"#,
            None,
            Some("4930000001"),
        ),
        (
            "phone_number_quality_update",
            r#"{"display_phone_number":"4930000001"}"#,
            None,
            Some("4930000001"),
        ),
        (
            "security",
            r#"{"display_phone_number":"4930000001"}"#,
            None,
            Some("4930000001"),
        ),
        (
            "business_username_update",
            r#"{"display_phone_number":"4930000001"}"#,
            None,
            Some("4930000001"),
        ),
        (
            "account_update",
            r#"{"phone_number":"4930000001"}"#,
            None,
            None,
        ),
    ] {
        let body = format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
        );
        let notification = Notification::parse(body).unwrap();
        let [event] = notification.events() else {
            panic!("{field}")
        };
        assert_eq!(
            (event.phone_number_id(), event.display_phone_number()),
            (id, display),
            "{field}"
        );
        assert_eq!(
            notification.of_phone_number("77").count(),
            usize::from(id.is_some()),
            "{field}"
        );
        survives_copies(event);
    }
}

#[test]
fn keys_tell_apart_what_is_not_the_same() {
    let two = |field: &str, one: &str, other: &str| (only(field, one), only(field, other));
    // The person of an action is only in the contacts.
    let action = r#""user_actions":[{"action_type":"landing_page_view","timestamp":"1790000001"}]"#;
    let (one, other) = two(
        "messages",
        &format!(r#""contacts":[{{"wa_id":"1"}}],{action}"#),
        &format!(r#""contacts":[{{"wa_id":"2"}}],{action}"#),
    );
    assert_ne!(one.key(), other.key());
    survives_copies(&one);
    // A payment keeps its state and its time when it is refunded.
    let status = |refunds: &str| {
        format!(
            r#""statuses":[{{"id":"wamid.1","status":"captured","timestamp":"1790000001","payment":{{"transaction":{{"id":"t"{refunds}}}}}}}]"#
        )
    };
    let (one, other) = two(
        "messages",
        &status(""),
        &status(r#","refunds":[{"id":"r"}]"#),
    );
    assert_ne!(one.key(), other.key());
    // An empty id counts as missing.
    let (one, other) = two(
        "messages",
        r#""messages":[{"id":"","from":"1","text":{"body":"a"}}]"#,
        r#""messages":[{"id":"","from":"2","text":{"body":"b"}}]"#,
    );
    assert_ne!(one.key(), other.key());
    assert_eq!((one.id(), message(&one).id), (None, None));
    // One number may have several account ids.
    let of_account = |id: &str| {
        let body = format!(
            r#"{{"entry":[{{"id":"{id}","changes":[{{"field":"user_preferences","value":{{"metadata":{{"phone_number_id":"7"}},"user_preferences":[{{"wa_id":"1","timestamp":1790000001}}]}}}}]}}]}}"#
        );
        parse(&body).remove(0).key()
    };
    assert_eq!(of_account("1"), of_account("2"));
}

#[test]
fn what_has_neither_id_nor_time_is_not_told_from_a_later_one() {
    for (field, members, tells) in [
        ("messages", r#""errors":[{"code":130429}]"#, false),
        ("messages", r#""messages":[{"id":"wamid.1"}]"#, true),
        ("messages", r#""messages":[{"id":""}]"#, false),
        (
            "messages",
            r#""messages":[{"timestamp":"1790000001"}]"#,
            true,
        ),
        (
            "messages",
            r#""user_actions":[{"timestamp":"1790000001"}]"#,
            true,
        ),
        ("business_username_updates", r#""status":"approved""#, false),
        (
            "smb_app_state_sync",
            r#""state_sync":[{"metadata":{"timestamp":"1790000001"}}]"#,
            true,
        ),
        ("holograms", r#""depth":3"#, false),
    ] {
        let event = only(field, members);
        assert_eq!(event.is_distinguishable(), tells, "{members}");
    }
    let body = r#"{"entry":[{"id":"1","time":1790000001,"changes":[{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}}]}]}"#;
    assert!(parse(body)[0].is_distinguishable());
}

#[test]
fn an_object_of_many_unknown_keys_is_one_event() {
    let members: String = (0..9)
        .map(|index| format!(r#""k{index}":{index},"#))
        .collect();
    for body in [
        format!(
            r#"{{{members}"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{{"id":"a"}}]}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{{members}"changes":[{{"field":"messages","value":{{"messages":[{{"id":"a"}}]}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{"changes":[{{{members}"field":"messages","value":{{"messages":[{{"id":"a"}}]}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{{members}"messages":[{{"id":"a"}}]}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{"changes":[{{"field":"standby","value":{{"standby":{{{members}"messages":[{{"id":"a"}}]}}}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{"changes":[{{"field":"history","value":{{"history":[{{{members}"threads":[{{"messages":[{{"id":"a"}}]}}]}}]}}}}]}}]}}"#
        ),
        format!(
            r#"{{"entry":[{{"changes":[{{"field":"history","value":{{"history":[{{"threads":[{{{members}"messages":[{{"id":"a"}}]}}]}}]}}}}]}}]}}"#
        ),
    ] {
        let events = parse(&body);
        assert_eq!(events.len(), 2, "{body}");
        assert_eq!(unknown(&events[0]).reason, Reason::Shape, "{body}");
        assert!(events[0].raw().starts_with(r#"{"k0":0,"#), "{body}");
        events.iter().for_each(survives_copies);
    }
}

#[test]
fn an_entry_of_another_product_is_not_lost() {
    let events = parse(
        r#"{"object":"instagram","entry":[{"id":"5","time":2,"changes":[{"field":"comments","value":{"id":"c7"}}],
            "messaging":[{"sender":{"id":"s7"},"message":{"mid":"m7","text":"hallo"}}]}]}"#,
    );
    let raw: Vec<_> = events.iter().map(Event::raw).collect();
    assert_eq!(
        raw,
        [
            r#"{"id":"c7"}"#,
            r#"{"sender":{"id":"s7"},"message":{"mid":"m7","text":"hallo"}}"#
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| unknown(event).reason == Reason::Object)
    );
    events.iter().for_each(survives_copies);
}

#[test]
fn an_echo_under_two_fields_is_one_event() {
    let echo = r#""message_echoes":[{"from":"4930000001","to":"4915100000007","id":"wamid.7","type":"text","text":{"body":"x"}}]"#;
    let smb = only("smb_message_echoes", echo);
    let other = only("message_echoes", echo);
    assert_eq!(smb.key(), other.key());
    assert_eq!(smb.key_in("shop"), other.key_in("shop"));
    assert_ne!(smb.key(), smb.key_in("shop"));
    // Other spellings of a field mean the same field.
    let value = r#""username":"oars","status":"approved""#;
    assert_eq!(
        only("business_username_updates", value).key(),
        only("business_username_update", value).key()
    );
    assert_ne!(
        only("holograms", r#""a":1"#).key(),
        only("other_holograms", r#""a":1"#).key()
    );
}

#[test]
fn unread_names_keys_and_no_values() {
    for (element, paths) in [
        (r#"{"id":"1","mood":"merry"}"#, &["mood"][..]),
        (r#"{"id":"1","mood":{"deep":{"er":1}}}"#, &["mood"]),
        (r#"{"id":"1","mood":null}"#, &[]),
        (r#"{"id":["1"]}"#, &["id"]),
        (r#"{"id":""}"#, &[]),
        (r#"{"id":"1","id":"2"}"#, &["id"]),
        (r#"{"id":"1","timestamp":"soon"}"#, &["timestamp"]),
        (
            r#"{"id":"1","type":"text","text":{"body":"x","font":"y"},"image":{"id":"2"}}"#,
            &["text.font", "image"],
        ),
        (r#"{"id":"1","type":"text","text":"x"}"#, &["text"]),
        (
            r#"{"id":"1","type":"hologram","hologram":{"depth":1}}"#,
            &["hologram"],
        ),
        (
            r#"{"id":"1","type":"interactive","interactive":{"type":"hologram_reply","hologram_reply":{}}}"#,
            &["interactive.type", "interactive.hologram_reply"],
        ),
        (
            r#"{"id":"1","type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"b"},"body":{"text":"t"}}}"#,
            &["interactive.body"],
        ),
        (
            r#"{"id":"1","errors":[{"code":1,"x":1},{"code":2,"x":2},"odd"]}"#,
            &["errors[].x", "errors[]"],
        ),
        (
            r#"{"id":"1","context":{"id":"2","16505550001":true}}"#,
            &["context.*"],
        ),
        (r#"{"id":"1","context":"x"}"#, &["context"]),
        (
            r#"{"id":"1","type":"edit","edit":{"message":{"type":"text","text":{"body":"x"},"y":1}}}"#,
            &["edit.message.y"],
        ),
        (
            r#"{"id":"1","type":"request_welcome","request_welcome":{"a":1}}"#,
            &["request_welcome"],
        ),
    ] {
        let event = only("messages", &format!(r#""messages":[{element}]"#));
        assert_eq!(event.unread(), paths, "{element}");
        survives_copies(&event);
    }
    let event = only(
        "messages",
        r#""metadata":{"phone_number_id":"7","waac_id":"8"},"conversation_context":{"type":"summary","tone":"calm"},
            "contacts":[{"profile":{"name":"Lotte","mood":"merry"},"wa_id":"1"}],"messages":[{"id":"wamid.1","from":"1"}]"#,
    );
    assert_eq!(
        event.unread(),
        [
            "value.metadata.waac_id",
            "value.conversation_context.tone",
            "value.contacts[].profile.mood"
        ]
    );
    let event = only(
        "history",
        r#""history":[{"metadata":{"phase":0,"speed":1},"threads":[{"id":"1","context":{"wa_id":"1","mood":1},"messages":[{"id":"wamid.1"}]}]}]"#,
    );
    assert_eq!(
        event.unread(),
        [
            "value.history[].metadata.speed",
            "value.history[].threads[].context.mood"
        ]
    );
    let Payload::HistoryMessage(HistoryMessage { has_body, .. }) = event.payload() else {
        panic!("{event:?}")
    };
    assert!(!has_body);
    let event = only("account_update", r#""event":"DISABLED_UPDATE""#);
    assert_eq!(event.unread(), ["metadata"]);
}

#[test]
fn debug_shows_the_words_of_meta_and_nobody_elses() {
    let event = only(
        "messages",
        r#""statuses":[{"id":"wamid.1","status":"failed","recipient_id":"4915100000007","errors":[{"code":131047,
            "title":"Re-engagement message","message":"Too late","error_data":{"details":"for 4915100000007"}}]}]"#,
    );
    let shown = format!("{event:?}");
    assert!(
        shown.contains("Re-engagement message") && shown.contains("Too late"),
        "{shown}"
    );
    assert!(!shown.contains("4915100000007"), "{shown}");
}
