//! Sends every row through a driver and checks all effects.

use std::{sync::Arc, time::Duration};

use test_support::{CHALLENGE, Counter, TOKEN, handshake, json::one_text, layer, long_tests};
use tokio::time::sleep;
use tower_whatsapp::RejectionKind;

#[cfg(feature = "tokio")]
use crate::scripted::{Op, Scripted};
use crate::{
    drive::{self, Http1, Reply},
    host::{ELSEWHERE, MARK, Seen, Subject, TAKEN},
    row::{Answer, Driver, ECHO_BODY, ECHO_HEADERS, Polled, Row, Sent, Wire, refusal},
    rows,
};

/// Stops after this number of failures.
const ENOUGH: usize = 20;

/// Sends all rows of a driver to their hosts. Fails at the end, so that one failure does not hide
/// the others.
pub(crate) async fn run(driver: Driver) {
    let rows: Vec<_> = rows::all()
        .into_iter()
        .map(Arc::new)
        .enumerate()
        .filter(|(_, row)| row.drivers.contains(&driver))
        .collect();
    let mut requests = 0;
    let mut wrong = Vec::new();
    for (at, row) in &rows {
        if wrong.len() > ENOUGH {
            break;
        }
        for host in hosts(*at, row, driver) {
            for index in 0..row.requests.len() {
                requests += 1;
                let row = Arc::clone(row);
                let id = row.id;
                let exchange = tokio::spawn(async move {
                    exchange(&row, driver, host, &row.requests[index]).await;
                });
                if exchange.await.is_err() {
                    wrong.push(format!("{id} to {host:?}"));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{driver:?}: {wrong:#?}");
    println!(
        "hostile rows: {driver:?} {}: {requests} requests, each checked for status, headers, body, reason, calls, bytes read, \
         memory and store operations",
        rows.len(),
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Bare,
    Axum,
    /// With a deduplication store.
    #[cfg(feature = "tokio")]
    Remembering,
}

const HOSTS: &[Host] = &[
    Host::Bare,
    Host::Axum,
    #[cfg(feature = "tokio")]
    Host::Remembering,
];

/// The hosts to which a driver sends a row: all with `LONG_TESTS`, else a part, so that each host
/// gets the row through one of its drivers.
fn hosts(at: usize, row: &Row, driver: Driver) -> impl Iterator<Item = Host> {
    let drivers = row.drivers.len();
    let own = row.drivers.iter().position(|one| *one == driver).unwrap();
    let places = (0..HOSTS.len()).filter(move |host| long_tests() || (at + host) % drivers == own);
    places.map(|host| HOSTS[host])
}

async fn exchange(row: &Row, driver: Driver, host: Host, sent: &Sent) {
    let subject = Subject::new((row.settings)().build().unwrap()).dressed(row.dress);
    let free = subject.layer.available_memory();
    let (reply, closed) = match driver {
        Driver::Tower => {
            let reply = match host {
                Host::Bare => drive::tower(subject.bare(), sent, sent.script()).await,
                Host::Axum => drive::tower(subject.axum(), sent, sent.script()).await,
                #[cfg(feature = "tokio")]
                Host::Remembering => drive::tower(subject.remembering(), sent, sent.script()).await,
            };
            (Some(reply), true)
        }
        Driver::Http1 => {
            let mut connection = Http1::connect(serve(&subject, host).await).await;
            let reply = connection.exchange(sent).await;
            (reply, !row.closes || connection.is_closed().await)
        }
        Driver::Http2 => (drive::http2(serve(&subject, host).await, sent).await, true),
    };
    let at = format!("{} over {driver:?} to {host:?}: {reply:?}", row.id);
    assert!(closed, "{at}: the connection stays open");
    returned(&subject, free, &at).await;
    let answer = row.answer_over(driver);
    let (seen, rejections) = subject.log.take();
    check_reply(answer, reply.as_ref(), &at);
    check_rejection(answer, &rejections, &at);
    check_calls(answer, row, sent, &seen, &at);
    #[cfg(feature = "tokio")]
    check_store(host, &subject.store, &seen, &at);
    if matches!(answer, Answer::Server(_)) {
        assert_eq!(subject.counter.frames(), 0, "{at}");
        return;
    }
    check_polled(row.polled, &subject.counter, sent, &at);
}

/// Sends all byte sequences of `wire` to all hosts.
pub(crate) async fn run_wire() {
    let rows: Vec<_> = rows::wire::rows().into_iter().map(Arc::new).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        for &host in HOSTS {
            let (row, id) = (Arc::clone(row), row.id);
            if tokio::spawn(async move { talk(&row, host).await })
                .await
                .is_err()
            {
                wrong.push(format!("{id} to {host:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!(
        "hostile rows: bytes on a connection {}, each with {} hosts, and each checked as the others are",
        rows.len(),
        HOSTS.len()
    );
}

async fn talk(row: &Wire, host: Host) {
    let subject = Subject::new(layer());
    let free = subject.layer.available_memory();
    let mut connection = Http1::connect(serve(&subject, host).await).await;
    connection.write(&row.bytes).await;
    let mut replies = Vec::new();
    for _ in &row.answers {
        replies.push(connection.read().await);
    }
    let at = format!("{} to {host:?}: {replies:?}", row.id);
    for (answer, reply) in row.answers.iter().zip(&replies) {
        check_reply(answer, reply.as_ref(), &at);
    }
    let polled = subject.counter.bytes();
    if row.closes {
        assert!(
            connection.is_closed().await,
            "{at}: the connection stays open"
        );
    } else {
        let next = Sent::get(handshake(TOKEN, CHALLENGE));
        check_reply(
            &Answer::Echo,
            connection.exchange(&next).await.as_ref(),
            &at,
        );
    }
    returned(&subject, free, &at).await;
    let (seen, rejections) = subject.log.take();
    let one = Row::one(row.id, Sent::post(one_text()));
    let mut calls = &seen[..];
    let mut refused = &rejections[..];
    for answer in &row.answers {
        let is_call = matches!(answer, Answer::Handled(_) | Answer::PassedThrough);
        let is_refusal = matches!(answer, Answer::Rejected(_));
        let (call, later) = calls.split_at(calls.len().min(is_call.into()));
        let (refusal, others) = refused.split_at(refused.len().min(is_refusal.into()));
        let sent = match answer {
            Answer::PassedThrough => &Sent::get("/elsewhere"),
            _ => &one.requests[0],
        };
        check_calls(answer, &one, sent, call, &at);
        check_rejection(answer, refusal, &at);
        (calls, refused) = (later, others);
    }
    assert_eq!((calls.len(), refused.len()), (0, 0), "{at}");
    #[cfg(feature = "tokio")]
    check_store(host, &subject.store, &seen, &at);
    assert_eq!(polled, subject.counter.bytes(), "{at}");
    check_polled(row.polled, &subject.counter, &one.requests[0], &at);
}

fn check_polled(polled: Polled, counter: &Counter, sent: &Sent, at: &str) {
    match polled {
        Polled::Nothing => assert_eq!(counter.bytes(), 0, "{at}"),
        Polled::All => assert_eq!(counter.bytes(), sent.data().len(), "{at}"),
        Polled::OneFrameOver(limit) => assert!(counter.bytes_before_last() <= limit, "{at}"),
        Polled::Any => {}
    }
}

async fn serve(subject: &Subject, host: Host) -> std::net::SocketAddr {
    match host {
        Host::Bare => drive::serve(subject.bare()).await,
        Host::Axum => drive::serve(subject.axum()).await,
        #[cfg(feature = "tokio")]
        Host::Remembering => drive::serve(subject.remembering()).await,
    }
}

/// All memory must be released. Over a socket that may happen shortly after the response.
pub(crate) async fn returned(subject: &Subject, free: usize, at: &str) {
    for _ in 0..400 {
        if subject.layer.available_memory() == free {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{at}: {} of {free} free", subject.layer.available_memory());
}

pub(crate) fn check_reply(answer: &Answer, reply: Option<&Reply>, at: &str) {
    let (status, headers, body): (u16, &[(&str, &str)], &str) = match answer {
        Answer::Rejected(kind) => {
            let (status, headers) = refusal(*kind);
            (status, headers, "")
        }
        Answer::Echo => (200, ECHO_HEADERS, ECHO_BODY),
        Answer::Handled(_) | Answer::Many(..) => (200, &[MARK], TAKEN.1),
        Answer::PassedThrough => (ELSEWHERE.0.as_u16(), &[MARK], ELSEWHERE.1),
        Answer::Server(status) => (*status, &[], ""),
        Answer::Gone => {
            assert_eq!(reply, None, "{at}");
            return;
        }
    };
    let reply = reply.unwrap_or_else(|| panic!("{at}"));
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    assert_eq!(reply.status, status, "{at}");
    assert_eq!(reply.headers, headers, "{at}");
    assert_eq!(reply.body, body, "{at}");
}

fn check_rejection(answer: &Answer, rejections: &[RejectionKind], at: &str) {
    match answer {
        Answer::Rejected(kind) => assert_eq!(rejections, [*kind], "{at}"),
        // The request may have been rejected, but the client is gone.
        Answer::Gone => {}
        _ => assert_eq!(rejections, [], "{at}"),
    }
}

fn check_calls(answer: &Answer, row: &Row, sent: &Sent, seen: &[Seen], at: &str) {
    let events = match answer {
        Answer::Handled(_) | Answer::Many(..) => true,
        Answer::PassedThrough => false,
        _ => {
            assert_eq!(seen.len(), 0, "{at}");
            return;
        }
    };
    let [seen] = seen else {
        panic!("{at}: {} calls", seen.len());
    };
    assert_eq!(seen.body, sent.data(), "{at}");
    let verified = seen.verified.as_ref();
    assert_eq!(
        verified.map(|it| (it.app(), it.secret_label())),
        events.then_some((row.app, row.secret_label)),
        "{at}"
    );
    assert_eq!(seen.events.is_some(), events, "{at}");
    assert_eq!(seen.same, events, "{at}");
    let found = seen.events.as_deref().unwrap_or_default();
    match answer {
        Answer::Handled(events) => assert_eq!(found, events, "{at}"),
        Answer::Many(count, last) => {
            assert_eq!(found.len(), *count, "{at}");
            assert_eq!(found.last().map(String::as_str), Some(*last), "{at}");
        }
        _ => {}
    }
}

/// The store sees exactly the handled events: each is claimed once, then committed once.
#[cfg(feature = "tokio")]
fn check_store(host: Host, store: &Scripted, seen: &[Seen], at: &str) {
    let calls = store.calls();
    let found: Vec<_> = calls.iter().map(|call| (call.op, &call.keys)).collect();
    let mut keys: Vec<_> = seen.iter().flat_map(|it| it.keys.iter().copied()).collect();
    keys.sort_unstable();
    let expected = if host == Host::Remembering && !keys.is_empty() {
        vec![(Op::Claim, &keys), (Op::Commit, &keys)]
    } else {
        Vec::new()
    };
    assert_eq!(found, expected, "{at}");
    assert!(calls.windows(2).all(|two| two[0].token == two[1].token));
    assert_eq!(store.pending(), 0, "{at}");
}
