//! A 503 says where the time of the delivery went.

use std::{os::unix::net::UnixListener, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::sync::{mpsc, watch};
use tower_whatsapp_inbox::{
    Inbox, InboxError, InboxEvent,
    testing::{Fault, Moment, Point, set_hook},
};

use crate::{
    Lines,
    common::{Db, message, messages, post, until_empty},
};

/// Shorter than anything that makes a delivery wait here.
const LIMIT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn each_is_told(db: Db, lines: &Lines) {
    {
        let case = Case::new(&db, lines).await;
        set_hook(|point, moment| match (point, moment) {
            (Point::Store, Moment::After) => Fault::Delay(LONG),
            _ => Fault::None,
        });
        case.refused("in time: a statement took too long").await;
        set_hook(|_, _| Fault::None);
    }
    if db.is_sqlite() {
        another_process_writes(&db, lines).await;
        a_handler_writes(&db, lines).await;
    } else {
        a_lock_is_held(&db, lines).await;
        a_statement_is_slow(&db, lines).await;
        the_pool_is_in_use(&db, lines).await;
        the_pool_is_small(&db, lines).await;
        the_server_is_away(db, lines).await;
    }
}

/// An inbox of its own: each logs one WARN a minute.
struct Case<'a> {
    inbox: Inbox,
    lines: &'a Lines,
}

impl<'a> Case<'a> {
    async fn new(db: &Db, lines: &'a Lines) -> Self {
        let builder = Inbox::builder().store_timeout(LIMIT);
        let inbox = db.open(builder).await.unwrap();
        Self { inbox, lines }
    }

    async fn refused(&self, cause: &str) {
        let warnings = || self.lines.with("WARN").into_iter();
        let known = warnings().count();
        let body = messages(&[message("4915550001", "wamid-canary", 1)]);
        let answer = post(&self.inbox, body).await;
        assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE, "{cause}");
        let warning = warnings()
            .skip(known)
            .find(|line| line.contains("answered a delivery with 503"));
        let warning = warning.unwrap();
        assert!(warning.contains(cause), "{cause:?} is not in {warning}");
    }
}

async fn another_process_writes(db: &Db, lines: &Lines) {
    let case = Case::new(db, lines).await;
    let pool = db.sqlite_pool().await;
    let lock = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    case.refused("in time: another process writes to the file")
        .await;
    lock.rollback().await.unwrap();
}

async fn a_handler_writes(db: &Db, lines: &Lines) {
    let case = Case::new(db, lines).await;
    let body = messages(&[message("4915550001", "wamid-canary-begins", 1)]);
    assert_eq!(post(&case.inbox, body).await, StatusCode::OK);
    let (begun, mut is_begun) = mpsc::unbounded_channel();
    let (open, gate) = watch::channel(false);
    let worker = case.inbox.worker(move |event: InboxEvent| {
        let (begun, mut gate) = (begun.clone(), gate.clone());
        async move {
            let transaction = event.begin_sqlite().await?;
            let _ = begun.send(());
            let _ = gate.wait_for(|is_open| *is_open).await;
            transaction.done().await
        }
    });
    let host = async {
        is_begun.recv().await.unwrap();
        case.refused("in time: another transaction of this process writes")
            .await;
        open.send_replace(true);
    };
    worker.run(host).await;
}

async fn a_lock_is_held(db: &Db, lines: &Lines) {
    let case = Case::new(db, lines).await;
    let pool = db.postgres_pool().await;
    let mut transaction = pool.begin().await.unwrap();
    let lock = sqlx::query("LOCK TABLE whatsapp_inbox_event IN ACCESS EXCLUSIVE MODE");
    lock.execute(&mut *transaction).await.unwrap();
    case.refused("another transaction holds a lock (code 55P03)")
        .await;
    transaction.rollback().await.unwrap();
}

async fn a_statement_is_slow(db: &Db, lines: &Lines) {
    let case = Case::new(db, lines).await;
    db.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
            AS $$BEGIN PERFORM pg_sleep(600); RETURN new; END$$;
        CREATE TRIGGER slow BEFORE INSERT ON whatsapp_inbox_event
            FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    case.refused("a statement took too long (code 57014)").await;
    db.execute("DROP TRIGGER slow ON whatsapp_inbox_event")
        .await;
}

async fn the_pool_is_in_use(db: &Db, lines: &Lines) {
    let Db::Postgres { server, name } = db else {
        unreachable!()
    };
    // Before the limit of the delivery, and after it.
    for acquire in [LIMIT / 2, LONG] {
        let pool = crate::common::pg_pool(server, name, 3).await;
        let options = pool.options().clone().acquire_timeout(acquire);
        let address = (*pool.connect_options()).clone();
        let pool = options.connect_with(address).await.unwrap();
        let builder = Inbox::builder().store_timeout(LIMIT);
        let inbox = builder.postgres(pool.clone()).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(pool.acquire().await.unwrap());
        }
        let case = Case { inbox, lines };
        case.refused("no connection of the pool became free").await;
    }
}

/// Handlers with transactions would wait for each other. Those without need no connection.
async fn the_pool_is_small(db: &Db, lines: &Lines) {
    let told = || lines.with("the pool is smaller").len();
    // The pools of these tests have 10.
    for (concurrency, begins, is_told) in [(6, true, 0), (7, false, 0), (7, true, 1)] {
        let inbox = db.inbox().await;
        // One that has ended does not count.
        let ended = inbox.worker(|_| async { Ok::<_, String>(()) });
        ended.concurrency(100).run(async {}).await;
        let body = messages(&[message("4915550001", &format!("{concurrency}{begins}"), 1)]);
        assert_eq!(post(&inbox, body).await, StatusCode::OK);
        let worker = inbox.worker(move |event: InboxEvent| async move {
            if begins {
                event.begin_postgres().await?.done().await?;
            }
            Ok::<_, InboxError>(())
        });
        let known = told();
        let worker = worker.concurrency(concurrency);
        worker.run(until_empty(&inbox)).await;
        assert_eq!(told() - known, is_told, "{concurrency} {begins}");
    }
    lines.warning("the pool is smaller than the handlers");
    assert_eq!(lines.with("connections=10 needed=11").len(), 1);
}

async fn the_server_is_away(mut db: Db, lines: &Lines) {
    let cases = [Case::new(&db, lines).await, Case::new(&db, lines).await];
    let Db::Postgres { server, .. } = &mut db else {
        unreachable!()
    };
    Arc::get_mut(server).unwrap().crash();
    cases[0]
        .refused("the connection failed (entity not found)")
        .await;
    // A socket that nobody listens on refuses, as the address of a server does: sqlx tries again.
    drop(UnixListener::bind(server.socket().join(".s.PGSQL.5432")).unwrap());
    cases[1].refused("no connection could be opened").await;
}
