//! The order of keys has no effect: sorted, reversed or shuffled at every level, a
//! delivery has the same events.

use std::{collections::BTreeMap, fs};

use tower_whatsapp::{Event, Notification, Payload, event::Unknown};

const SHUFFLES: u64 = 8;

#[test]
fn the_order_of_keys_changes_nothing() {
    let (mut bodies, mut events, mut twice) = (0, 0, 0);
    for (name, body) in bodies_of_all() {
        if Notification::parse(body.clone()).is_err() {
            continue;
        }
        let tree = Node::parse(&body);
        // Normalises white space, because the crate keeps some values as written.
        let original = Notification::parse(tree.write()).unwrap();
        if tree.has_equal_keys() {
            // Of two equal keys the last one counts.
            println!("has a key twice: {name}");
            twice += 1;
            continue;
        }
        bodies += 1;
        events += original.events().len();
        let orders = [Order::Sorted, Order::Reversed].into_iter();
        for order in orders.chain((0..SHUFFLES).map(Order::Shuffled)) {
            let mut tree = tree.clone();
            tree.reorder(&mut order.clone(), "", "");
            let other = Notification::parse(tree.write()).unwrap();
            assert_same(
                original.events(),
                other.events(),
                &format!("{name}, {order:?}"),
            );
        }
    }
    println!("{bodies} bodies, {events} events, {} orders", 2 + SHUFFLES);
    assert!(twice <= 3, "{twice}");
    assert!(bodies >= CHANGES.len() && events >= CHANGES.len());
}

/// Sibling lists of a value or group may change places; the elements of each list may not.
fn assert_same(before: &[Event], after: &[Event], name: &str) {
    assert_eq!(before.len(), after.len(), "{name}");
    let (before, after) = (by_list(before), by_list(after));
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "{name}"
    );
    for (list, before) in &before {
        for (left, right) in before.iter().zip(&after[list]) {
            match (left.payload(), right.payload()) {
                // Only its raw JSON is ordered differently.
                (Payload::Unknown(left), Payload::Unknown(right)) => {
                    let said =
                        |unknown: Unknown<'_>| (unknown.reason, unknown.id.map(str::to_owned));
                    assert_eq!(said(left), said(right), "{name}: {list}");
                }
                (left, right) => assert_eq!(left, right, "{name}: {list}"),
            }
            assert_eq!(left.is_known(), right.is_known(), "{name}: {list}");
            assert_eq!(left.id(), right.id(), "{name}: {list}");
            assert_eq!(left.field(), right.field(), "{name}: {list}");
            assert_eq!(left.entry_id(), right.entry_id(), "{name}: {list}");
            assert_eq!(left.entry_time(), right.entry_time(), "{name}: {list}");
            assert_eq!(
                left.phone_number_id(),
                right.phone_number_id(),
                "{name}: {list}"
            );
            assert_eq!(
                left.display_phone_number(),
                right.display_phone_number(),
                "{name}: {list}"
            );
            // Members may be reordered, but none may be missing.
            assert_eq!(sorted(left.raw()), sorted(right.raw()), "{name}: {list}");
        }
    }
}

fn by_list(events: &[Event]) -> BTreeMap<String, Vec<&Event>> {
    let mut lists: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events {
        let payload = event.payload();
        let list = match payload {
            Payload::Unknown(unknown) => format!("{:?}", unknown.list),
            Payload::GroupParticipant(participant) => format!("{:?}", participant.outcome),
            // Not every thread has an id, and members next to the history belong to no chunk.
            Payload::HistoryMessage(message) => {
                format!("{:?} {:?}", message.thread_id, message.chunk)
            }
            _ => String::new(),
        };
        let label = format!("{:?} {} {list}", event.field(), payload.name());
        lists.entry(label).or_default().push(event);
    }
    lists
}

/// The same JSON with all keys in order.
fn sorted(json: &str) -> String {
    let mut tree = Node::parse(json);
    tree.reorder(&mut Order::Sorted, "", "");
    tree.write()
}

#[derive(Debug, Clone)]
enum Order {
    Sorted,
    Reversed,
    /// Shuffled with this seed.
    Shuffled(u64),
}

impl Order {
    fn apply(&mut self, members: &mut [(String, Node)]) {
        match self {
            Self::Sorted => members.sort_by(|(left, _), (right, _)| left.cmp(right)),
            Self::Reversed => members.reverse(),
            Self::Shuffled(state) => {
                for index in (1..members.len()).rev() {
                    // SplitMix64.
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    let other = (mixed ^ (mixed >> 31)) % (index as u64 + 1);
                    members.swap(index, usize::try_from(other).unwrap());
                }
            }
        }
    }
}

/// A JSON text as a tree that keeps scalars and keys as written, including numbers that fit no type
/// and half surrogate pairs, with members in order.
#[derive(Debug, Clone)]
enum Node {
    Scalar(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Parses `text`, which must be valid.
    fn parse(text: &str) -> Self {
        Self::take(&mut { text })
    }

    fn take(rest: &mut &str) -> Self {
        match next(rest) {
            "{" => {
                let mut members = Vec::new();
                loop {
                    match next(rest) {
                        "}" => return Self::Object(members),
                        "," => {}
                        key => {
                            assert_eq!(next(rest), ":");
                            members.push((key.to_owned(), Self::take(rest)));
                        }
                    }
                }
            }
            "[" => {
                let mut elements = Vec::new();
                loop {
                    let before = *rest;
                    match next(rest) {
                        "]" => return Self::Array(elements),
                        "," => {}
                        _ => {
                            *rest = before;
                            elements.push(Self::take(rest));
                        }
                    }
                }
            }
            scalar => Self::Scalar(scalar.to_owned()),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Scalar(scalar) => scalar.clone(),
            Self::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(Self::write).collect();
                format!("[{}]", elements.join(","))
            }
            Self::Object(members) => {
                let member = |(key, value): &(String, Self)| format!("{key}:{}", value.write());
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn has_equal_keys(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Array(elements) => elements.iter().any(Self::has_equal_keys),
            Self::Object(members) => {
                let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
                keys.sort_unstable();
                keys.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(_, value)| value.has_equal_keys())
            }
        }
    }

    /// `key` is the key of this value, `above` that of its parent object.
    fn reorder(&mut self, order: &mut Order, key: &str, above: &str) {
        // The crate keeps these values as JSON text.
        let kept = ["\"calling\"", "\"template\"", "\"flow\""].contains(&key)
            || (key == "\"message\"" && above != "\"edit\"");
        if kept {
            return;
        }
        match self {
            Self::Scalar(_) => {}
            Self::Array(elements) => {
                for element in elements {
                    element.reorder(order, key, above);
                }
            }
            Self::Object(members) => {
                order.apply(members);
                for (name, value) in members {
                    value.reorder(order, name, key);
                }
            }
        }
    }
}

/// Takes the next bracket, comma, colon, string, number or word.
fn next<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    let end = match text.as_bytes()[0] {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        b'"' => {
            let mut escaped = false;
            let ends = |byte: u8| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            };
            2 + text[1..].bytes().position(ends).unwrap()
        }
        _ => text
            .find(|end: char| ",]}".contains(end) || end.is_whitespace())
            .unwrap_or(text.len()),
    };
    let (token, after) = text.split_at(end);
    *rest = after;
    token
}

/// Deliveries of the test, one by one and combined, and those of the collection next to the
/// project, if it is there.
fn bodies_of_all() -> Vec<(String, String)> {
    let deliver = |changes: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"700000000000001","time":1760000000,"changes":[{changes}]}}]}}"#
        )
    };
    let mut changes = Vec::new();
    for (field, value) in CHANGES {
        let value = value.trim_start_matches('{');
        changes.push(format!(
            r#"{{"field":"{field}","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},{value}}}"#
        ));
    }
    let mut bodies: Vec<_> = changes
        .iter()
        .zip(CHANGES)
        .map(|(change, (field, _))| (format!("own {field}"), deliver(change)))
        .collect();
    bodies.push(("all own".to_owned(), deliver(&changes.join(","))));
    let root = test_support::payloads();
    let Some(index) = test_support::payloads_index() else {
        return bodies;
    };
    for line in index.lines().skip(1) {
        let mut columns = line.split('\t');
        let file = columns.next().unwrap();
        if columns.next() != Some("malformed") {
            let body = fs::read_to_string(root.join(file)).unwrap();
            bodies.push((file.to_owned(), body));
        }
    }
    bodies
}

/// Fields and values whose related parts are in the worst order.
const CHANGES: &[(&str, &str)] = &[
    (
        "messages",
        r#"{"messages":[{"text":{"body":"a \ud83d\ude00"},"type":"text","id":"wamid.A","timestamp":"1760000000","from":"16505550002"},{"image":{"id":"1","caption":"c"},"text":{"body":"not this"},"type":"image","id":"wamid.B","from":"16505550001"}],"contacts":[{"wa_id":"16505550001","profile":{"name":"Ada"},"user_id":"US.1"},{"user_id":"US.2","wa_id":"16505550002"}],"statuses":[{"status":"sent","id":"wamid.C","recipient_id":"16505550001","conversation":{"origin":{"type":"service"},"id":"c"}},{"id":"wamid.C","status":"read"}]}"#,
    ),
    (
        "messages",
        r#"{"messages":[{"interactive":{"list_reply":{"title":"T","id":"1"},"type":"list_reply"},"type":"interactive","id":"wamid.A"},{"interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"accept"}}},{"id":"wamid.E","edit":{"message":{"text":{"body":"n"},"type":"text","context":{"id":"wamid.A"}},"original_message_id":"wamid.A"},"type":"edit"},{"text":{"body":"\ud83d"},"id":1e400,"type":"text"},{"audio":{"id":"1"},"text":{"body":"no type"}}],"errors":[{"title":"t","code":"131000"}]}"#,
    ),
    (
        "messages",
        r#"{"messages":[{"contacts":[{"phones":[{"wa_id":"1","phone":"+1"}],"name":{"last_name":"B","formatted_name":"A B"}}],"type":"contacts"},{"order":{"product_items":[{"quantity":2,"item_price":0.10}],"catalog_id":"c"},"type":"order"},{"errors":[{"code":131051}],"unsupported":{"type":"poll"},"type":"unsupported"}],"user_actions":[{"timestamp":"1760000000","action_type":"marketing_messages_link_click"}],"holograms":[{"b":1,"a":2},7]}"#,
    ),
    (
        "calls",
        r#"{"calls":[{"session":{"sdp":"v=0","sdp_type":"offer"},"event":"connect","id":"wacid.A","timestamp":1760000000}],"statuses":[{"status":"RINGING","type":"call","id":"wacid.B"}],"contacts":[{"wa_id":"1"}]}"#,
    ),
    (
        "group_participants_update",
        r#"{"groups":[{"added_participants":[{"wa_id":"1"},{"wa_id":"2"}],"failed_participants":[{"input":"3","errors":[{"code":1}]}],"group_id":"G","timestamp":"1760000000","type":"group_participants_add"},{"type":"group_suspend","group_id":"H"}]}"#,
    ),
    (
        "history",
        r#"{"history":[{"threads":[{"messages":[{"text":{"body":"x"},"type":"text","id":"wamid.A"},{"type":"media_placeholder","id":"wamid.B"}],"context":{"user_id":"US.1"},"id":"16505550001"}],"metadata":{"progress":5,"phase":0}},{"metadata":{"progress":100}}]}"#,
    ),
    (
        "smb_message_echoes",
        r#"{"message_echoes":[{"text":{"body":"x"},"to":"16505550001","type":"text","id":"wamid.A"}],"contacts":[{"wa_id":"16505550001"}]}"#,
    ),
    (
        "smb_app_state_sync",
        r#"{"state_sync":[{"contact":{"phone_number":"1","full_name":"A"},"type":"contact","action":"add"}]}"#,
    ),
    (
        "standby",
        r#"{"standby":{"statuses":[{"status":"sent","id":"wamid.A"}],"message_echoes":[{"message":{"type":"text","to":"1"},"id":"wamid.B"}],"messages":[{"text":{"body":"x"},"type":"text"}]}}"#,
    ),
    (
        "account_update",
        r#"{"restriction_info":[{"expiration":1760000000,"restriction_type":"r"}],"event":"ACCOUNT_RESTRICTION"}"#,
    ),
    (
        "account_alerts",
        r#"{"alert_info":{"alert_type":"t","alert_severity":"CRITICAL"},"entity_id":1,"entity_type":"BUSINESS"}"#,
    ),
    (
        "message_template_status_update",
        r#"{"rejection_info":{"recommendation":"x","reason":"r"},"reason":null,"event":"REJECTED","message_template_id":1310000000000001}"#,
    ),
    (
        "flows",
        r#"{"errors":[{"error_rate":0.5,"error_type":"t"}],"event":"ENDPOINT_ERROR_RATE","flow_id":"1","threshold":10}"#,
    ),
    (
        "holograms",
        r#"{"statuses":[{"status":"sent","id":"1"}],"other":[{"b":1,"a":2}]}"#,
    ),
];
