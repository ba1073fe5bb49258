//! Apps with a list of accounts or phone numbers: which events they handle.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Event, Notification, Rejection, RejectionKind, WebhookLayer,
    dedup::{DedupLayer, MemoryStore},
    webhook::{AppBuilder, OnForeignEvent, RequestBody},
};

use super::subject::{credentials, delivery_of};

fn app(configure: impl FnOnce(AppBuilder) -> AppBuilder) -> App {
    configure(App::builder("a", credentials("a")))
        .build()
        .unwrap()
}

fn layer(app: &App) -> WebhookLayer {
    let builder = WebhookLayer::builder().route("/a", app.clone());
    builder.build().unwrap()
}

fn names(events: &[Event]) -> Vec<String> {
    let name = |event: &Event| event.id().unwrap_or(event.kind()).to_owned();
    events.iter().map(name).collect()
}

/// Events that the host received, and events that were set aside.
type Called = (Vec<String>, Vec<String>);

/// Sends a delivery. Returns what the host received, or the reason of the rejection.
async fn send(app: &App, body: &str) -> Result<Called, RejectionKind> {
    let called = Arc::<Mutex<Option<Called>>>::default();
    let seen = Arc::clone(&called);
    let host = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let notification: &Notification = request.extensions().get().unwrap();
        let both = (names(notification.events()), names(notification.foreign()));
        *seen.lock().unwrap() = Some(both);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let request = delivery_of("/a", "a", body.to_owned());
    let response = layer(app).layer(host).oneshot(request).await.unwrap();
    let called = called.lock().unwrap().take();
    match response.extensions().get::<Rejection>() {
        Some(rejection) => {
            assert_eq!((response.status(), called), (StatusCode::FORBIDDEN, None));
            Err(rejection.kind())
        }
        None => {
            assert_eq!(response.status(), StatusCode::OK);
            Ok(called.unwrap())
        }
    }
}

fn called(events: &[&str], foreign: &[&str]) -> Result<Called, RejectionKind> {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Ok((owned(events), owned(foreign)))
}

fn body(entries: &[String]) -> String {
    let entries = entries.join(",");
    format!(r#"{{"object":"whatsapp_business_account","entry":[{entries}]}}"#)
}

/// An entry with messages to one phone number.
fn messages(entry: &str, phone_number: &str, ids: &[&str]) -> String {
    let messages: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    let messages = messages.join(",");
    format!(
        r#"{{{entry}"changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"{phone_number}"}},"messages":[{messages}]}}}}]}}"#
    )
}

fn account_update(entry: &str, value: &str) -> String {
    of_partner(entry, "account_update", value)
}

fn of_partner(entry: &str, field: &str, value: &str) -> String {
    format!(
        r#"{{"id":"{entry}","changes":[{{"field":"{field}","value":{{"event":"E"{value}}}}}]}}"#
    )
}

const ONE: &str = r#""id":"111","#;
const TWO: &str = r#""id":"222","#;

#[tokio::test]
async fn events_of_other_accounts_are_set_aside() {
    let one = messages(ONE, "1", &["a", "b"]);
    let two = messages(TWO, "1", &["c", "d"]);
    for (accounts, entries, expected) in [
        (&["111"][..], vec![&one], called(&["a", "b"], &[])),
        (&["111"], vec![&one, &two], called(&["a", "b"], &["c", "d"])),
        (&["111"], vec![&two, &one], called(&["a", "b"], &["c", "d"])),
        (
            &["222", "111"],
            vec![&two, &one],
            called(&["c", "d", "a", "b"], &[]),
        ),
        // Partial ids do not match.
        (&["1", "1111", "2222"], vec![&one], called(&[], &["a", "b"])),
        // All events are foreign: the host is still called.
        (
            &["333"],
            vec![&two, &one],
            called(&[], &["c", "d", "a", "b"]),
        ),
        (&["333"], vec![], called(&[], &[])),
    ] {
        let entries: Vec<_> = entries.into_iter().cloned().collect();
        let app = app(|app| app.accounts(accounts.iter().copied()));
        let found = send(&app, &body(&entries)).await;
        let foreign = expected.as_ref().map_or(0, |(_, foreign)| foreign.len());
        assert_eq!(found, expected, "{accounts:?}");
        assert_eq!(app.foreign_events(), u64::try_from(foreign).unwrap());
    }
}

/// Events without an account are passed to the host, because they could belong to any.
#[tokio::test]
async fn events_without_an_account_are_handled() {
    let app = app(|app| app.accounts(["111"]));
    for entry in [
        "",
        r#""id":"","#,
        r#""id":null,"#,
        r#""id":"0","#,
        r#""id":0,"#,
    ] {
        let delivery = body(&[messages(entry, "1", &["a"])]);
        assert_eq!(send(&app, &delivery).await, called(&["a"], &[]), "{entry}");
    }
    for delivery in [r#"{"hello":1}"#, "[]", "7", &body(&["7".to_owned()])] {
        let found = send(&app, delivery).await;
        assert_eq!(found, called(&["unknown"], &[]), "{delivery}");
    }
    assert_eq!(app.foreign_events(), 0);
}

/// For a partner, the entry id of an `account_update` or a solution is its own business portfolio.
#[tokio::test]
async fn the_account_of_an_event_to_a_partner() {
    let info = |account: &str| format!(r#","waba_info":{{"waba_id":"{account}"}}"#);
    for (field, kind) in [
        ("account_update", "account_update"),
        ("partner_solutions", "partner_solution"),
    ] {
        let own = called(&[kind], &[]);
        let foreign = called(&[], &[kind]);
        for (entry, value, expected) in [
            ("900", info("111"), &own),
            ("111", info("222"), &own),
            ("111", String::new(), &own),
            ("0", info("111"), &own),
            ("0", String::new(), &own),
            ("900", info("222"), &foreign),
            ("0", info("222"), &foreign),
            ("900", info(""), &foreign),
            ("900", String::new(), &foreign),
        ] {
            let app = app(|app| app.accounts(["111"]));
            let delivery = body(&[of_partner(entry, field, &value)]);
            let found = send(&app, &delivery).await;
            assert_eq!(&found, expected, "{field} {entry} {value}");
        }
    }
}

#[tokio::test]
async fn events_of_other_phone_numbers_are_set_aside() {
    let entries = [
        messages(ONE, "1", &["a"]),
        messages(ONE, "2", &["b"]),
        messages(TWO, "1", &["c"]),
        account_update("111", ""),
        account_update("222", ""),
    ];
    let delivery = body(&entries);
    let update = "account_update";
    let numbers = app(|app| app.phone_numbers(["1"]));
    let expected = called(&["a", "c", update, update], &["b"]);
    assert_eq!(send(&numbers, &delivery).await, expected);
    // A second call adds to the list.
    let all = app(|app| {
        ["1", "2"]
            .iter()
            .fold(app, |app, id| app.phone_numbers([*id]))
    });
    let expected = called(&["a", "b", "c", update, update], &[]);
    assert_eq!(send(&all, &delivery).await, expected);
    let both = app(|app| app.accounts(["111"]).phone_numbers(["1"]));
    let expected = called(&["a", update], &["b", "c", update]);
    assert_eq!(send(&both, &delivery).await, expected);
    assert_eq!(send(&both, &delivery).await, expected);
    assert_eq!((numbers.foreign_events(), both.foreign_events()), (1, 6));
}

/// Unknown keys beside a `value` are an event of their own. It names nothing but its entry, and
/// does not decide for the event that names an account or a phone number.
#[tokio::test]
async fn an_event_is_judged_by_the_ids_that_it_names() {
    let keys: Vec<_> = (0..9).map(|key| format!(r#""novelty_{key}":1"#)).collect();
    let keys = keys.join(",");
    let change = |field: &str, value: &str| {
        format!(r#"{{"id":"999","changes":[{{{keys},"field":"{field}","value":{value}}}]}}"#)
    };
    let waba = |id: &str| format!(r#"{{"event":"E","waba_info":{{"waba_id":"{id}"}}}}"#);
    let handover = |id: &str| {
        format!(r#"{{"recipient":{{"phone_number_id":"{id}"}},"timestamp":"1760000000"}}"#)
    };
    let settings = |id: &str| {
        format!(
            r#"{{"type":"phone_number_settings","phone_number_settings":{{"phone_number_id":"{id}"}}}}"#
        )
    };
    let accounts = app(|app| app.accounts(["111"]));
    let numbers = app(|app| app.phone_numbers(["111"]));
    for (app, field, value) in [
        (
            &accounts,
            "account_update",
            &waba as &dyn Fn(&str) -> String,
        ),
        (&accounts, "partner_solutions", &waba),
        (&numbers, "messaging_handovers", &handover),
        (&numbers, "account_settings_update", &settings),
    ] {
        let judged = async |id| {
            send(app, &body(&[change(field, &value(id))]))
                .await
                .unwrap()
        };
        let (own, _) = judged("111").await;
        assert!(
            !own.is_empty() && own.last().unwrap() != "unknown",
            "{field}: {own:?}"
        );
        let (_, foreign) = judged("222").await;
        assert_eq!(foreign.last(), own.last(), "{field}: {foreign:?}");
    }
}

#[tokio::test]
async fn foreign_events_refuse_a_delivery_if_the_host_asks_for_it() {
    let refusing = |configure: fn(AppBuilder) -> AppBuilder| {
        app(|app| configure(app).on_foreign_event(OnForeignEvent::Refuse))
    };
    let accounts = refusing(|app| app.accounts(["111"]));
    let numbers = refusing(|app| app.phone_numbers(["1"]));
    let mixed = body(&[messages(ONE, "1", &["a"]), messages(TWO, "2", &["b"])]);
    let own = body(&[messages(ONE, "1", &["a"])]);
    for app in [accounts, numbers] {
        assert_eq!(send(&app, &mixed).await, Err(RejectionKind::AccountRefused));
        assert_eq!(app.foreign_events(), 1);
        assert_eq!(send(&app, &own).await, called(&["a"], &[]));
    }
    // Without a list no event is foreign.
    let all = app(|app| app);
    assert_eq!(send(&all, &mixed).await, called(&["a", "b"], &[]));
}

/// Callers without the secret cannot find out which accounts are listed.
#[tokio::test]
async fn the_signature_is_checked_first() {
    let app = app(|app| {
        app.accounts(["111"])
            .on_foreign_event(OnForeignEvent::Refuse)
    });
    let host = service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = delivery_of("/a", "b", body(&[messages(TWO, "1", &["a"])]));
    let response = layer(&app).layer(host).oneshot(request).await.unwrap();
    let rejection: &Rejection = response.extensions().get().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::SignatureMismatch);
    assert_eq!(app.foreign_events(), 0);
}

/// Foreign events are neither claimed nor counted as handled, but the handler sees all of them.
#[tokio::test]
async fn deduplication_leaves_foreign_events_alone() {
    let app = app(|app| app.accounts(["111"]));
    let dedup = DedupLayer::new(MemoryStore::new());
    let handle = dedup.handle();
    let calls = Arc::<Mutex<Vec<Called>>>::default();
    let seen = Arc::clone(&calls);
    let host = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let notification: &Notification = request.extensions().get().unwrap();
        let both = (names(notification.events()), names(notification.foreign()));
        seen.lock().unwrap().push(both);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let service = layer(&app).layer(dedup.layer(host));
    let [one, two] = [messages(ONE, "1", &["a"]), messages(TWO, "1", &["b"])];
    for entries in [
        vec![one.clone(), two.clone()],
        // All events of this app were handled.
        vec![one.clone(), two.clone()],
        vec![two.clone()],
        vec![two],
    ] {
        let request = delivery_of("/a", "a", body(&entries));
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    let expected = [
        called(&["a"], &["b"]),
        called(&[], &["b"]),
        called(&[], &["b"]),
        called(&[], &["b"]),
    ];
    assert_eq!(*calls.lock().unwrap(), expected.map(Result::unwrap));
    let counters = handle.counters();
    assert_eq!((counters.delivered, counters.suppressed), (1, 1));
    assert_eq!(app.foreign_events(), 4);
}
