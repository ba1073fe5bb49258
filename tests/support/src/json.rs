//! Deliveries.

/// Phone number in the deliveries. It must not be in any log.
pub const PHONE: &str = "16505550001";

/// Text of that person. It must not be in any log either.
pub const WORDS: &str = "canary words of a person";

pub fn delivery(value: &str) -> String {
    change(&format!(r#""field":"messages","value":{{{value}}}"#))
}

pub fn change(members: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{{members}}}]}}]}}"#
    )
}

pub fn messages(elements: &str) -> String {
    delivery(&format!(r#""messages":[{elements}]"#))
}

pub fn text(id: &str, body: &str) -> String {
    format!(
        r#"{{"from":"{PHONE}","id":"{id}","timestamp":"1760000000","type":"text","text":{{"body":"{body}"}}}}"#
    )
}

/// One ordinary text message.
pub fn one_text() -> String {
    messages(&text("wamid.A", WORDS))
}

/// One text message in a body of exactly `len` bytes.
pub fn padded(len: usize) -> String {
    let empty = messages(&text("wamid.A", "")).len();
    messages(&text("wamid.A", &"x".repeat(len - empty)))
}
