//! A simulated Meta: sends signed deliveries to your webhook, with Meta's duplicates and retries,
//! and reports the responses.
//!
//! ```text
//! WHATSAPP_APP_SECRET=… cargo run -p example-fake-meta -- \
//!     http://127.0.0.1:3000/webhook --events 5000 --rate 500
//! ```
//!
//! | option | default | |
//! |---|---|---|
//! | `--events N` | 1000 | number of distinct events |
//! | `--rate N` | 100 | events per second, independent of the responses: latency counts from the time at which a delivery was due |
//! | `--mix KIND=N,…` | as `Simulator` | proportion of the kinds: `messages`, `statuses`, `group_statuses`, `edits`, `accounts`, `unknown` |
//! | `--batch N` | 1000 | maximum number of events per delivery; most have few |
//! | `--concurrency N` | 64 | maximum number of deliveries in flight |
//! | `--duplicate P` | 0.05 | probability that a delivery is sent twice |
//! | `--repeat P` | 0.05 | probability that an event is sent again after a 200 |
//! | `--time-scale X` | 0.00001 | factor for Meta's retry intervals: 7 days of retries take 6 seconds |
//! | `--seed N` | 0 | the same seed sends the same events, except for timestamps |
//! | `--secret-env NAME` | `WHATSAPP_APP_SECRET` | environment variable with the app secret |
//! | `--token-env NAME` | `WHATSAPP_VERIFY_TOKEN` | environment variable with the verify token; if set, the handshake is sent first |
//! | `--ca FILE` | system roots | PEM file with the CAs that may sign the server's certificate |
//! | `--client-cert FILE` | none | PEM file with the client certificate and its intermediates |
//! | `--client-key FILE` | none | PEM file with the key of the client certificate |
//!
//! Every second it prints a line of progress to standard error, and at the end a report. The exit
//! code is 0 if the certificate and the handshake were accepted and every event was answered with
//! 200 in the end. It uses HTTP/1. For an `https` URL it first verifies the server's certificate as
//! Meta does: a certificate that is self-signed, expired, for another name, or without its
//! intermediate cannot be registered, and gets no deliveries.

mod tls;

use std::{
    env,
    error::Error,
    iter,
    process::ExitCode,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::{Instant, interval, timeout};
use tower_whatsapp::testing::{DeliveryOutcome, Simulator, Traffic};

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

const CHALLENGE: &str = "1158201444";

struct Options {
    url: Uri,
    token: Option<String>,
    tls: tls::Files,
    simulator: Simulator,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut url = None;
        let (mut secret_env, mut token_env) = (
            "WHATSAPP_APP_SECRET".to_owned(),
            "WHATSAPP_VERIFY_TOKEN".to_owned(),
        );
        let mut tls = tls::Files::default();
        // `Simulator::new` needs the secret, whose variable may be named last. So the settings are
        // collected first and applied to the simulator below.
        let mut settings: Vec<Box<dyn FnOnce(Simulator) -> Simulator>> = Vec::new();
        while let Some(name) = arguments.next() {
            if !name.starts_with("--") {
                if url.replace(name.parse()?).is_some() {
                    return Err("more than one URL".into());
                }
                continue;
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            let wrong = || format!("{name} does not take {value:?}");
            match &*name {
                "--events" => {
                    let events = number(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| simulator.events(events)));
                }
                "--rate" => {
                    let rate: f64 = number(&value).ok_or_else(wrong)?;
                    if rate.is_nan() || rate <= 0.0 {
                        return Err(wrong().into());
                    }
                    settings.push(Box::new(move |simulator| simulator.rate(rate)));
                }
                "--mix" => {
                    let mix = mix(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| simulator.mix(mix)));
                }
                "--batch" => {
                    let batch = number(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| simulator.max_batch_size(batch)));
                }
                "--concurrency" => {
                    let deliveries = number(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| simulator.concurrency(deliveries)));
                }
                "--duplicate" => {
                    let probability = probability(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| {
                        simulator.duplicate_probability(probability)
                    }));
                }
                "--repeat" => {
                    let probability = probability(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| {
                        simulator.redelivery_probability(probability)
                    }));
                }
                "--time-scale" => {
                    let factor: f64 = number(&value).ok_or_else(wrong)?;
                    if !(0.0..=1000.0).contains(&factor) {
                        return Err(wrong().into());
                    }
                    settings.push(Box::new(move |simulator| simulator.time_scale(factor)));
                }
                "--seed" => {
                    let seed = number(&value).ok_or_else(wrong)?;
                    settings.push(Box::new(move |simulator| simulator.seed(seed)));
                }
                "--secret-env" => secret_env = value,
                "--token-env" => token_env = value,
                "--ca" => tls.ca = Some(value),
                "--client-cert" => tls.client_cert = Some(value),
                "--client-key" => tls.client_key = Some(value),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        let url: Uri = url.ok_or(
            "usage: fake_meta URL [OPTION VALUE]…; options: see examples/fake_meta/src/main.rs",
        )?;
        match url.scheme_str() {
            Some("https") => {}
            Some("http") if tls.is_empty() => {}
            Some("http") => return Err("certificate options need a URL with https://".into()),
            _ => return Err("the URL must begin with https:// or http://".into()),
        }
        let secret = env::var(&secret_env).map_err(|_| {
            format!("{secret_env} is not set: use the app secret of the service under test")
        })?;
        if secret.trim().is_empty() {
            return Err(format!(
                "{secret_env} is blank: use the app secret of the service under test"
            )
            .into());
        }
        #[expect(clippy::disallowed_methods, reason = "timestamps of the events")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let simulator = Simulator::new(secret)
            .path(url.to_string())
            .events(1000)
            .duplicate_probability(0.05)
            .redelivery_probability(0.05)
            .time_scale(0.00001)
            .timestamp(now.as_secs());
        let simulator = settings
            .into_iter()
            .fold(simulator, |simulator, set| set(simulator));
        Ok(Self {
            url,
            token: env::var(token_env).ok(),
            tls,
            simulator,
        })
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn probability(text: &str) -> Option<f64> {
    number(text).filter(|probability| (0.0..=1.0).contains(probability))
}

fn mix(text: &str) -> Option<Vec<(Traffic, u32)>> {
    let part = |part: &str| {
        let (name, weight) = part.split_once('=')?;
        let known = |traffic: &Traffic| traffic.as_str() == name;
        Some((Traffic::ALL.into_iter().find(known)?, number(weight)?))
    };
    text.split(',').map(part).collect()
}

/// Sends the handshake that Meta sends when a URL is registered.
async fn handshake(client: &HttpClient, url: &Uri, token: &str) -> Result<(), Box<dyn Error>> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.verify_token", token)
        .append_pair("hub.challenge", CHALLENGE)
        .finish();
    let separator = if url.query().is_some() { '&' } else { '?' };
    let url = format!("{url}{separator}{query}").parse()?;
    let response = timeout(Duration::from_secs(5), client.get(url)).await??;
    let status = response.status();
    let body = Limited::new(response.into_body(), 1024).collect().await;
    let body = body.map_err(|_| "the response to the handshake is incomplete or too long")?;
    if status != StatusCode::OK || body.to_bytes() != CHALLENGE {
        return Err(format!(
            "the handshake was answered with {status}, not with 200 and the challenge"
        )
        .into());
    }
    println!("handshake             ok");
    Ok(())
}

/// Counts of responses so far.
#[derive(Default)]
struct Progress {
    ok: AtomicUsize,
    failed: AtomicUsize,
    events: AtomicUsize,
}

impl Progress {
    async fn print_every_second(&self) {
        let start = Instant::now();
        let mut seconds = interval(Duration::from_secs(1));
        seconds.tick().await;
        let mut before = 0;
        loop {
            seconds.tick().await;
            let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
            let events = count(&self.events);
            eprintln!(
                "{:4} s: {} deliveries answered with 200, {} failed; {} events/s",
                start.elapsed().as_secs(),
                count(&self.ok),
                count(&self.failed),
                events - before,
            );
            before = events;
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let connector = options.tls.connector(&options.url).await?;
    let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
    if let Some(token) = &options.token {
        handshake(&client, &options.url, token).await?;
    }
    let progress = Arc::new(Progress::default());
    let simulator = options.simulator.on_delivery({
        let progress = Arc::clone(&progress);
        move |delivery| {
            let ok = delivery.outcome() == DeliveryOutcome::Status(StatusCode::OK);
            let counter = if ok { &progress.ok } else { &progress.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            let events = delivery.events().len();
            progress.events.fetch_add(events, Ordering::Relaxed);
        }
    });
    let printer = tokio::spawn(async move { progress.print_every_second().await });
    let report = simulator.run(client, Full::new).await;
    printer.abort();
    println!("{report}");
    Ok(if report.unacknowledged().next().is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Options::parse(env::args().skip(1)) {
        Ok(options) => run(options).await,
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        let causes = iter::successors(error.source(), |&error| error.source());
        let causes: String = causes.map(|cause| format!(": {cause}")).collect();
        eprintln!("fake_meta: {error}{causes}");
        ExitCode::FAILURE
    })
}
