//! Deliveries: unsigned, forged, signed, large, unknown and repeated ones.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use tower_whatsapp::testing::{self, Sample, sample};

use super::{
    finding::{Findings, Severity},
    handshake::report_redirect,
    probe::{Probed, Prober},
};
use crate::failure::Failure;

/// Meta documents 3 MB as the maximum.
const LARGE: usize = 2_900_000;
/// Signed messages whose answer times are measured.
const TIMED: usize = 5;

const LOST: &str = "Meta counts it as failed: it retries for 7 days, then the event is lost";
const FORGERY: &str = "anyone who knows the URL can send made-up messages and statuses";

pub(super) async fn check(
    prober: &Prober,
    secret: Option<&str>,
    count_url: Option<&Uri>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut ids = Ids::new()?;
    check_unsigned(prober, &mut ids, findings).await;
    let Some(secret) = secret else {
        findings.note(
            "signed",
            "not checked: there is no app secret, so nothing can be signed",
            "set WHATSAPP_APP_SECRET",
        );
        return Ok(());
    };
    let deliver = async |body: Bytes| {
        let request = testing::delivery(&prober.url.to_string(), body, secret);
        prober.send(request).await
    };
    let first = deliver(ids.text().body()).await;
    if !report_signed(&first, findings) {
        return Ok(());
    }
    let mut times = vec![first.time];
    for _ in 1..TIMED {
        times.push(deliver(ids.text().body()).await.time);
    }
    report_times(times, findings);

    let large = deliver(large(&mut ids)).await;
    if large.is(|status| status.is_success()) {
        findings.ok("large", format!("2.9 MB answered with {}", large.outcome()));
    } else {
        findings.error(
            "large_refused",
            format!("a delivery of 2.9 MB was answered with {}", large.outcome()),
            "Meta groups events into deliveries of up to 3 MB, and retries a refused one in vain",
            "raise the body limit of the service and of each proxy above 3 MB (nginx: \
             client_max_body_size)",
        );
    }
    let unknown = deliver(sample::unknown_type().id(ids.next()).body()).await;
    if unknown.is(|status| status.is_success()) {
        findings.ok(
            "unknown_kind",
            format!("answered with {}", unknown.outcome()),
        );
    } else {
        findings.error(
            "unknown_kind_refused",
            format!(
                "a message of an unknown type was answered with {}",
                unknown.outcome()
            ),
            "Meta adds types without notice, and retries refused ones for 7 days",
            "answer 200 to kinds that you do not need, and do not fail when one cannot be parsed",
        );
    }
    check_repeat(prober, &deliver, &mut ids, count_url, findings).await;
    Ok(())
}

/// Ids that differ in each run, so that a service does not take them for repeats.
struct Ids {
    run: String,
    count: usize,
}

impl Ids {
    fn new() -> Result<Self, Failure> {
        let run = getrandom::u64()
            .map_err(|error| Failure::caused("the system has no random numbers", &error))?;
        Ok(Self {
            run: format!("{run:016x}"),
            count: 0,
        })
    }

    fn next(&mut self) -> String {
        self.count += 1;
        format!("wamid.DOCTOR{}.{}", self.run, self.count)
    }

    fn text(&mut self) -> Sample {
        sample::text("A check by whatsapp-webhook doctor").id(self.next())
    }
}

/// One message, and white space up to the size: a service may answer or pay for each message.
fn large(ids: &mut Ids) -> Bytes {
    let mut body = ids.text().body().to_vec();
    let brace = body.iter().position(|byte| *byte == b'{');
    let start = brace.map_or(0, |brace| brace + 1);
    let padding = LARGE.saturating_sub(body.len());
    body.splice(start..start, std::iter::repeat_n(b' ', padding));
    body.into()
}

async fn check_unsigned(prober: &Prober, ids: &mut Ids, findings: &mut Findings) {
    let url = prober.url.to_string();
    let body = ids.text().body();
    let forged = testing::delivery(&url, body.clone(), "the secret of a forger");
    let unsigned = Request::post(&prober.url).header(header::CONTENT_TYPE, "application/json");
    // The URL was parsed before.
    if let Ok(unsigned) = unsigned.body(body) {
        let answer = prober.send(unsigned).await;
        if answer.is(|status| status.is_success()) {
            findings.error(
                "unsigned_accepted",
                format!(
                    "a delivery without a signature was answered with {}",
                    answer.outcome()
                ),
                FORGERY,
                "compare X-Hub-Signature-256 with the HMAC-SHA256 of the raw body, and answer 403",
            );
        } else {
            findings.ok("unsigned", format!("refused with {}", answer.outcome()));
        }
    }
    let answer = prober.send(forged).await;
    if answer.is(|status| status.is_success()) {
        findings.error(
            "forged_accepted",
            format!(
                "a delivery with a wrong signature was answered with {}",
                answer.outcome()
            ),
            FORGERY,
            "compare X-Hub-Signature-256 with the HMAC-SHA256 of the raw body, and answer 403",
        );
    } else {
        findings.ok("forged", format!("refused with {}", answer.outcome()));
    }
}

/// Returns whether it makes sense to send more.
fn report_signed(first: &Probed, findings: &mut Findings) -> bool {
    match first.status() {
        Some(StatusCode::OK) => findings.ok("signed", "answered with 200 OK"),
        Some(status) if status.is_success() => findings.error(
            "status_not_200",
            format!("a signed message was answered with {status}"),
            "Meta counts 200 only as received: it retries for 7 days",
            "answer 200",
        ),
        Some(status) if status.is_redirection() => {
            report_redirect(first, None, findings);
            return false;
        }
        _ => {
            findings.error(
                "signed_refused",
                format!("a signed message was answered with {}", first.outcome()),
                LOST,
                "401 or 403: compare the app secret, and exempt the path from authentication and \
                 CSRF checks; 404 or 405: answer POST on this path; 5xx: see the log of the service",
            );
            return false;
        }
    }
    true
}

fn report_times(times: Vec<Duration>, findings: &mut Findings) {
    let (severity, seen) = judge(times);
    let todo = "store the events, answer 200, and work on them afterwards";
    match severity {
        Severity::Error => findings.error(
            "slow",
            seen,
            "Meta asks for a median of 250 ms and less than 1 % above 1 s; it gives up on slow \
             answers and sends the events again",
            todo,
        ),
        Severity::Warning => findings.warning(
            "slow",
            seen,
            "Meta asks for a median of 250 ms and less than 1 % above 1 s",
            todo,
        ),
        Severity::Note | Severity::Ok => findings.ok("times", seen),
    }
}

fn judge(mut times: Vec<Duration>) -> (Severity, String) {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let max = times.last().copied().unwrap_or_default();
    let seen = format!(
        "median {} ms, longest {} ms",
        median.as_millis(),
        max.as_millis()
    );
    let severity = if median > Duration::from_secs(1) {
        Severity::Error
    } else if median > Duration::from_millis(250) || max > Duration::from_secs(1) {
        Severity::Warning
    } else {
        Severity::Ok
    };
    (severity, seen)
}

async fn check_repeat(
    prober: &Prober,
    deliver: &impl AsyncFn(Bytes) -> Probed,
    ids: &mut Ids,
    count_url: Option<&Uri>,
    findings: &mut Findings,
) {
    let body = ids.text().body();
    let before = count(prober, count_url).await;
    deliver(body.clone()).await;
    let repeat = deliver(body).await;
    if !repeat.is(|status| status.is_success()) {
        findings.error(
            "repeat_refused",
            format!(
                "the second delivery of a message was answered with {}",
                repeat.outcome()
            ),
            "Meta repeats deliveries, and retries until one is answered with 200",
            "answer 200 to events that were handled before",
        );
        return;
    }
    let after = count(prober, count_url).await;
    match (count_url, before.zip(after)) {
        (None, _) => findings.note(
            "repeat",
            "answered with 200; whether it was handled twice cannot be seen from outside",
            "give a URL that answers with the number of handled events: --count-url",
        ),
        (Some(_), None) => findings.warning(
            "repeat",
            "the URL of --count-url did not answer with a number",
            "whether repeats are handled twice is not known",
            "answer with the number of events handled so far, as plain digits",
        ),
        (Some(_), Some((before, after))) if after > before + 1 => findings.error(
            "repeat_handled_twice",
            format!(
                "a message that was sent twice was handled {} times",
                after - before
            ),
            "Meta repeats deliveries, so customers get two answers, and orders are placed twice",
            "deduplicate events by their id: a DedupLayer, or a unique key in your database",
        ),
        (Some(_), Some(_)) => findings.ok("repeat", "answered with 200, and handled once"),
    }
}

async fn count(prober: &Prober, url: Option<&Uri>) -> Option<u64> {
    let answer = prober.get(url?.clone()).await;
    std::str::from_utf8(answer.body()?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_judged_by_median_and_maximum_in_any_order() {
        for (times, severity, seen) in [
            ([1, 2, 3, 4, 5], Severity::Ok, "median 3 ms, longest 5 ms"),
            ([5, 1, 4, 2, 3], Severity::Ok, "median 3 ms, longest 5 ms"),
            // The first one is often slow: connections are made, caches are empty.
            (
                [900, 40, 30, 10, 20],
                Severity::Ok,
                "median 30 ms, longest 900 ms",
            ),
            (
                [2000, 10, 10, 10, 10],
                Severity::Warning,
                "median 10 ms, longest 2000 ms",
            ),
            (
                [10, 10, 2000, 10, 10],
                Severity::Warning,
                "median 10 ms, longest 2000 ms",
            ),
            (
                [251, 10, 251, 10, 251],
                Severity::Warning,
                "median 251 ms, longest 251 ms",
            ),
            (
                [250, 1000, 250, 250, 250],
                Severity::Ok,
                "median 250 ms, longest 1000 ms",
            ),
            (
                [1001, 10, 1500, 10, 1001],
                Severity::Error,
                "median 1001 ms, longest 1500 ms",
            ),
        ] {
            let judged = judge(times.map(Duration::from_millis).to_vec());
            assert_eq!(judged, (severity, seen.to_owned()), "{times:?}");
        }
    }
}
