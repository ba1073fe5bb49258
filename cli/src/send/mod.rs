//! `send`: a simulated Meta that sends signed deliveries, and reports the responses.

mod args;
mod progress;
mod samples;

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use http::{StatusCode, Uri};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{signal, time::timeout};
use tower_whatsapp::testing::{Report, Simulator};

pub(crate) use self::args::{SendArgs, seconds};
use self::progress::Progress;
use crate::{
    client::{self, Answer, Client},
    failure::Failure,
    output, secret,
};

const CHALLENGE: &str = "1158201444";

pub(crate) async fn run(args: SendArgs) -> Result<ExitCode, Failure> {
    let with_tls = client::uses_tls(&args.url);
    if !with_tls && !args.tls.is_empty() {
        return Err(Failure::usage(
            "options of certificates need a URL with https://",
        ));
    }
    let secret = secret::app_secret(&args.secret_env)?;
    let token = secret::optional(&args.token_env)?;
    let config = args.tls.config(with_tls)?;
    let say = |line: &str| match args.json {
        true => Ok(()),
        false => output::print(format_args!("{line}\n")),
    };
    if with_tls {
        client::check_certificate(config.clone(), &args.url).await?;
        say("certificate           ok")?;
    }
    let client = client::new(config);
    if let Some(token) = &token {
        handshake(&client, &args.url, token).await?;
        say("handshake             ok")?;
    }
    if args.samples.is_empty() {
        simulate(&args, client, secret).await
    } else {
        samples::send(&args, &client, &secret).await
    }
}

/// Sends the handshake that Meta sends when a URL is registered.
async fn handshake(client: &Client, url: &Uri, token: &str) -> Result<(), Failure> {
    let url = client::handshake_url(url, token, CHALLENGE)?;
    let answer = timeout(client::PATIENCE, async {
        Ok::<_, hyper_util::client::legacy::Error>(Answer::read(client.get(url).await?).await)
    });
    let answer = answer
        .await
        .map_err(|_| Failure::new("the handshake was not answered within 5 s"))?
        .map_err(|error| Failure::caused("the handshake failed", &error))?;
    let status = answer.status();
    if status == StatusCode::OK && answer.body.as_deref() == Some(CHALLENGE.as_bytes()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the handshake was answered with {status}, not with 200 and the challenge: compare the \
         verify token and the path with those of the service"
    )))
}

async fn simulate(args: &SendArgs, client: Client, secret: String) -> Result<ExitCode, Failure> {
    let progress = Progress::new(args.events);
    let simulator = simulator(args, secret).on_delivery({
        let progress = progress.clone();
        move |delivery| progress.record(delivery)
    });
    let report = tokio::select! {
        report = simulator.run(client, Full::new) => Some(report),
        _ = signal::ctrl_c() => None,
    };
    let interrupted = progress.finish();
    let Some(report) = report else {
        output::report(format_args!("interrupted: {interrupted}"));
        return Ok(secret::INTERRUPTED.into());
    };
    output::print(match args.json {
        true => format!("{}\n", to_json(&report)),
        false => format!("{report}\n{}\n", throughput(&report)),
    })?;
    Ok(if report.unacknowledged().next().is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn simulator(args: &SendArgs, secret: String) -> Simulator {
    #[expect(clippy::disallowed_methods, reason = "timestamps of the events")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let simulator = Simulator::new(secret)
        .path(args.url.to_string())
        .events(args.events)
        .rate(args.rate)
        .max_batch_size(args.batch)
        .concurrency(args.concurrency)
        .duplicate_probability(args.duplicate)
        .redelivery_probability(args.repeat)
        .regroup_probability(args.regroup)
        .response_timeout(args.timeout)
        .time_scale(args.time_scale)
        .seed(args.seed)
        .timestamp(now.unwrap_or_default().as_secs());
    match &args.mix {
        Some(mix) => simulator.mix(mix.iter().copied()),
        None => simulator,
    }
}

fn throughput(report: &Report) -> String {
    let seconds = report.elapsed().as_secs_f64();
    let rate = report.events().len() as f64 / seconds.max(0.001);
    format!("time                  {seconds:.1} s, {rate:.0} events/s")
}

fn to_json(report: &Report) -> Value {
    let millis = |quantile| {
        let latency = report.latency_quantile(quantile);
        latency.map(|latency| (latency.as_secs_f64() * 1e6).round() / 1000.0)
    };
    let statuses = report.status_codes().iter();
    let statuses: serde_json::Map<_, _> = statuses
        .map(|(status, count)| (status.to_string(), json!(count)))
        .collect();
    json!({
        "events": report.events().len(),
        "unacknowledged": report.unacknowledged().count(),
        "redelivered": report.redeliveries(),
        "deliveries": report.deliveries().len(),
        "retries": report.retries(),
        "statuses": statuses,
        "timed_out": report.timed_out(),
        "failed": report.failed(),
        "latency_ms": {
            "p50": millis(0.5), "p90": millis(0.9), "p99": millis(0.99), "max": millis(1.0),
        },
        "fraction_above_1_s": report.fraction_slower_than(Duration::from_secs(1)),
        "seconds": report.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use clap::Parser;
    use http::{Request, Response};
    use tokio::time::sleep;
    use tower::service_fn;
    use tower_whatsapp::testing::DeliveryOutcome;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SendArgs,
    }

    /// The clock is virtual: it goes on when all tasks wait.
    #[tokio::test(start_paused = true)]
    async fn traffic_waits_for_a_response_as_many_seconds_as_the_option_says() {
        let answered = DeliveryOutcome::Status(StatusCode::OK);
        for (timeout, answered_after, outcome) in [
            ("0.05", 40, answered),
            ("0.05", 60, DeliveryOutcome::TimedOut),
            ("1.5", 1490, answered),
            ("1.5", 1510, DeliveryOutcome::TimedOut),
            ("5", 4990, answered),
            ("5", 5010, DeliveryOutcome::TimedOut),
        ] {
            let line = "send http://127.0.0.1/webhook --events 1 --duplicate 0 --repeat 0";
            let line = line.split(' ').chain(["--timeout", timeout]);
            let Line { args } = Line::try_parse_from(line).unwrap();
            let webhook = service_fn(move |_: Request<Bytes>| async move {
                sleep(Duration::from_millis(answered_after)).await;
                Ok::<_, Infallible>(Response::new(()))
            });
            let simulator = simulator(&args, "a secret".to_owned());
            let report = simulator.run(webhook, |body| body).await;
            let first = report.deliveries()[0].outcome();
            assert_eq!(first, outcome, "{timeout} {answered_after}");
        }
    }
}
