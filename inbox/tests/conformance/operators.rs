//! What operators read of events, and what is left of those that are over.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tower_whatsapp_inbox::{Inbox, InboxEvent, Verdict};

use crate::{
    common::{Db, PATIENCE, message, messages, post, until, until_empty},
    order::{changed, from},
    transactions::effect,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Some are seconds in one database and milliseconds in the other.
pub(crate) async fn ages_and_times_are_told_in_their_units(db: &Db) {
    let inbox = db.inbox().await;
    let clock = if db.is_sqlite() {
        "SELECT unixepoch('now') * 1000"
    } else {
        "SELECT (extract(epoch FROM now()) * 1000)::bigint"
    };
    let start = db.count(clock).await;
    post(&inbox, messages(&[message("491", "w1", 1)])).await;
    let earlier = if db.is_sqlite() {
        "received_at - 3600000"
    } else {
        "received_at - interval '1 hour'"
    };
    db.execute(&format!(
        "UPDATE whatsapp_inbox_event SET received_at = {earlier}"
    ))
    .await;
    let told = HOUR..HOUR + PATIENCE;
    let oldest = inbox.status().await.unwrap().oldest.unwrap();
    assert!(told.contains(&oldest), "{oldest:?}");
    let age = Arc::new(Mutex::new(Duration::ZERO));
    let seen = age.clone();
    let worker = inbox.worker(move |event: InboxEvent| {
        *seen.lock().unwrap() = event.age();
        async { Ok::<_, String>(Verdict::Never("no".to_owned())) }
    });
    worker.run(until_empty(&inbox)).await;
    let age = *age.lock().unwrap();
    assert!(told.contains(&age), "{age:?}");
    assert_eq!(inbox.status().await.unwrap().oldest, None);
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    let died = letters[0].died_at().unwrap();
    let died = died.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let died = i64::try_from(died.as_millis()).unwrap();
    // SQLite's clock of this test counts seconds.
    let between = start - 1_000..db.count(clock).await + 2_000;
    assert!(between.contains(&died), "{died}");
}

/// A lane is running while its lease lasts, and retrying while it waits for its pause.
pub(crate) async fn each_state_of_a_lane_is_told(db: &Db) {
    let inbox = db.inbox().await;
    for (person, id) in [("491", "fails"), ("492", "hangs"), ("493", "dies")] {
        post(&inbox, messages(&[message(person, id, 1)])).await;
    }
    let worker = inbox.worker(|event: InboxEvent| async move {
        match event.event().id() {
            Some("fails") => Err("no"),
            _ => std::future::pending::<Result<(), _>>().await,
        }
    });
    let worker = worker.lease(HOUR).backoff(HOUR, HOUR);
    let process = tokio::spawn(worker.run(std::future::pending()));
    let told = async || {
        let status = inbox.status().await.unwrap();
        (status.messages, status.running, status.retrying)
    };
    until("all have begun", async || told().await == (3, 2, 1)).await;
    process.abort();
    let now = if db.is_sqlite() { "0" } else { "now()" };
    db.execute(&format!(
        "UPDATE whatsapp_inbox_lane SET wake_at = {now} WHERE lane LIKE '%493'"
    ))
    .await;
    assert_eq!(told().await, (3, 1, 1));
}

/// However an event ends: what it said, and what the handler said of it, is removed. The rest is
/// kept for as long as the setting says.
pub(crate) async fn what_is_over_has_no_content(db: &Db) {
    let keep = HOUR * 10;
    let inbox = db.open(Inbox::builder().keep(keep)).await.unwrap();
    db.execute("CREATE TABLE effects (id TEXT)").await;
    let ids = ["returned", "committed", "discarded"];
    for (n, id) in (1..).zip(ids) {
        post(&inbox, messages(&[message(&format!("49{n}"), id, 1)])).await;
    }
    let is_sqlite = db.is_sqlite();
    let worker = inbox.worker(move |event: InboxEvent| async move {
        let id = event.event().id().unwrap().to_owned();
        match (event.attempt(), id.as_str()) {
            (1, _) => return Err("a word about 491".to_owned()),
            (_, "discarded") => return Ok(Verdict::Never("a word about 493".to_owned())),
            (_, "committed") => effect(&event, is_sqlite, true).await.unwrap(),
            _ => {}
        }
        Ok(Verdict::Done)
    });
    let worker = worker.backoff(Duration::ZERO, Duration::ZERO);
    worker.run(until_empty(&inbox)).await;
    let letters = inbox.dead_letters(0, 10).await.unwrap();
    assert_eq!(inbox.discard(&[letters[0].key()]).await.unwrap(), 1);
    let left = if is_sqlite {
        "expires_at - unixepoch('now') * 1000"
    } else {
        "(extract(epoch FROM expires_at - now()) * 1000)::bigint"
    };
    // The difference is the time of this test, and a second that SQLite rounds off.
    let (least, most) = (keep - PATIENCE, keep + Duration::from_secs(1));
    let (least, most) = (least.as_millis(), most.as_millis());
    let over = format!(
        "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 1 AND finished_at IS NOT NULL
        AND body IS NULL AND last_error IS NULL AND {left} BETWEEN {least} AND {most}"
    );
    assert_eq!(db.count(&over).await, 3);
}

/// What is stored, replayed or renamed meanwhile waits for the end of the lease or of the pause.
pub(crate) async fn a_held_conversation_is_woken_by_nothing(db: &Db) {
    let inbox = db.inbox().await;
    for (user, fails) in [("US.1", true), ("US.2", false)] {
        let id = |name: &str| format!("{name}-{user}");
        let dead = from(user, &id("dead"), 1);
        let held = from(user, &id("held"), 2);
        post(&inbox, messages(&[dead, held])).await;
        let worker = inbox.worker(move |event: InboxEvent| async move {
            if event.event().id().unwrap().starts_with("dead") {
                return Ok(Verdict::Never("no".to_owned()));
            }
            if !fails {
                std::future::pending::<()>().await;
            }
            Err("not yet")
        });
        let worker = worker.lease(HOUR).backoff(HOUR, HOUR);
        let process = tokio::spawn(worker.run(std::future::pending()));
        let holds = format!(
            "SELECT count(*) FROM whatsapp_inbox_lane l
            WHERE held AND lane LIKE '%{user}' AND pending = 1 AND (owner IS NULL) = {fails}"
        );
        until("it is held", async || db.count(&holds).await == 1).await;
        // As a kill does, it leaves the lease behind.
        process.abort();
        let wake_at = if db.is_sqlite() {
            "wake_at"
        } else {
            "(extract(epoch FROM wake_at) * 1000)::bigint"
        };
        let wake_at =
            format!("SELECT {wake_at} FROM whatsapp_inbox_lane WHERE lane LIKE '%/{user}'");
        let before = db.count(&wake_at).await;
        post(&inbox, messages(&[from(user, &id("new"), 3)])).await;
        assert_eq!(db.count(&wake_at).await, before, "{user}: stored");
        let letters = inbox.dead_letters(0, 10).await.unwrap();
        assert_eq!(inbox.replay(&[letters[0].key()]).await.unwrap(), 1);
        assert_eq!(db.count(&wake_at).await, before, "{user}: replayed");
        let other = format!("{user}x");
        let later = from(&other, &id("joins"), 5);
        post(&inbox, messages(&[later])).await;
        let announced = changed(user, &other, &id("renamed"), 4);
        post(&inbox, messages(&[announced])).await;
        assert_eq!(db.count(&wake_at).await, before, "{user}: renamed");
        let pending = format!(
            "SELECT CAST(pending AS bigint) FROM whatsapp_inbox_lane WHERE lane LIKE '%/{user}'"
        );
        assert_eq!(db.count(&pending).await, 5, "{user}");
    }
}

/// One call, however many there are. What waits, is dead, is leased or may come again is kept.
pub(crate) async fn a_purge_removes_what_has_expired_and_nothing_else(db: &Db) {
    let inbox = db.inbox().await;
    let ([events, lanes, aliases], kept) = if db.is_sqlite() {
        (EXPIRED_SQLITE, KEPT_SQLITE)
    } else {
        (EXPIRED_POSTGRES, KEPT_POSTGRES)
    };
    db.execute(kept).await;
    // One after the other, because each table decides whether there is more.
    for (table, expired, left) in [
        ("event", events, 3),
        ("lane", lanes, 3),
        ("alias", aliases, 1),
    ] {
        db.execute(expired).await;
        let rows = format!("SELECT count(*) FROM whatsapp_inbox_{table}");
        assert_eq!(db.count(&rows).await, 2_500 + left, "{table}");
        inbox.purge().await.unwrap();
        assert_eq!(db.count(&rows).await, left, "{table}");
    }
}

const EXPIRED_POSTGRES: [&str; 3] = [
    "INSERT INTO whatsapp_inbox_event (event_key, seq, app, kind, conversation, lane, class,
        event_time, received_at, state, expires_at)
    SELECT uuid_send(gen_random_uuid()), n, '', 'message', '', '', 0, now(), now(), 1,
        now() - interval '1 second'
    FROM generate_series(1, 2500) n",
    "INSERT INTO whatsapp_inbox_lane (lane, class, pending, last_at, wake_at)
    SELECT n::text, n % 2, 0, now() - interval '2 minutes', 'infinity'
    FROM generate_series(1, 2500) n",
    "INSERT INTO whatsapp_inbox_alias (alias, conversation, created_at)
    SELECT n::text, '', now() - interval '91 days' FROM generate_series(1, 2500) n",
];

const KEPT_POSTGRES: &str = "
INSERT INTO whatsapp_inbox_event (event_key, seq, app, kind, conversation, lane, class,
    event_time, received_at, state, expires_at)
SELECT uuid_send(gen_random_uuid()), 0, '', 'message', '', 'idle', 0, now(),
    now() - interval '1 year', state, now() + wait * interval '1 minute'
FROM (VALUES (0, NULL), (1, 1), (2, NULL)) e (state, wait);
INSERT INTO whatsapp_inbox_lane (lane, class, pending, owner, last_at, wake_at) VALUES
    ('idle', 0, 1, NULL, now() - interval '1 year', now() + interval '1 hour'),
    ('leased', 1, 0, '\\x00', now() - interval '1 year', now() + interval '1 hour'),
    ('recent', 0, 0, NULL, now(), 'infinity');
INSERT INTO whatsapp_inbox_alias VALUES ('a', '', now() - interval '89 days')";

const EXPIRED_SQLITE: [&str; 3] = [
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500)
    INSERT INTO whatsapp_inbox_event (event_key, app, kind, conversation, lane, class,
        event_time, received_at, state, expires_at)
    SELECT randomblob(16), '', 'message', '', '', 0, 0, 0, 1, (unixepoch('now') - 1) * 1000 FROM s",
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500)
    INSERT INTO whatsapp_inbox_lane (lane, class, pending, last_at, wake_at)
    SELECT CAST(n AS TEXT), n % 2, 0, (unixepoch('now') - 120) * 1000, 9223372036854775807 FROM s",
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500)
    INSERT INTO whatsapp_inbox_alias (alias, conversation, created_at)
    SELECT CAST(n AS TEXT), '', (unixepoch('now') - 91 * 86400) * 1000 FROM s",
];

const KEPT_SQLITE: &str = "
INSERT INTO whatsapp_inbox_event (event_key, app, kind, conversation, lane, class,
    event_time, received_at, state, expires_at)
SELECT randomblob(16), '', 'message', '', 'idle', 0, 0, 0, column1,
    (unixepoch('now') + column2) * 1000
FROM (VALUES (0, NULL), (1, 60), (2, NULL));
INSERT INTO whatsapp_inbox_lane (lane, class, pending, owner, last_at, wake_at) VALUES
    ('idle', 0, 1, NULL, 0, (unixepoch('now') + 3600) * 1000),
    ('leased', 1, 0, x'00', 0, (unixepoch('now') + 3600) * 1000),
    ('recent', 0, 0, NULL, unixepoch('now') * 1000, 9223372036854775807);
INSERT INTO whatsapp_inbox_alias VALUES ('a', '', (unixepoch('now') - 89 * 86400) * 1000)";
