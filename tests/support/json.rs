//! Deliveries.

/// A person of the deliveries: must not be seen in any log.
pub(crate) const PHONE: &str = "16505550001";

/// What that person wrote: neither.
pub(crate) const WORDS: &str = "canary words of a person";

pub(crate) fn delivery(value: &str) -> String {
    change(&format!(r#""field":"messages","value":{{{value}}}"#))
}

pub(crate) fn change(members: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{{members}}}]}}]}}"#
    )
}

pub(crate) fn messages(elements: &str) -> String {
    delivery(&format!(r#""messages":[{elements}]"#))
}

pub(crate) fn text(id: &str, body: &str) -> String {
    format!(
        r#"{{"from":"{PHONE}","id":"{id}","timestamp":"1760000000","type":"text","text":{{"body":"{body}"}}}}"#
    )
}

/// One ordinary text message.
pub(crate) fn one_text() -> String {
    messages(&text("wamid.A", WORDS))
}

/// One text message in a body of exactly so many bytes.
pub(crate) fn padded(len: usize) -> String {
    let empty = messages(&text("wamid.A", "")).len();
    messages(&text("wamid.A", &"x".repeat(len - empty)))
}
