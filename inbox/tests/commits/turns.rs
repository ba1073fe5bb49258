//! Turns that other tasks have while a large delivery is made ready for the database.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use tokio::task::yield_now;
use tower::ServiceExt;
use tower_whatsapp::Notification;
use tower_whatsapp_inbox::{
    Inbox,
    testing::{Fault, Moment, Point, set_hook},
};

use crate::{
    POINTS,
    common::{Db, message, messages, status, statuses},
};

/// Turns of the other task.
static TURNS: AtomicUsize = AtomicUsize::new(0);
/// Those that it had had when the delivery was ready.
static READY: AtomicUsize = AtomicUsize::new(0);

/// On one thread, nothing else runs until the task of the delivery yields. The length of its events
/// counts as well as their number.
#[tokio::test]
async fn others_have_turns_while_a_delivery_is_made_ready() {
    let _points = POINTS.lock().await;
    let db = Db::sqlite().await;
    let inbox = db.inbox().await;
    let many: Vec<_> = (0..30_000)
        .map(|n| message(&format!("49{}", n % 200), &format!("w{n}"), n))
        .collect();
    let renames: Vec<_> = (0..10_000).map(rename).collect();
    let long: Vec<_> = (0..40)
        .map(|n| message("491", &"w".repeat(64 * 1024 + n), 1))
        .collect();
    // Each is stored together with what it shares.
    let shared: Vec<_> = (0..200).map(|n| status("491", &n.to_string(), n)).collect();
    let metadata = format!(
        r#"{{"phone_number_id":"7","more":"{}"}}"#,
        "m".repeat(64 * 1024)
    );
    let shared = statuses(&shared).replace(r#"{"phone_number_id":"7"}"#, &metadata);
    let left_out: Vec<_> = (0..30_000)
        .map(|n| status("491", &n.to_string(), n))
        .collect();
    let only_messages = Db::sqlite().await;
    let only_messages = only_messages.open(Inbox::builder().only(["message"])).await;
    let both = statuses(&left_out).replace(
        r#"]}}]}]}"#,
        &format!(r#"],"messages":[{}]}}}}]}}]}}"#, message("491", "w", 1)),
    );
    for (what, inbox, body, least) in [
        ("many messages", &inbox, messages(&many), 30_000 / 32),
        ("many renames", &inbox, messages(&renames), 10_000 / 32),
        ("long messages", &inbox, messages(&long), 39),
        ("shared parts", &inbox, shared, 199),
        ("left out", &only_messages.unwrap(), both, 30_000 / 32),
    ] {
        let turns = turns_until_ready(inbox, body).await;
        println!("{what}: {turns} turns");
        assert!(turns >= least, "{what}: {turns} turns");
    }
}

async fn turns_until_ready(inbox: &Inbox, body: String) -> usize {
    set_hook(|point, moment| match (point, moment) {
        // What follows waits for the database.
        (Point::Store, Moment::Before) => {
            READY.store(TURNS.load(Ordering::Relaxed), Ordering::Relaxed);
            Fault::Error
        }
        _ => Fault::None,
    });
    let mut request = Request::new(());
    let notification = Notification::parse(body).unwrap();
    request.extensions_mut().insert(notification);
    let other = tokio::spawn(async {
        loop {
            TURNS.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    // Its first turn.
    yield_now().await;
    TURNS.store(0, Ordering::Relaxed);
    // A task of its own, as in a server.
    let answer = tokio::spawn(inbox.receiver().oneshot(request));
    let answer = answer.await.unwrap().unwrap();
    other.abort();
    set_hook(|_, _| Fault::None);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    READY.load(Ordering::Relaxed)
}

/// A message that announces a new number.
fn rename(n: u64) -> String {
    format!(
        r#"{{"from":"49{n}","id":"r{n}","timestamp":"1","type":"system",
        "system":{{"type":"user_changed_number","body":"a","wa_id":"48{n}"}}}}"#
    )
}
