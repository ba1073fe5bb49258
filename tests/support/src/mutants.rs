//! Bodies, and a mutator for them.
//!
//! Mutations work on a tree that keeps every text as written, because some results (two equal keys,
//! half a surrogate pair, numbers of a hundred digits) do not fit into a `serde_json::Value`.

use std::{env, fs};

use crate::{payloads, payloads_index};

/// Nesting depth of a body.
pub fn depth(body: &str) -> usize {
    let (mut deepest, mut depth, mut in_text, mut escaped) = (0, 0usize, false, false);
    for byte in body.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A JSON text as a tree. Scalars and keys are kept as written; white space between
/// them is dropped.
#[derive(Debug, Clone)]
pub enum Node {
    /// A string with its quotes, a number, `true`, `false` or `null`.
    Scalar(String),
    Array(Vec<Node>),
    /// Keys with their quotes.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Parses `text`, which must be valid.
    pub fn parse(text: &str) -> Self {
        let mut rest = text;
        let node = Self::take(&mut rest);
        assert!(rest.trim().is_empty(), "{rest}");
        node
    }

    fn take(rest: &mut &str) -> Self {
        *rest = rest.trim_start();
        match rest.as_bytes()[0] {
            b'{' => {
                *rest = rest[1..].trim_start();
                let mut members = Vec::new();
                while !rest.starts_with('}') {
                    let key = scalar(rest).to_owned();
                    *rest = rest.trim_start().strip_prefix(':').unwrap();
                    members.push((key, Self::take(rest)));
                    *rest = rest.trim_start();
                    *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                }
                *rest = &rest[1..];
                Self::Object(members)
            }
            b'[' => {
                *rest = rest[1..].trim_start();
                let mut elements = Vec::new();
                while !rest.starts_with(']') {
                    elements.push(Self::take(rest));
                    *rest = rest.trim_start();
                    *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                }
                *rest = &rest[1..];
                Self::Array(elements)
            }
            _ => Self::Scalar(scalar(rest).to_owned()),
        }
    }

    pub fn write(&self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }

    fn write_to(&self, text: &mut String) {
        match self {
            Self::Scalar(scalar) => text.push_str(scalar),
            Self::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    element.write_to(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(key);
                    text.push(':');
                    value.write_to(text);
                }
                text.push('}');
            }
        }
    }

    /// All values of a key, in the order of the text.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        let members = match self {
            Self::Object(members) => members.as_slice(),
            _ => &[],
        };
        members
            .iter()
            .filter(move |(key, _)| decoded(key).as_deref() == Some(name))
            .map(|(_, value)| value)
    }

    pub fn items(&self) -> impl Iterator<Item = &Self> {
        match self {
            Self::Array(elements) => elements.as_slice(),
            _ => &[],
        }
        .iter()
    }

    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Scalar(scalar) if scalar == "null" || scalar == "\"\"")
    }

    pub fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(scalar) => decoded(scalar),
            _ => None,
        }
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Scalar(_) => 0,
            Self::Array(elements) => elements.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum(),
        }
    }

    /// The node with this number, in pre-order.
    fn nth(&mut self, number: &mut usize) -> Option<&mut Self> {
        if *number == 0 {
            return Some(self);
        }
        *number -= 1;
        match self {
            Self::Scalar(_) => None,
            Self::Array(elements) => elements.iter_mut().find_map(|element| element.nth(number)),
            Self::Object(members) => members.iter_mut().find_map(|(_, value)| value.nth(number)),
        }
    }

    /// Applies a random mutation to a random node. Returns its name.
    pub fn mutate(&mut self, random: &mut Random) -> &'static str {
        let count = self.count();
        loop {
            let (name, mutation) = MUTATIONS[random.below(MUTATIONS.len())];
            // Not every mutation applies to every node.
            for _ in 0..40 {
                let node = self.nth(&mut random.below(count)).unwrap();
                if mutation(node, random).is_some() {
                    return name;
                }
            }
        }
    }

    fn members(&mut self) -> Option<&mut Vec<(String, Self)>> {
        match self {
            Self::Object(members) if !members.is_empty() => Some(members),
            _ => None,
        }
    }

    fn elements(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Array(elements) if !elements.is_empty() => Some(elements),
            _ => None,
        }
    }

    /// A string, without its quotes.
    pub fn string(&self) -> Option<&str> {
        match self {
            Self::Scalar(scalar) => scalar.strip_prefix('"')?.strip_suffix('"'),
            _ => None,
        }
    }
}

/// Takes a string, number or word from the start of the text.
fn scalar<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    let end = if let Some(string) = text.strip_prefix('"') {
        let mut escaped = false;
        1 + string
            .bytes()
            .position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            })
            .unwrap()
            + 1
    } else {
        text.find(|end: char| ",]}".contains(end) || end.is_whitespace())
            .unwrap_or(text.len())
    };
    let (scalar, after) = text.split_at(end);
    *rest = after;
    scalar
}

/// The decoded string; `None` for half a surrogate pair, and for other values.
fn decoded(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

pub type Mutation = fn(&mut Node, &mut Random) -> Option<()>;

pub const MUTATIONS: &[(&str, Mutation)] = &[
    ("drop a key", |node, random| {
        let members = node.members()?;
        members.remove(random.below(members.len()));
        Some(())
    }),
    ("null", |node, _| {
        *node = Node::Scalar("null".to_owned());
        Some(())
    }),
    ("string to number", |node, random| {
        let text = node.string()?;
        let number = text
            .parse::<u64>()
            .map_or_else(|_| random.below(9).to_string(), |number| number.to_string());
        *node = Node::Scalar(number);
        Some(())
    }),
    ("number to string", |node, _| match node {
        Node::Scalar(scalar)
            if scalar.starts_with(|byte: char| byte.is_ascii_digit() || byte == '-') =>
        {
            *scalar = format!("\"{scalar}\"");
            Some(())
        }
        _ => None,
    }),
    ("another type", |node, random| {
        const OTHERS: &[&str] = &[
            "true",
            "false",
            "{}",
            "[]",
            "0",
            "-1",
            "1.5",
            "\"\"",
            "\"x\"",
            "[null]",
            "[[]]",
            "{\"id\":{}}",
            "[{}]",
            "{\"\":[]}",
        ];
        *node = Node::parse(OTHERS[random.below(OTHERS.len())]);
        Some(())
    }),
    ("rename", |node, random| {
        let text = node.string()?;
        let text = match random.below(3) {
            0 => format!("new_{text}"),
            1 => "hologram".to_owned(),
            _ => text.replace('_', "-"),
        };
        *node = Node::Scalar(format!("\"{text}\""));
        Some(())
    }),
    ("case of a text", |node, random| {
        let text = node
            .string()
            .filter(|text| !text.is_empty() && !text.contains('\\'))?;
        let text = if random.below(2) == 0 {
            text.to_uppercase()
        } else {
            text.to_lowercase()
        };
        *node = Node::Scalar(format!("\"{text}\""));
        Some(())
    }),
    ("case of a key", |node, random| {
        let members = node.members()?;
        let index = random.below(members.len());
        members[index].0 = members[index].0.to_ascii_uppercase().replace("\\U", "\\u");
        Some(())
    }),
    ("add a key", |node, random| {
        const NEW: &[(&str, &str)] = &[
            ("added", "1"),
            ("type", "\"text\""),
            ("messages", "[{\"id\":\"new\"},7]"),
            ("statuses", "[{\"id\":\"new\"}]"),
            ("", "{}"),
            ("id", "[1]"),
            ("errors", "[{\"code\":\"1\"}]"),
            ("contacts", "[{\"wa_id\":5}]"),
            ("field", "\"calls\""),
            ("value", "{\"messages\":[{}]}"),
            ("entry", "[{\"changes\":[{}]}]"),
            ("groups", "[{}]"),
            ("text", "{\"body\":\"b\"}"),
        ];
        let Node::Object(members) = node else {
            return None;
        };
        let (key, value) = NEW[random.below(NEW.len())];
        members.insert(
            random.below(members.len() + 1),
            (format!("\"{key}\""), Node::parse(value)),
        );
        Some(())
    }),
    ("reorder keys", |node, random| {
        let members = node.members().filter(|members| members.len() > 1)?;
        for index in (1..members.len()).rev() {
            members.swap(index, random.below(index + 1));
        }
        Some(())
    }),
    ("double an element", |node, random| {
        let elements = node.elements()?;
        let element = elements[random.below(elements.len())].clone();
        elements.insert(random.below(elements.len() + 1), element);
        Some(())
    }),
    ("double a key", |node, random| {
        let members = node.members()?;
        let (key, mut value) = members[random.below(members.len())].clone();
        if random.below(2) == 0 {
            value = Node::parse(["1", "null", "\"\"", "[]", "{}"][random.below(5)]);
        }
        members.insert(random.below(members.len() + 1), (key, value));
        Some(())
    }),
    ("drop an element", |node, random| {
        let elements = node.elements()?;
        elements.remove(random.below(elements.len()));
        Some(())
    }),
    ("nest", |node, random| {
        // Rarely deep enough for the body to be rejected.
        let levels = [1, 1, 2, 3, 10, 100, 130][random.below(7)];
        let inner = std::mem::replace(node, Node::Scalar(String::new()));
        *node = (0..levels).fold(inner, |inner, level| {
            if level % 2 == 0 {
                Node::Array(vec![inner])
            } else {
                Node::Object(vec![("\"x\"".to_owned(), inner)])
            }
        });
        Some(())
    }),
    ("escape a text", |node, random| {
        let text = node.text().filter(|text| !text.is_empty())?;
        *node = Node::Scalar(escape(&text, random));
        Some(())
    }),
    ("escape a key", |node, random| {
        let members = node.members()?;
        let index = random.below(members.len());
        let key = decoded(&members[index].0).filter(|key| !key.is_empty())?;
        members[index].0 = escape(&key, random);
        Some(())
    }),
    ("cut inside an emoji", |node, random| {
        let text = node.string()?;
        let half = ["\\ud83d", "\\uDE00", "\\ud83d\\ud83d", "\\ud83dx"][random.below(4)];
        // Not between a backslash and the escaped character.
        let whole = random.below(2) == 0 && !text.contains('\\');
        let kept = if whole {
            text.chars().take(random.below(8)).collect()
        } else {
            text.to_owned()
        };
        *node = Node::Scalar(format!("\"{kept}{half}\""));
        Some(())
    }),
    ("huge number", |node, random| {
        const HUGE: &[&str] = &[
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "-1E+999",
            "0.0000000000000000000000000000001",
            "1e-9999",
            "999999999999999999999999999999999999999999999999999999999999",
            "9007199254740993",
            "1000000000000000",
        ];
        if !matches!(node, Node::Scalar(_)) {
            return None;
        }
        let number = HUGE[random.below(HUGE.len())];
        *node = Node::Scalar(if random.below(3) == 0 {
            format!("\"{number}\"")
        } else {
            number.to_owned()
        });
        Some(())
    }),
];

/// Escapes some characters, or all of them.
fn escape(text: &str, random: &mut Random) -> String {
    let all = random.below(2) == 0;
    let mut escaped = String::from('"');
    for character in text.chars() {
        let special = character.is_control() || "\"\\".contains(character);
        if character == '/' {
            escaped.push_str("\\/");
        } else if special || all || random.below(4) == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&if all {
                    format!("\\u{unit:04x}")
                } else {
                    format!("\\u{unit:04X}")
                });
            }
        } else {
            escaped.push(character);
        }
    }
    escaped.push('"');
    escaped
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// A number from an environment variable.
pub fn variable(name: &str) -> Option<u64> {
    Some(env::var(name).ok()?.parse().unwrap())
}

/// Maximum length of a mutated body: longer ones take most of the time and add nothing.
const LONGEST: usize = 4096;

/// Bodies of the tests, and those of the collection next to the project, if it is there.
pub fn bodies() -> Vec<(String, String)> {
    let own = OWN.iter().enumerate();
    let mut bodies: Vec<_> = own
        .map(|(number, body)| (format!("own {number}"), (*body).to_owned()))
        .collect();
    let root = payloads();
    let Some(index) = payloads_index() else {
        return bodies;
    };
    for line in index.lines().skip(1) {
        let mut columns = line.split('\t');
        let (file, kind) = (columns.next().unwrap(), columns.next().unwrap());
        if !["envelope", "entryonly"].contains(&kind) {
            continue;
        }
        let text = fs::read_to_string(root.join(file)).unwrap();
        // Normalises white space between tokens.
        let body = Node::parse(&text).write();
        if body.len() <= LONGEST {
            bodies.push((file.to_owned(), body));
        }
    }
    bodies
}

pub const OWN: &[&str] = &[
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550000001","phone_number_id":"100000000000001"},"contacts":[{"profile":{"name":"Ada \ud83d\ude00"},"wa_id":"16505550001","user_id":"US.1"}],"messages":[{"from":"16505550001","from_user_id":"US.1","id":"wamid.T","timestamp":"1760000000","type":"text","text":{"body":"see https:\/\/example.com \ud83d\udc4d"}}],"statuses":[{"id":"wamid.S","status":"delivered","timestamp":"1760000001","recipient_id":"16505550001","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}}]},"field":"messages"}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"100000000000001"},"contacts":[{"wa_id":"16505550001","user_id":"US.1"},{"wa_id":"16505550002","user_id":"US.2"},{"user_id":"US.3"}],"messages":[{"from":"16505550002","id":"wamid.I","timestamp":"1760000000","type":"image","image":{"id":"1","mime_type":"image/jpeg","sha256":"x=","caption":"c"}},{"from_user_id":"US.3","id":"wamid.E","timestamp":"1760000000","type":"edit","edit":{"original_message_id":"wamid.I","message":{"type":"text","text":{"body":"n"}}}},{"from":"16505550001","id":"wamid.C","timestamp":"1760000000","type":"contacts","contacts":[{"name":{"formatted_name":"B"},"phones":[{"phone":"+1","wa_id":"1"}]}]}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"messages","value":{"statuses":[{"id":"wamid.G","status":"read","timestamp":"1760000000","recipient_id":"G1","recipient_type":"group","recipient_participant_id":"16505550001"},{"id":"wamid.G","status":"read","timestamp":"1760000000","recipient_id":"G1","recipient_type":"group","recipient_participant_id":"16505550002"},{"id":"wamid.F","status":"failed","timestamp":"1760000000","errors":[{"code":131049,"title":"t","error_data":{"details":"d"}}]}]}}]},{"id":"700000000000002","changes":[{"field":"messages","value":{"errors":[{"code":130429,"title":"t"}],"user_actions":[{"action_type":"marketing_messages_link_click","timestamp":"1760000000"}]}}]}]}"#,
    r#"{"entry":[{"changes":[{"value":{"messages":[{"from":"16505550001","id":"wamid.R","timestamp":"1760000000","type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","response_json":"{\"a\":1}"}}},{"id":"wamid.O","type":"order","order":{"catalog_id":"c","product_items":[{"product_retailer_id":"p","quantity":2,"item_price":7.5,"currency":"EUR"}]}}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"100000000000001"},"contacts":[{"wa_id":"16505550001"}],"calls":[{"id":"wacid.A","event":"connect","timestamp":"1760000000","from":"16505550001","direction":"USER_INITIATED","session":{"sdp_type":"offer","sdp":"v=0\r\n"}}],"statuses":[{"id":"wacid.B","type":"call","status":"RINGING","timestamp":"1760000000","recipient_id":"16505550001"}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"group_participants_update","value":{"metadata":{"phone_number_id":"100000000000001"},"groups":[{"timestamp":"1760000000","group_id":"G1","type":"group_participants_add","added_participants":[{"wa_id":"16505550001"},{"input":"16505550002"}],"failed_participants":[{"input":"16505550003","errors":[{"code":"131000"}]}]},{"timestamp":1760000000,"group_id":"G2","type":"group_suspend"}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"history","value":{"metadata":{"phone_number_id":"100000000000001"},"history":[{"metadata":{"phase":0,"chunk_order":1,"progress":55},"threads":[{"id":"16505550001","messages":[{"from":"16505550001","id":"wamid.H","timestamp":"1760000000","type":"text","text":{"body":"old"},"history_context":{"status":"READ"}}]}]},{"errors":[{"code":2593109}]},{"metadata":{"progress":100}}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"smb_message_echoes","value":{"metadata":{"phone_number_id":"100000000000001"},"message_echoes":[{"from":"15550000001","to":"16505550001","id":"wamid.X","timestamp":"1760000000","type":"text","text":{"body":"mine"}}]}},{"field":"smb_app_state_sync","value":{"state_sync":[{"type":"contact","contact":{"full_name":"Ada","phone_number":"16505550001"},"action":"add","metadata":{"timestamp":"1760000000"}}]}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","time":1760000000,"changes":[{"field":"account_update","value":{"event":"ACCOUNT_RESTRICTION","restriction_info":[{"restriction_type":"RESTRICTED_BIZ_INITIATED_MESSAGING","expiration":1760000000}]}},{"field":"message_template_status_update","value":{"event":"APPROVED","message_template_id":1310000000000001,"message_template_name":"order","message_template_language":"en_US","reason":null}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"standby","value":{"metadata":{"phone_number_id":"100000000000001"},"standby":{"contacts":[{"wa_id":"16505550001"}],"messages":[{"from":"16505550001","id":"wamid.Y","type":"text","text":{"body":"b"}}],"statuses":[{"id":"wamid.Z","status":"sent"}],"message_echoes":[{"id":"wamid.W","message":{"to":"1"}}]}}},{"field":"messaging_handovers","value":{"type":"control_passed","timestamp":"1760000000","control_passed":{"new_owner_role":"escalation"}}}]}]}"#,
    r#"{"object":"whatsapp_business_account","entry":[{"id":"700000000000001","changes":[{"field":"user_preferences","value":{"contacts":[{"wa_id":"16505550001"}],"user_preferences":[{"wa_id":"16505550001","category":"marketing_messages","value":"stop","timestamp":1760000000}]}},{"field":"user_id_update","value":{"user_id_update":[{"wa_id":"16505550001","user_id":{"previous":"US.1","current":"US.2"},"timestamp":1760000000}]}},{"field":"tracking_events","value":{"events":[{"event_name":"sent","timestamp":1760000000}]}}]}]}"#,
    r#"{"object":"page","entry":[{"id":"1","time":"1760000000","changes":[{"field":"feed","value":{"item":"post"}},{"field":"holograms","value":{"messages":[{"id":"1"}],"other":[1,2]}}]},{"id":"2","changed_fields":["messages"]}]}"#,
];
