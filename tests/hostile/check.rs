//! Sends every row through a driver and looks at all that may have happened.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tower_whatsapp::RejectionKind;

use crate::{
    drive::{self, Http1, Reply},
    host::{ELSEWHERE, MARK, Seen, Subject, TAKEN},
    row::{Answer, Driver, ECHO_BODY, ECHO_HEADERS, Polled, Row, Sent, refusal},
    rows,
};

/// So many wrong answers say what there is to say.
const ENOUGH: usize = 20;

/// Sends all rows of a driver to both hosts, and fails at the end: one wrong answer must not hide the others.
pub(crate) async fn run(driver: Driver) {
    let rows: Vec<_> = rows::all()
        .into_iter()
        .filter(|row| row.drivers.contains(&driver))
        .map(Arc::new)
        .collect();
    let mut requests = 0;
    let mut wrong = Vec::new();
    for row in &rows {
        if wrong.len() > ENOUGH {
            break;
        }
        for host in [Host::Bare, Host::Axum] {
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
    let rows = rows.len();
    println!("hostile rows: {driver:?} {rows}, each with 2 hosts, {requests} requests in all");
}

#[derive(Debug, Clone, Copy)]
enum Host {
    Bare,
    Axum,
}

async fn exchange(row: &Row, driver: Driver, host: Host, sent: &Sent) {
    let subject = Subject::new((row.settings)().build().unwrap());
    let free = subject.layer.available_memory();
    let (reply, closed) = match driver {
        Driver::Tower => {
            let reply = match host {
                Host::Bare => drive::tower(subject.bare(), sent, sent.script()).await,
                Host::Axum => drive::tower(subject.axum(), sent, sent.script()).await,
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
    if matches!(answer, Answer::Server(_)) {
        assert_eq!(subject.counter.frames(), 0, "{at}");
        return;
    }
    let polled = subject.counter.bytes();
    match row.polled {
        Polled::Nothing => assert_eq!(polled, 0, "{at}"),
        Polled::All => assert_eq!(polled, sent.data().len(), "{at}"),
        Polled::OneFrameOver(limit) => {
            assert!(subject.counter.bytes_before_last() <= limit, "{at}");
        }
        Polled::Any => {}
    }
}

async fn serve(subject: &Subject, host: Host) -> std::net::SocketAddr {
    match host {
        Host::Bare => drive::serve(subject.bare()).await,
        Host::Axum => drive::serve(subject.axum()).await,
    }
}

/// The memory must be given back, and over a socket that may come a moment after the answer.
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
        // Who has gone may have been refused, but nobody hears it.
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
    assert_eq!(
        seen.secret_label,
        events.then(|| row.secret_label.to_owned()),
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
