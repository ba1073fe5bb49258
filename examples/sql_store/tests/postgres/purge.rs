use std::time::Duration;

use tokio::time::sleep;
use tower_whatsapp::{
    dedup::{Claim, Commit, Store, Token},
    event::EventKey,
};

use super::server::Server;

const LONG: Duration = Duration::from_secs(1_000);

fn keys(numbers: std::ops::Range<u128>) -> Vec<EventKey> {
    numbers
        .map(|number| EventKey::from_bytes(number.to_be_bytes()))
        .collect()
}

fn windows(keys: &[EventKey], window: Duration) -> Vec<(EventKey, Duration)> {
    keys.iter().map(|key| (*key, window)).collect()
}

/// A purge removes all expired rows, in several batches, and no others.
#[tokio::test]
async fn a_purge_removes_what_has_expired() {
    let server = Server::start().await;
    let store = server.store().await;
    let (token, other) = (Token::random(), Token::random());
    let (done, lapsed) = (keys(0..2_500), keys(2_500..2_600));
    let (remembered, held) = (keys(3_000..3_100), keys(3_100..3_200));
    let short = Duration::from_millis(1);
    store.commit(&windows(&done, short), token).await.unwrap();
    store.claim(&lapsed, token, short).await.unwrap();
    store
        .commit(&windows(&remembered, LONG), token)
        .await
        .unwrap();
    store.claim(&held, token, LONG).await.unwrap();
    sleep(Duration::from_millis(20)).await;

    assert_eq!(store.purge().await.unwrap(), 2_600);
    assert_eq!(store.purge().await.unwrap(), 0);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM whatsapp_event")
        .fetch_one(&server.pool().await)
        .await
        .unwrap();
    assert_eq!(rows, 200);
    let claims = store.claim(&remembered, other, LONG).await.unwrap();
    assert_eq!(claims, [Claim::Done; 100]);
    let claims = store.claim(&held, other, LONG).await.unwrap();
    assert_eq!(claims, [Claim::Pending; 100]);
    // A holder whose lease expired and was purged can still commit.
    let commits = store.commit(&windows(&lapsed, LONG), token).await.unwrap();
    assert_eq!(commits, [Commit::Recorded; 100]);
}

/// A purge finds its rows through the index.
#[tokio::test]
async fn a_purge_does_not_read_the_whole_table() {
    let server = Server::start().await;
    let store = server.store().await;
    for batch in 0..20 {
        let keys = keys(batch * 1_000..(batch + 1) * 1_000);
        store
            .commit(&windows(&keys, LONG), Token::random())
            .await
            .unwrap();
    }
    let pool = server.pool().await;
    sqlx::raw_sql("ANALYZE whatsapp_event")
        .execute(&pool)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT key FROM whatsapp_event WHERE until < now() ORDER BY until LIMIT 1000 FOR UPDATE SKIP LOCKED",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Index Scan using whatsapp_event_until"),
        "{plan}"
    );
}
