//! Deliveries in Meta's format with invented ids, and their signatures.

use hmac::{Hmac, KeyInit, Mac, digest::InvalidLength};
use sha2::Sha256;

/// One delivery of each kind in the tables, with its name.
#[must_use]
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("text", messages(&text())),
        ("escaped text", messages(&escaped_text())),
        (
            "status",
            value(&format!(r#""statuses":[{}]"#, status(0)), "messages"),
        ),
        ("order", messages(&order())),
        ("template status", template_status()),
        ("1000 statuses", statuses(1000)),
    ]
}

/// One delivery of `count` text messages of `length` characters each.
#[must_use]
pub fn texts(count: usize, length: usize) -> String {
    let text = "x".repeat(length);
    let messages: Vec<_> = (0..count)
        .map(|number| {
            format!(r#"{{"from":"16505550001","id":"wamid.HBgLMTY1MDU1NTAwMDEVAgASGBQzQTdDNUNEODc4RTQ2RjhBMzI{number:06}","timestamp":"1760000000","type":"text","text":{{"body":"{text}"}}}}"#)
        })
        .collect();
    self::messages(&messages.join(","))
}

/// One delivery of `count` statuses.
#[must_use]
pub fn statuses(count: usize) -> String {
    let statuses: Vec<_> = (0..count).map(status).collect();
    let list = format!(r#""statuses":[{}]"#, statuses.join(","));
    value(&list, "messages")
}

/// The signature header, computed without this crate's code.
pub fn sign(secret: &str, body: &[u8]) -> Result<String, InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={hex}"))
}

fn messages(message: &str) -> String {
    value(&format!(r#""messages":[{message}]"#), "messages")
}

fn value(members: &str, field: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"100000000000009","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada Lovelace","username":"ada"}},"wa_id":"16505550001","user_id":"US.10000000000000000001"}}],{members}}},"field":"{field}"}}]}}]}}"#
    )
}

fn text() -> String {
    r#"{"from":"16505550001","from_user_id":"US.10000000000000000001","id":"wamid.HBgLMTY1MDU1NTAwMDEVAgASGBQzQTdDNUNEODc4RTQ2RjhBMzIyRgA=","timestamp":"1760000000","type":"text","text":{"body":"Hello, I would like to know whether my order has been shipped already. It was promised for last week, and I need it before the weekend. Could you have a look, please? Thank you."}}"#.to_owned()
}

fn escaped_text() -> String {
    let body = r"\u00bfD\u00f3nde est\u00e1 mi pedido? \ud83d\ude21 Deb\u00eda llegar la semana pasada \u2014 https:\/\/example.com\/pedidos\/7";
    text().replace("Hello, I would like to know whether my order has been shipped already. It was promised for last week, and I need it before the weekend. Could you have a look, please? Thank you.", body)
}

fn status(number: usize) -> String {
    format!(
        r#"{{"id":"wamid.HBgLMTY1MDU1NTAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA{number:06}","status":"delivered","timestamp":"1760000000","recipient_id":"16505550001","recipient_user_id":"US.10000000000000000001","biz_opaque_callback_data":"order-{number}","conversation":{{"id":"6ceb9d929c9bdc4f90967a32f8639b42","expiration_timestamp":"1760086400","origin":{{"type":"marketing"}}}},"pricing":{{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}}}}"#
    )
}

fn order() -> String {
    let items: Vec<_> = (0..4)
        .map(|number| {
            format!(r#"{{"product_retailer_id":"sku-{number}","quantity":{},"item_price":7.99,"currency":"USD"}}"#, number + 1)
        })
        .collect();
    format!(
        r#"{{"from":"16505550001","from_user_id":"US.10000000000000000001","id":"wamid.HBgLMTY1MDU1NTAwMDEVAgASGBQzQTdDNUNEODc4RTQ2RjhBMzIyRgA=","timestamp":"1760000000","type":"order","order":{{"catalog_id":"194836987003835","text":"Gift wrapped, please","product_items":[{}]}}}}"#,
        items.join(",")
    )
}

fn template_status() -> String {
    r#"{"object":"whatsapp_business_account","entry":[{"id":"100000000000009","time":1760000000,"changes":[{"value":{"event":"REJECTED","message_template_id":1680000000000001,"message_template_name":"order_confirmation","message_template_language":"en_US","reason":"INVALID_FORMAT","message_template_category":"MARKETING","rejection_info":{"reason":"The template has variables next to each other.","recommendation":"Put text between the variables."}},"field":"message_template_status_update"}]}]}"#.to_owned()
}
