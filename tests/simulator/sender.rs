//! Tests of `Simulator` with services of a simple behaviour each.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::sleep;
use tower::service_fn;
use tower_whatsapp::{
    Notification,
    testing::{Delivery, DeliveryOutcome, EventHistory, Report, Simulator, Traffic, sign},
};

use crate::{DAY, SECRET};

fn sender(events: usize) -> Simulator {
    Simulator::new(SECRET).events(events)
}

/// A simulator that only delivers and retries.
fn plain(events: usize) -> Simulator {
    sender(events)
        .regroup_probability(0.0)
        .redelivery_probability(0.0)
        .duplicate_probability(0.0)
}

fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

/// Responds to each delivery with the status for its number.
async fn answered(simulator: Simulator, answer: fn(usize) -> u16) -> Report {
    let count = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |request: Request<Bytes>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let signature = sign(request.body(), SECRET);
        assert_eq!(request.headers()["x-hub-signature-256"], signature);
        assert_eq!(request.uri().path(), "/webhook");
        async move { Ok::<_, Infallible>(status(answer(number))) }
    });
    simulator.run(service, |body| body).await
}

fn seconds(list: &[u64]) -> Vec<Duration> {
    list.iter().copied().map(Duration::from_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_with_200_comes_once() {
    let report = answered(plain(2000).max_batch_size(40), |_| 200).await;
    let keys = report.events().iter().map(EventHistory::key);
    let keys: HashSet<_> = keys.collect();
    assert_eq!(keys.len(), 2000);
    let each =
        |event: &EventHistory| event.deliveries().len() == 1 && event.acknowledgements() == 1;
    assert!(report.events().iter().all(each));
    let sizes: HashSet<_> = report
        .deliveries()
        .iter()
        .map(|delivery| delivery.events().len())
        .collect();
    assert!(sizes.contains(&1) && sizes.contains(&40) && sizes.iter().all(|size| *size <= 40));
    assert_eq!(
        (report.retries(), report.redeliveries(), report.failed()),
        (0, 0, 0)
    );
    assert_eq!(report.deliveries_acknowledged(), report.deliveries().len());
    assert_eq!(report.unacknowledged().count(), 0);
    // 100 per second.
    let last = report.deliveries().last().unwrap();
    assert!(last.sent_at() > Duration::from_secs(19) && last.sent_at() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn anything_else_comes_again_at_these_times_for_seven_days() {
    const STATUSES: [u16; 9] = [201, 202, 204, 302, 400, 404, 409, 500, 503];
    let report = answered(plain(1), |number| STATUSES[number % STATUSES.len()]).await;
    let sent: Vec<_> = report.deliveries().iter().map(Delivery::sent_at).collect();
    let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut expected = seconds(&[0, 10, 60, 300, 1800, 7200, 21600]);
    expected.resize(gaps.len(), DAY / 2);
    for (gap, expected) in gaps.iter().zip(&expected) {
        assert!(gap >= expected && *gap <= expected.mul_f64(1.1), "{gaps:?}");
    }
    let last = *sent.last().unwrap();
    assert!(last <= 7 * DAY && last > 6 * DAY, "{last:?}");
    assert_eq!(report.unacknowledged().count(), 1);
    assert_eq!((report.retries(), report.redeliveries()), (gaps.len(), 0));
    assert_eq!(report.deliveries_acknowledged(), 0);
    assert!(
        STATUSES
            .iter()
            .all(|status| report.status_codes().contains_key(status))
    );
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_in_time_is_hung_up_on() {
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let counter = Arc::clone(&dropped);
    let service = service_fn(move |_: Request<Bytes>| {
        let count = Count(Arc::clone(&counter));
        async move {
            let _count = count;
            pending::<Result<Response<()>, Infallible>>().await
        }
    });
    let report = plain(1).retry_delays([]).run(service, |body| body).await;
    assert_eq!(report.deliveries().len(), 1);
    let delivery = &report.deliveries()[0];
    assert_eq!(delivery.outcome(), DeliveryOutcome::TimedOut);
    assert_eq!(
        delivery.finished_at() - delivery.sent_at(),
        Duration::from_secs(5)
    );
    assert_eq!(
        (report.timed_out(), dropped.load(Ordering::Relaxed)),
        (1, 1)
    );
    assert_eq!(report.latency_quantile(0.5), None);
    assert!((report.fraction_slower_than(Duration::from_secs(1)) - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_are_failures() {
    crate::quiet_panics();
    let count = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |_: Request<Bytes>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            match number {
                0 => Err("the service fails"),
                1 => std::panic::panic_any(crate::host::Planned),
                _ => Ok(status(200)),
            }
        }
    });
    let report = plain(1).run(service, |body| body).await;
    let answers: Vec<_> = report.deliveries().iter().map(Delivery::outcome).collect();
    let ok = DeliveryOutcome::Status(http::StatusCode::OK);
    assert_eq!(
        answers,
        [DeliveryOutcome::Failed, DeliveryOutcome::Failed, ok]
    );
    assert_eq!(report.failed(), 2);
    assert_eq!(report.events()[0].deliveries(), [0, 1, 2]);
    assert!(report.events()[0].acknowledged_at() >= Some(Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_grouped_anew() {
    let groups = async |regroup| {
        let simulator = plain(300).max_batch_size(10).regroup_probability(regroup);
        let report = answered(simulator, |number| if number < 200 { 500 } else { 200 }).await;
        assert_eq!(report.unacknowledged().count(), 0);
        let groups = report.deliveries().iter().map(|delivery| {
            let mut keys = delivery.events().to_vec();
            keys.sort_unstable();
            keys
        });
        groups.collect::<HashSet<_>>()
    };
    let (never, always) = (groups(0.0).await, groups(1.0).await);
    assert!(
        always.len() > never.len(),
        "{} {}",
        never.len(),
        always.len()
    );
    // Events of two deliveries arrived together.
    let first = |group: &Vec<_>| {
        never
            .iter()
            .any(|other| group.iter().all(|key| other.contains(key)))
    };
    assert!(always.iter().any(|group| !first(group)));
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_comes_again_within_seven_days() {
    let report = answered(plain(200).redelivery_probability(1.0), |_| 200).await;
    assert_eq!((report.redeliveries(), report.retries()), (200, 0));
    for event in report.events() {
        assert_eq!((event.deliveries().len(), event.acknowledgements()), (2, 2));
    }
    let sent = report.deliveries().iter().map(Delivery::sent_at);
    let (soon, late): (Vec<_>, Vec<_>) = sent.partition(|sent| *sent < Duration::from_secs(120));
    assert!(soon.len() > 10 && late.len() > 10);
    assert!(late.iter().all(|sent| *sent <= 7 * DAY));
}

#[tokio::test(start_paused = true)]
async fn duplicates_come_within_two_seconds() {
    let report = answered(plain(200).duplicate_probability(1.0), |_| 200).await;
    for event in report.events() {
        let [first, second] = event.deliveries() else {
            panic!("{event:?}");
        };
        let [first, second] = [first, second].map(|index| &report.deliveries()[*index]);
        assert_eq!(first.events(), second.events());
        assert!(second.sent_at() - first.sent_at() <= Duration::from_secs(2));
    }
}

#[tokio::test(start_paused = true)]
async fn latency_counts_from_when_a_delivery_was_due() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let service = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        service_fn(move |_: Request<Bytes>| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                let now = running.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(now, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Infallible>(status(200))
            }
        })
    };
    let simulator = plain(100)
        .rate(f64::INFINITY)
        .max_batch_size(1)
        .concurrency(10);
    let report = simulator.run(service, |body| body).await;
    assert_eq!(most.load(Ordering::Relaxed), 10);
    let latency = |part| report.latency_quantile(part).unwrap().as_secs();
    assert_eq!(
        [0.0, 0.1, 0.5, 0.9, 0.99, 1.0].map(latency),
        [1, 1, 5, 9, 10, 10]
    );
    assert!((report.fraction_slower_than(Duration::from_secs(2)) - 0.8).abs() < 1e-9);
    assert_eq!(report.elapsed().as_secs(), 10);
    let text = report.to_string();
    assert!(
        text.contains("p50 5000.0 ms") && text.contains("250 ms: NO"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same() {
    let run = async |seed| {
        let answer = |number| if number % 3 == 0 { 500 } else { 200 };
        let report = answered(sender(300).seed(seed), answer).await;
        format!("{report:?}")
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn time_can_be_scaled_and_everything_watched() {
    let seen = Arc::new(AtomicUsize::new(0));
    let simulator = plain(20).time_scale(0.0001).on_delivery({
        let seen = Arc::clone(&seen);
        move |delivery| {
            assert_eq!(
                delivery.outcome(),
                DeliveryOutcome::Status(http::StatusCode::FORBIDDEN)
            );
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    let report = answered(simulator, |_| 403).await;
    assert_eq!(seen.load(Ordering::Relaxed), report.deliveries().len());
    assert!(
        report.elapsed() < Duration::from_secs(70) && report.elapsed() > Duration::from_secs(50)
    );

    // Without any time passing, the simulation still ends.
    let report = answered(plain(5).time_scale(0.0), |_| 500).await;
    assert_eq!(report.unacknowledged().count(), 5);
}

#[tokio::test(start_paused = true)]
async fn timestamps_and_mix_are_as_set() {
    let service = service_fn(|request: Request<Bytes>| async move {
        let notification = Notification::parse(request.into_body()).unwrap();
        for event in notification.events() {
            assert_eq!(event.kind(), "status");
            let timestamp = event.timestamp().unwrap().millis() / 1000;
            assert!((5000..6000).contains(&timestamp), "{timestamp}");
        }
        Ok::<_, Infallible>(status(200))
    });
    let simulator = plain(100)
        .mix([(Traffic::GroupStatuses, 1)])
        .timestamp(5000);
    let report = simulator.run(service, |body| body).await;
    assert_eq!((report.failed(), report.unacknowledged().count()), (0, 0));
}
