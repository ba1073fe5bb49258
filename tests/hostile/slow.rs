//! B13, B16, B17: slow senders. With a paused clock where there is no socket.

use std::time::Duration;

use http::Request;
use test_support::{PATIENCE, SECRET, Script, Step, builder, layer, sign};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tower_whatsapp::{
    Rejection,
    RejectionKind::{self, BodyDeadline, BodyIdle},
    WebhookLayer,
};

use crate::{
    check::returned,
    drive::{Http1, http2, serve},
    host::Subject,
    row::Sent,
};

/// Sends a body. Returns the reason of the rejection, and the time until then.
async fn refused(layer: WebhookLayer, script: Script) -> (RejectionKind, Duration) {
    let subject = Subject::new(layer);
    let free = subject.layer.available_memory();
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, ""))
        .body(script)
        .unwrap();
    let start = Instant::now();
    let response = subject.bare().oneshot(request).await.unwrap();
    let elapsed = start.elapsed();
    assert_eq!(response.status(), 408);
    assert!(response.headers().is_empty());
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(subject.log.take().0.len(), 0);
    returned(&subject, free, "slow").await;
    (rejection.kind(), elapsed)
}

fn about(elapsed: Duration, seconds: u64) -> bool {
    elapsed.abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(500)
}

/// Single bytes with a pause after each.
fn trickle(pause: Duration) -> Vec<Step> {
    let step = [Step::data(" "), Step::Wait(pause)];
    step.into_iter().cycle().take(2000).collect()
}

#[tokio::test]
async fn b13_endless_empty_frames_end_at_the_deadline_and_leave_room_for_others() {
    let layer = builder()
        .body_deadline(Duration::from_millis(200))
        .build()
        .unwrap();
    let others = tokio::spawn(async {
        let mut turns = 0;
        let end = Instant::now() + Duration::from_millis(100);
        while Instant::now() < end {
            turns += 1;
            tokio::task::yield_now().await;
        }
        turns
    });
    let (kind, elapsed) = refused(layer, Script::new([Step::Empty(usize::MAX)])).await;
    assert_eq!(kind, BodyDeadline);
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert!(others.await.unwrap() > 10);
}

#[tokio::test(start_paused = true)]
async fn b16_a_byte_a_second_ends_at_the_deadline() {
    let steps = trickle(Duration::from_secs(1));
    let (kind, elapsed) = refused(layer(), Script::new(steps)).await;
    assert_eq!(kind, BodyDeadline);
    assert!(about(elapsed, 10), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn b17_a_stall_ends_after_the_idle_time() {
    let steps = [Step::data(vec![b' '; 1024 * 1024]), Step::Stall];
    let (kind, elapsed) = refused(layer(), Script::new(steps)).await;
    assert_eq!(kind, BodyIdle);
    assert!(about(elapsed, 5), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_begins_ends_after_the_idle_time() {
    let (kind, elapsed) = refused(layer(), Script::new([Step::Stall])).await;
    assert_eq!(kind, BodyIdle);
    assert!(about(elapsed, 5), "{elapsed:?}");
}

/// Frames without data do not count as progress.
#[tokio::test(start_paused = true)]
async fn empty_frames_do_not_keep_the_idle_time_from_passing() {
    let step = [Step::Empty(1), Step::Wait(Duration::from_secs(1))];
    let steps: Vec<_> = step.into_iter().cycle().take(100).collect();
    let (kind, elapsed) = refused(layer(), Script::new(steps)).await;
    assert_eq!(kind, BodyIdle);
    assert!(about(elapsed, 5), "{elapsed:?}");
}

/// The counterpart: slow, but in time.
#[tokio::test(start_paused = true)]
async fn a_slow_sender_that_is_in_time_is_handled() {
    let subject = Subject::new(layer());
    let steps = [
        Step::Wait(Duration::from_millis(4900)),
        Step::data("{"),
        Step::Wait(Duration::from_millis(4900)),
        Step::data("}"),
    ];
    let request = Request::post("/wh")
        .header("x-hub-signature-256", sign(SECRET, "{}"))
        .body(Script::new(steps))
        .unwrap();
    assert_eq!(subject.bare().oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_b17_over_sockets() {
    let hasty = || {
        builder()
            .body_idle_timeout(Duration::from_millis(200))
            .body_deadline(Duration::from_millis(600))
            .build()
            .unwrap()
    };
    let trickling = trickle(Duration::from_millis(50));
    let stalling = vec![Step::data(vec![b' '; 100_000]), Step::Stall];
    for (steps, kind, millis) in [(trickling, BodyDeadline, 600), (stalling, BodyIdle, 200)] {
        let sent = Sent::post("").chunked(steps);
        for version in [1, 2] {
            let subject = Subject::new(hasty());
            let free = subject.layer.available_memory();
            let address = serve(subject.bare()).await;
            let start = Instant::now();
            let reply = timeout(PATIENCE, async {
                if version == 1 {
                    let mut connection = Http1::connect(address).await;
                    let reply = connection.exchange(&sent).await;
                    assert!(connection.is_closed().await, "{kind:?}");
                    reply
                } else {
                    http2(address, &sent).await
                }
            });
            assert_eq!(reply.await.unwrap().unwrap().status, 408);
            // Not sooner. How much later depends on the machine.
            let elapsed = start.elapsed().as_millis();
            assert!(elapsed >= millis, "{kind:?}: {elapsed}");
            let (seen, rejections) = subject.log.take();
            assert_eq!((seen.len(), rejections), (0, vec![kind]));
            returned(&subject, free, "slow").await;
        }
    }
}
