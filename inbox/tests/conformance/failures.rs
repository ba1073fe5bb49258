use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tower_whatsapp_inbox::{DeadLetter, InboxEvent, Verdict};

use crate::common::{Db, Journal, message, messages, post, until, until_empty};

pub(crate) async fn a_failure_is_retried_later(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "w1", 1), message("491", "w2", 2)];
    post(&inbox, messages(&items)).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        let id = event.event().id().unwrap().to_owned();
        seen.lock()
            .unwrap()
            .push((id, event.attempt(), Instant::now()));
        async move {
            if event.attempt() < 3 {
                Err("not yet")
            } else {
                Ok(())
            }
        }
    });
    let first = Duration::from_millis(400);
    worker
        .backoff(first, first * 10)
        .run(until_empty(&inbox))
        .await;
    let times = times.lock().unwrap();
    let runs: Vec<_> = times
        .iter()
        .map(|(id, attempt, _)| (id.as_str(), *attempt))
        .collect();
    // The conversation waits for its first message.
    let expected = [
        ("w1", 1),
        ("w1", 2),
        ("w1", 3),
        ("w2", 1),
        ("w2", 2),
        ("w2", 3),
    ];
    assert_eq!(runs, expected);
    assert!(times[1].2 - times[0].2 >= first / 2);
    assert!(
        times[2].2 - times[1].2 >= first,
        "the pause doubles, less the jitter"
    );
    let counters = inbox.counters();
    assert_eq!(
        (counters.failed, counters.handled, counters.dead),
        (4, 2, 0)
    );
}

pub(crate) async fn a_dead_letter_frees_its_conversation(db: &Db) {
    let inbox = db.inbox().await;
    let items = [message("491", "w1", 1), message("491", "w2", 2)];
    post(&inbox, messages(&items)).await;
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        seen.note(&event);
        async move {
            match event.event().id() {
                Some("w1") => Err("never works"),
                _ => Ok(()),
            }
        }
    });
    let worker = worker
        .max_attempts(3)
        .backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    assert_eq!(journal.ids(), ["w1", "w1", "w1", "w2"]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(
        (letter.attempts(), letter.error()),
        (3, Some("never works"))
    );
    assert_eq!(
        (letter.kind(), letter.conversation()),
        ("message", "/7/wa/491")
    );
    assert!(letter.died_at().is_some());
    assert_eq!(inbox.status().await.unwrap().dead, 1);
}

pub(crate) async fn dead_letters_are_replayed_and_discarded(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..5)
        .map(|n| message("491", &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    let worker = inbox.worker(|_| async { Err::<(), _>("no") });
    worker.max_attempts(1).run(until_empty(&inbox)).await;
    // Two pages.
    let mut letters = inbox.dead_letters(0, 3).await.unwrap();
    assert_eq!(letters.len(), 3);
    letters.extend(inbox.dead_letters(letters[2].position(), 3).await.unwrap());
    let ids: Vec<_> = letters
        .iter()
        .map(|letter| letter.event().unwrap().id().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["w0", "w1", "w2", "w3", "w4"]);
    let keys: Vec<_> = letters.iter().map(DeadLetter::key).collect();
    assert_eq!(inbox.discard(&keys[4..]).await.unwrap(), 1);
    assert_eq!(inbox.discard(&keys[4..]).await.unwrap(), 0);
    assert_eq!(inbox.replay(&keys).await.unwrap(), 4);
    assert_eq!(inbox.replay(&keys).await.unwrap(), 0);
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        assert_eq!(event.attempt(), 1);
        seen.note(&event);
        async { Ok::<_, String>(()) }
    });
    worker.run(until_empty(&inbox)).await;
    assert_eq!(journal.ids(), ["w0", "w1", "w2", "w3"]);
    // Still duplicates, both kinds.
    post(&inbox, messages(&items)).await;
    let status = inbox.status().await.unwrap();
    assert_eq!((status.messages, status.dead), (0, 0));
}

pub(crate) async fn verdicts_are_obeyed(db: &Db) {
    let inbox = db.inbox().await;
    let ids = ["later", "never", "again"];
    for (n, id) in (0..).zip(ids) {
        post(&inbox, messages(&[message(&format!("49{n}"), id, 1)])).await;
    }
    let seen = Arc::new(Mutex::new(Vec::<(String, u32, Instant)>::new()));
    let noted = seen.clone();
    let pause = Duration::from_millis(500);
    let worker = inbox.worker(move |event: InboxEvent| {
        let id = event.event().id().unwrap().to_owned();
        let mut seen = noted.lock().unwrap();
        let runs = seen.iter().filter(|(other, ..)| *other == id).count();
        seen.push((id.clone(), event.attempt(), Instant::now()));
        let verdict = match id.as_str() {
            "later" if runs < 2 => Verdict::NotBefore(pause),
            "never" => Verdict::Never("a reason".to_owned()),
            "again" if runs < 2 => Verdict::Again,
            _ => Verdict::Done,
        };
        async move { Ok::<_, String>(verdict) }
    });
    worker.run(until_empty(&inbox)).await;
    let seen = seen.lock().unwrap().clone();
    let of = |name: &str| -> Vec<_> { seen.iter().filter(|(id, ..)| id == name).collect() };
    let later = of("later");
    assert_eq!(
        later
            .iter()
            .map(|(_, attempt, _)| *attempt)
            .collect::<Vec<_>>(),
        [1, 1, 1]
    );
    assert!(later[1].2 - later[0].2 >= pause - Duration::from_millis(1));
    let again = of("again");
    assert_eq!(
        again
            .iter()
            .map(|(_, attempt, _)| *attempt)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(of("never").len(), 1);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].error(), Some("a reason"));
    // None of them is a failure.
    let counters = inbox.counters();
    assert_eq!(
        (counters.failed, counters.handled, counters.dead),
        (0, 2, 1)
    );
}

/// As `anyhow` and `eyre` write it: they have the causes in the alternate form only.
pub(crate) async fn the_causes_of_an_error_are_kept(db: &Db) {
    struct Failed;

    impl std::fmt::Display for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(if f.alternate() { "it: why" } else { "it" })
        }
    }

    let inbox = db.inbox().await;
    for is_batch in [false, true] {
        post(
            &inbox,
            messages(&[message("491", &format!("{is_batch}"), 1)]),
        )
        .await;
        let worker = if is_batch {
            inbox.batch_worker(|_| async { Err::<(), _>(Failed) })
        } else {
            inbox.worker(|_| async { Err::<(), _>(Failed) })
        };
        worker.max_attempts(1).run(until_empty(&inbox)).await;
    }
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let errors: Vec<_> = letters.iter().map(DeadLetter::error).collect();
    assert_eq!(errors, [Some("it: why"); 2]);
}

/// A verdict without a reason does not hide the reason of the failure before it.
pub(crate) async fn the_last_reason_is_kept(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let runs = Arc::new(Mutex::new(0));
    let worker = inbox.worker(move |_| {
        let mut runs = runs.lock().unwrap();
        *runs += 1;
        let result = match *runs {
            1 => Err("a reason"),
            2 => Ok(Verdict::NotBefore(Duration::ZERO)),
            _ => Ok(Verdict::Again),
        };
        async move { result }
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.max_attempts(3).run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!((letter.attempts(), letter.error()), (3, Some("a reason")));
}

/// No process has ended: the service was started again with a lower limit.
pub(crate) async fn fewer_attempts_than_before_keep_the_last_reason(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let failing = || {
        let worker = inbox.worker(|_| async { Err::<(), _>("a reason") });
        worker.backoff(Duration::ZERO, Duration::ZERO)
    };
    let often = until("it has failed often", async || inbox.counters().failed >= 5);
    failing().max_attempts(1_000_000).run(often).await;
    failing().max_attempts(3).run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.error(), Some("a reason"));
    assert!(letter.attempts() >= 5, "{}", letter.attempts());
}

pub(crate) async fn a_panic_is_a_failure(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    // Both in the closure and in its future.
    let worker = inbox.worker(|event: InboxEvent| {
        assert!(event.attempt() != 1, "on purpose");
        async move {
            assert!(event.attempt() != 2, "on purpose");
            Ok::<_, String>(())
        }
    });
    let worker = worker
        .backoff(Duration::ZERO, Duration::ZERO)
        .concurrency(1);
    worker.run(until_empty(&inbox)).await;
    let counters = inbox.counters();
    assert_eq!((counters.failed, counters.handled), (2, 1));
}

pub(crate) async fn a_handler_that_hangs_is_dropped(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let worker = inbox.worker(|_| std::future::pending::<Result<(), String>>());
    let worker = worker
        .handler_timeout(Some(Duration::from_millis(200)))
        .max_attempts(1);
    worker.run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert!(letters[0].error().unwrap().contains("handler_timeout"));
    until("nothing runs", async || {
        inbox.status().await.unwrap().running == 0
    })
    .await;
}

/// The conversation waits for its first message, whatever comes meanwhile.
pub(crate) async fn a_new_message_does_not_shorten_the_pause(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        seen.lock().unwrap().push(Instant::now());
        async move {
            if event.attempt() == 1 {
                Err("not yet")
            } else {
                Ok(())
            }
        }
    });
    let pause = Duration::from_secs(2);
    let sender = async {
        until("it has failed", async || inbox.counters().failed == 1).await;
        until("the lane waits", async || {
            inbox.status().await.unwrap().retrying == 1
        })
        .await;
        post(&inbox, messages(&[message("491", "w2", 2)])).await;
        until("it is retried", async || times.lock().unwrap().len() > 1).await;
    };
    worker
        .backoff(pause, pause)
        .drain_timeout(pause)
        .run(sender)
        .await;
    let times = times.lock().unwrap();
    assert!(
        times[1] - times[0] >= pause / 2,
        "{:?}",
        times[1] - times[0]
    );
}

/// Perhaps a later version wrote it, which is being rolled out: the pause doubles here too.
pub(crate) async fn an_unreadable_event_is_retried_later_and_later(db: &Db) {
    let inbox = db.inbox().await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let body = if db.is_sqlite() { "x'ff'" } else { "'\\xff'" };
    db.execute(&format!("UPDATE whatsapp_inbox_event SET body = {body}"))
        .await;
    let worker = inbox.worker(|_| async { Ok::<_, String>(()) });
    let (first, start) = (Duration::from_millis(300), Instant::now());
    worker
        .max_attempts(5)
        .backoff(first, first * 100)
        .run(until_empty(&inbox))
        .await;
    // 1 + 2 + 4 + 8 pauses, each shortened by up to a half.
    assert!(
        start.elapsed() >= first * 15 / 2,
        "dead after {:?}",
        start.elapsed()
    );
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].attempts()), (1, 5));
}

/// Read from the database, because the pauses take hours. Each is shortened by up to a half.
pub(crate) async fn the_pause_doubles_up_to_the_longest(db: &Db) {
    let inbox = db.inbox().await;
    let both = ["491", "492"].map(|person| message(person, person, 1));
    post(&inbox, messages(&both)).await;
    let (unreadable, [left, now]) = if db.is_sqlite() {
        let left = "wake_at - unixepoch('now') * 1000";
        ("x'ff'", [left, "0"])
    } else {
        let left = "(extract(epoch FROM wake_at - now()) * 1000)::bigint";
        ("'\\xff'", [left, "now()"])
    };
    db.execute(&format!(
        "UPDATE whatsapp_inbox_event SET body = {unreadable} WHERE lane LIKE '%492'"
    ))
    .await;
    let worker = inbox.batch_worker(|_| async { Err::<(), _>("no") });
    let hour = Duration::from_secs(3600);
    let host = async {
        for (attempt, hours) in (1..).zip([1, 2, 4, 5, 5]) {
            let tried =
                format!("SELECT count(*) FROM whatsapp_inbox_event WHERE attempts = {attempt}");
            until("both wait", async || {
                let status = inbox.status().await.unwrap();
                status.retrying == 2 && db.count(&tried).await == 2
            })
            .await;
            for aggregate in ["min", "max"] {
                let pause = format!("SELECT {aggregate}({left}) FROM whatsapp_inbox_lane");
                let pause = Duration::from_millis(db.count(&pause).await.unsigned_abs());
                // The time of this test is nothing beside it.
                let bounds = hour * hours / 2 - hour / 12..=hour * hours + hour / 60;
                assert!(bounds.contains(&pause), "{attempt}: {pause:?}");
            }
            if attempt == 2 {
                // The pause is that of the event that was tried most often.
                post(&inbox, messages(&[message("491", "later", 9)])).await;
            }
            db.execute(&format!("UPDATE whatsapp_inbox_lane SET wake_at = {now}"))
                .await;
        }
    };
    let worker = worker.max_attempts(12).backoff(hour, hour * 5);
    worker
        .poll_interval(Duration::from_millis(50))
        .run(host)
        .await;
}

/// A claim takes several lanes, and reads all of them at once. A time that is out of every range
/// stands for a page that is damaged.
pub(crate) async fn an_event_that_the_database_cannot_read_holds_up_nobody_else(db: &Db) {
    let inbox = db.inbox().await;
    let items: Vec<_> = (0..6)
        .map(|n| message(&format!("49{}", n % 2), &format!("w{n}"), n))
        .collect();
    post(&inbox, messages(&items)).await;
    let damage = async |event: &str| {
        let time = match db.is_sqlite() {
            true => "-9223372036854775808",
            false => "'infinity'",
        };
        db.execute(&format!(
            "UPDATE whatsapp_inbox_event SET received_at = {time} WHERE event_key = ({event})"
        ))
        .await;
    };
    // The second of its conversation: the first is handled, and the third is too.
    damage(
        "SELECT event_key FROM whatsapp_inbox_event WHERE lane = '/7/wa/490'
        ORDER BY event_time LIMIT 1 OFFSET 1",
    )
    .await;
    let journal = Journal::default();
    let seen = journal.clone();
    let worker = inbox.batch_worker(move |batch| {
        batch.events().iter().for_each(|event| seen.note(event));
        async { Ok::<_, String>(()) }
    });
    let worker = worker.max_attempts(3);
    let host = until("the others are handled", async || journal.len() == 5);
    worker
        .backoff(Duration::ZERO, Duration::ZERO)
        .run(host)
        .await;
    let all = journal.by_conversation();
    assert_eq!(all["/7/wa/490"], ["w0", "w4"]);
    assert_eq!(all["/7/wa/491"], ["w1", "w3", "w5"]);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.attempts(), 3);
    assert!(letter.error().unwrap().contains("cannot be read"));
    assert_eq!(inbox.counters().dead, 1);
}
