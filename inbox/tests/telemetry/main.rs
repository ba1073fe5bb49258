//! What an operator reads in the log of a process.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

mod causes;
mod reasons;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_whatsapp_inbox::{
    Inbox, InboxEvent, Verdict,
    testing::{Fault, Moment, Point, set_hook},
};
use tracing_subscriber::filter::LevelFilter;

use self::common::{Db, message, messages, post, until, until_empty};

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn with(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found = text.lines().filter(|line| line.contains(part));
        found.map(str::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn only(&self, part: &str) -> String {
        self.one(part, &self.with(part))
    }

    /// The one WARN with this text. The spans of a request may stand before the target: those of
    /// the layer, if it is built with its feature `tracing`.
    #[track_caller]
    pub(crate) fn warning(&self, text: &str) -> String {
        let mut found = self.with(&format!("tower_whatsapp_inbox: {text}"));
        found.retain(|line| line.split_whitespace().nth(1) == Some("WARN"));
        self.one(text, &found)
    }

    #[track_caller]
    fn one(&self, part: &str, found: &[String]) -> String {
        let [line] = found else {
            panic!("{part:?} is not in one line of {:#?}", self.with(""))
        };
        println!("{line}");
        line.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_runs_and_what_to_act_on() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let db = Db::sqlite().await;
    let inbox = db.inbox().await;

    refused_deliveries(&inbox, &lines).await;
    runs(&inbox, &lines).await;
    failures_after_done(&inbox, &lines).await;
    a_failing_worker(&inbox, &lines).await;
    panics_of_a_worker(&inbox, &lines).await;
    for db in [Db::sqlite().await, Db::own_postgres().await] {
        causes::each_is_told(db, &lines).await;
    }
    for db in [Db::sqlite().await, Db::postgres().await] {
        reasons::each_is_told(&db, &lines).await;
    }
    requests_without_the_layer(&inbox, &lines).await;

    let text = lines.with("").join("\n");
    for personal in ["4915550001", "wamid-canary", "a word of the handler"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
}

/// One line a minute, with the cause. The others are DEBUG.
async fn refused_deliveries(inbox: &Inbox, lines: &Lines) {
    set_hook(|point, moment| match (point, moment) {
        (Point::Store, Moment::Before) => Fault::Error,
        _ => Fault::None,
    });
    let body = messages(&[message("4915550001", "wamid-canary", 1)]);
    for _ in 0..3 {
        assert_eq!(
            post(inbox, body.clone()).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    set_hook(|_, _| Fault::None);
    let found = lines.with("answered a delivery with 503");
    assert_eq!(found.len(), 3, "{found:?}");
    let warning = lines.warning("answered");
    assert!(
        warning.contains(r#"cause="the database failed: a fault of a test""#),
        "{warning}"
    );
}

/// Handlers are inside of a span. Dead letters are told.
async fn runs(inbox: &Inbox, lines: &Lines) {
    for (person, id) in [
        ("4915550001", "wamid-canary-1"),
        ("49155500012", "wamid-canary-2"),
    ] {
        assert_eq!(
            post(inbox, messages(&[message(person, id, 1)])).await,
            StatusCode::OK
        );
    }
    let worker = inbox.worker(|event: InboxEvent| async move {
        tracing::info!("the host works");
        match event.event().id() {
            Some("wamid-canary-2") => Err("a word of the handler"),
            _ => Ok(()),
        }
    });
    worker.max_attempts(1).run(until_empty(inbox)).await;
    assert_eq!(inbox.counters().dead, 1);
    let inside = lines.with("the host works");
    assert_eq!(inside.len(), 2);
    for line in inside {
        let span = r#"whatsapp.inbox.run{kind="message" events=1 attempt=1 first_key="#;
        assert!(line.contains(span), "{line}");
    }
    let done = lines.only(r#"outcome="done""#);
    assert!(
        done.contains("wait_ms=") && done.contains("handler_ms="),
        "{done}"
    );
    lines.only(r#"outcome="failed""#);
    let dead = lines.warning("events became dead letters");
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let told = format!(
        r#"reason="the handler failed" count=1 letters="{} (attempt 1)""#,
        letters[0].key()
    );
    assert!(dead.contains(&told), "{dead}");
}

/// What a handler says once its transaction has committed has no effect, so it is told.
async fn failures_after_done(inbox: &Inbox, lines: &Lines) {
    let handled = inbox.counters().handled;
    for id in ["wamid-canary-3", "wamid-canary-4"] {
        let body = messages(&[message("4915550001", id, 2)]);
        assert_eq!(post(inbox, body).await, StatusCode::OK);
    }
    let worker = inbox.worker(|event: InboxEvent| async move {
        let transaction = event.begin_sqlite().await.unwrap();
        transaction.done().await.unwrap();
        match event.event().id() {
            Some("wamid-canary-3") => Err("a word of the handler"),
            _ => Ok(Verdict::Again),
        }
    });
    worker.run(until_empty(inbox)).await;
    assert_eq!(inbox.counters().handled - handled, 2);
    let warning = lines.warning("a handler ended");
    assert!(
        warning.contains(r#"outcome="failed" first_key="#),
        "{warning}"
    );
    let both = lines.with("a handler ended without success after `done`");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[1].contains(r#"outcome="again""#), "{both:?}");
}

/// Each operation is told: they fail for reasons of their own.
async fn a_failing_worker(inbox: &Inbox, lines: &Lines) {
    let body = messages(&[message("4915550001", "wamid-canary-7", 3)]);
    assert_eq!(post(inbox, body).await, StatusCode::OK);
    let claims = AtomicU32::new(0);
    set_hook(move |point, moment| match (point, moment) {
        (Point::Claim, Moment::Before) if claims.fetch_add(1, Ordering::Relaxed) > 1 => {
            Fault::Error
        }
        (Point::Complete, Moment::Before) => Fault::Error,
        _ => Fault::None,
    });
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    let failed = async {
        until("both fail often", async || {
            let told = |operation: &str| lines.with(&format!("operation=\"{operation}\"")).len();
            told("claim") > 2 && told("record") > 1
        })
        .await;
        set_hook(|_, _| Fault::None);
        until_empty(inbox).await;
    };
    worker
        .poll_interval(Duration::from_millis(10))
        .run(failed)
        .await;
    let mut told = lines.with("an operation of a worker failed");
    told.retain(|line| line.split_whitespace().nth(1) == Some("WARN"));
    for operation in ["claim", "record"] {
        let operation = format!("operation=\"{operation}\"");
        let of_this: Vec<_> = told
            .iter()
            .filter(|line| line.contains(&operation))
            .collect();
        assert_eq!(of_this.len(), 1, "{told:?}");
    }
}

/// What panics beside the handlers is told, with the name of the task.
async fn panics_of_a_worker(inbox: &Inbox, lines: &Lines) {
    let handled = inbox.counters().handled;
    for (person, id) in [
        ("4915550001", "wamid-canary-5"),
        ("49155500012", "wamid-canary-6"),
    ] {
        let body = messages(&[message(person, id, 3)]);
        assert_eq!(post(inbox, body).await, StatusCode::OK);
    }
    let panicked = Arc::new(Mutex::new(Vec::new()));
    set_hook(move |point, moment| {
        let is_one = moment == Moment::Before && [Point::Handle, Point::Complete].contains(&point);
        let is_first = is_one && {
            let mut panicked = panicked.lock().unwrap();
            let is_first = !panicked.contains(&point);
            panicked.push(point);
            is_first
        };
        assert!(!is_first, "the panic of this test");
        Fault::None
    });
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    let all = until("both are done", async || {
        inbox.counters().handled == handled + 2
    });
    worker.lease(Duration::from_secs(2)).run(all).await;
    set_hook(|_, _| Fault::None);
    let warning = lines.warning("a task of a worker panicked");
    assert!(warning.contains(r#"task="complete""#), "{warning}");
    let both = lines.with("a task of a worker panicked");
    assert_eq!(both.len(), 1, "{both:?}");
    let warning = lines.warning("a run panicked");
    assert!(warning.contains(r#"reason="run_panicked""#), "{warning}");
}

/// Meta gets 500 for as long as the route is wrong, so somebody has to be told.
async fn requests_without_the_layer(inbox: &Inbox, lines: &Lines) {
    for _ in 0..3 {
        let answer = inbox.receiver().oneshot(Request::new(())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    let warning = lines.warning("answered 500");
    assert!(warning.contains(r#"reason="layer_missing""#), "{warning}");
    assert_eq!(lines.with("answered 500").len(), 3);
}
