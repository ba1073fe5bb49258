//! Deliveries in Meta's format, with invented ids.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_whatsapp_peers::PATH;

pub struct Payload {
    pub name: &'static str,
    pub body: String,
    pub events: u64,
}

pub fn all() -> Vec<Payload> {
    vec![
        Payload {
            name: "0.7 KB",
            body: value(&format!(r#""messages":[{}]"#, text())),
            events: 1,
        },
        statuses("50 KB", 50_000),
        // Meta documents 3 MB and does not say whether that is MB or MiB.
        statuses("3 MB", 3_000_000),
    ]
}

impl Payload {
    /// The whole request as bytes, so that sending it costs almost no CPU.
    pub fn request(&self, secret: &str) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .expect("HMAC accepts keys of any length");
        mac.update(self.body.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Hub-Signature-256: sha256={signature}\r\n\r\n{}",
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

/// As many statuses as fit into `bytes`.
fn statuses(name: &'static str, bytes: usize) -> Payload {
    let mut list = String::new();
    let mut events = 0;
    let envelope = value(r#""statuses":[]"#).len();
    loop {
        let next = status(events);
        if envelope + list.len() + next.len() + 1 > bytes {
            break;
        }
        if events > 0 {
            list.push(',');
        }
        list.push_str(&next);
        events += 1;
    }
    Payload {
        name,
        body: value(&format!(r#""statuses":[{list}]"#)),
        events,
    }
}

fn value(members: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"100000000000009","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada Lovelace"}},"wa_id":"16505550001","user_id":"US.10000000000000000001"}}],{members}}},"field":"messages"}}]}}]}}"#
    )
}

fn text() -> String {
    r#"{"from":"16505550001","from_user_id":"US.10000000000000000001","id":"wamid.HBgLMTY1MDU1NTAwMDEVAgASGBQzQTdDNUNEODc4RTQ2RjhBMzIyRgA=","timestamp":"1760000000","type":"text","text":{"body":"Hello, I would like to know whether my order has been shipped already. It was promised for last week, and I need it before the weekend. Thank you."}}"#.to_owned()
}

fn status(number: u64) -> String {
    format!(
        r#"{{"id":"wamid.HBgLMTY1MDU1NTAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA{number:06}","status":"delivered","timestamp":"1760000000","recipient_id":"16505550001","recipient_user_id":"US.10000000000000000001","biz_opaque_callback_data":"order-{number}","conversation":{{"id":"6ceb9d929c9bdc4f90967a32f8639b42","expiration_timestamp":"1760086400","origin":{{"type":"marketing"}}}},"pricing":{{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}}}}"#
    )
}
