//! No output of the layer contains a secret, a token, a valid signature, or personal data.

use std::fmt::Debug;

use http_body_util::BodyExt;
use test_support::{
    SECRET, Script, TOKEN, builder, hex,
    json::{PHONE, WORDS, delivery, messages, one_text, text},
    layer, sign, tag,
};
use tower::Layer;
use tower_whatsapp::{
    ConfigError, Notification, Rejection, RejectionKind, WebhookLayer,
    secret::{AppSecret, VerifyToken},
    signature::{MalformedSignature, Signature, SignatureError, Verifier},
};

use crate::{
    drive,
    host::Subject,
    row::{Answer, Driver},
    rows,
};

/// Texts that must not appear anywhere.
fn canaries() -> Vec<String> {
    let mut canaries = vec![
        SECRET.to_owned(),
        TOKEN.to_owned(),
        PHONE.to_owned(),
        WORDS.to_owned(),
        hex(&tag(SECRET, one_text())),
        hex(&tag(SECRET, "not JSON")),
    ];
    for text in [SECRET, TOKEN] {
        canaries.push(format!("{:?}", text.as_bytes()));
        canaries.push(hex(text.as_bytes()));
    }
    canaries
}

fn leaks(said: &str) -> bool {
    canaries().iter().any(|canary| said.contains(canary))
}

#[track_caller]
fn check(said: &str) {
    assert!(!leaks(said), "{said}");
}

#[track_caller]
fn shown(it: impl Debug) {
    check(&format!("{it:?} {it:#?}"));
}

#[test]
fn the_check_finds_what_it_looks_for() {
    for canary in canaries() {
        assert!(leaks(&format!("signature {canary} was expected")));
    }
}

#[tokio::test]
async fn no_answer_to_any_row_says_anything() {
    let mut answers = 0;
    for row in rows::all() {
        if !row.drivers.contains(&Driver::Tower) || !matches!(row.answer, Answer::Rejected(_)) {
            continue;
        }
        let subject = Subject::new((row.settings)().build().unwrap());
        for sent in row.requests.iter().take(40) {
            let body = sent.script();
            let reply = drive::tower(subject.bare(), sent, body).await;
            check(&format!("{reply:?}"));
            // Byte values in a `Debug` output would leak it as well.
            assert!(reply.body.is_empty());
            answers += 1;
        }
        shown(&subject.layer);
    }
    assert!(answers > 150, "{answers}");
}

/// At the most verbose level, through every row and an accepted delivery.
#[cfg(feature = "tracing")]
#[tokio::test]
async fn no_log_line_of_any_row_says_anything() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Not for this thread alone: the other tests must not log anything either, and a callsite that
    // they reach first would be switched off.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut rows = 0;
    for row in rows::all() {
        if !row.drivers.contains(&Driver::Tower) {
            continue;
        }
        let subject = Subject::new((row.settings)().build().unwrap());
        for sent in row.requests.iter().take(40) {
            drive::tower(subject.bare(), sent, sent.script()).await;
        }
        rows += 1;
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in text.lines() {
        check(line);
    }
    println!("{rows} rows, {} lines", text.lines().count());
    assert!(rows > 200 && text.lines().count() > rows, "{rows}");
    for part in [
        "whatsapp.delivery",
        "signature_mismatch",
        "built a webhook layer",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

/// What was logged.
#[cfg(feature = "tracing")]
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(feature = "tracing")]
impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_that_can_be_shown_shows_it() {
    shown(builder());
    shown(layer());
    let host = tower::service_fn(async |request: http::Request<_>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
    });
    let service = layer().layer(());
    shown(&service);
    let request = http::Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, one_text()))
        .body(Script::whole(one_text()))
        .unwrap();
    let mut service = layer().layer(host);
    let future = tower::Service::call(&mut service, request);
    shown(&future);
    let response = future.await.unwrap();
    // The host echoes the request's body.
    shown(response.body());
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(echoed, one_text());

    shown(AppSecret::new(SECRET));
    shown(VerifyToken::new(TOKEN));
    shown(Signature::parse(sign(SECRET, one_text()).as_bytes()));
    let mut verifier = Verifier::new(&[AppSecret::new(SECRET).unwrap()]);
    verifier.update(one_text().as_bytes());
    shown(&verifier);
    let wrong = Signature::parse(format!("sha256={}", "0".repeat(64)).as_bytes()).unwrap();
    let mismatch = verifier.verify(&wrong).unwrap_err();
    shown(mismatch);
    check(&mismatch.to_string());
    shown(AppSecret::new(" ").unwrap_err());
    check(&SignatureError::Malformed(MalformedSignature::Digit).to_string());
}

#[test]
fn no_error_says_it() {
    let errors = [
        WebhookLayer::new("wh", SECRET, TOKEN).unwrap_err(),
        WebhookLayer::new("/wh", SECRET, " ").unwrap_err(),
        WebhookLayer::new("/wh", " ", TOKEN).unwrap_err(),
        WebhookLayer::new("/wh", SECRET, TOKEN.repeat(100)).unwrap_err(),
        ConfigError::BodyLimit,
    ];
    for error in errors {
        shown(error);
        check(&error.to_string());
    }
    let rejection = Rejection::from(RejectionKind::SignatureMismatch);
    check(&rejection.to_string());
    shown(rejection);
    let error = Notification::parse(format!("{}!", one_text())).unwrap_err();
    shown(error);
    check(&error.to_string());
}

/// Phone numbers and texts occur in many places of a delivery.
#[test]
fn debug_of_events_shows_no_person() {
    let person = format!(
        r#""contacts":[{{"profile":{{"name":"{WORDS}"}},"wa_id":"{PHONE}"}}],
        "metadata":{{"display_phone_number":"{PHONE}","phone_number_id":"1"}},
        "messages":[{},
            {{"from":"{PHONE}","id":"b","type":"{WORDS}","{WORDS}":"{PHONE}"}},
            {{"from":"{PHONE}","id":"c","type":"location","location":{{"name":"{WORDS}","address":"{WORDS}"}}}},
            {{"from":"{PHONE}","id":"d","type":"image","image":{{"id":"1","caption":"{WORDS}"}}}},
            {{"from":"{PHONE}","id":"e","type":"contacts","contacts":[{{"name":{{"formatted_name":"{WORDS}"}},"phones":[{{"phone":"{PHONE}"}}]}}]}},
            {{"from":"{PHONE}","id":"f","type":"button","button":{{"text":"{WORDS}","payload":"{WORDS}"}}}},
            {{"from":"{PHONE}","id":"g","type":"text","text":{{"body":"{WORDS}"}},"context":{{"from":"{PHONE}","id":"1"}}}},
            {{"from":"{PHONE}","id":"h","type":"interactive","interactive":{{"type":"button_reply","button_reply":{{"id":"1","title":"{WORDS}"}}}}}},
            {{"from":"{PHONE}","id":"i","type":"reaction","reaction":{{"message_id":"1","emoji":"{WORDS}"}}}},
            {{"from":"{PHONE}","id":"j","type":"system","system":{{"body":"{WORDS}","wa_id":"{PHONE}","type":"user_changed_number"}}}}],
        "statuses":[{{"id":"c","status":"{WORDS}","recipient_id":"{PHONE}","biz_opaque_callback_data":"{WORDS}",
            "errors":[{{"code":1,"title":"Meta's words","message":"Meta's words","error_data":{{"details":"{WORDS}"}}}}]}}],
        "{WORDS}":["{PHONE}"]"#,
        text("wamid.A", WORDS)
    );
    let notification = Notification::parse(delivery(&person)).unwrap();
    assert_eq!(notification.events().len(), 12);
    shown(&notification);
    for event in notification.events() {
        shown(event);
        shown(event.payload());
    }
    let other = messages(&format!(r#""{WORDS}""#)).replace("whatsapp_business", PHONE);
    shown(Notification::parse(other).unwrap().events());
}
