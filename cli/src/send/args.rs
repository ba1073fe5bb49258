use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use clap::Args;
use http::Uri;
use tower_whatsapp::testing::{Traffic, sample};

use crate::{client::parse_url, tls::TlsArgs};

/// Sends signed deliveries to a webhook as Meta does, and reports the responses
///
/// It makes events, groups them, and sends them with Meta's duplicates, retries and redeliveries.
/// It uses HTTP/1. For an https URL it first verifies the server's certificate as Meta does.
///
/// Exit code: 0 if every event was answered with 200 in the end, 1 if not, 2 for wrong options.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  export WHATSAPP_APP_SECRET=secret
  whatsapp-webhook send http://127.0.0.1:3000/webhook --events 5000 --rate 500
  whatsapp-webhook send http://127.0.0.1:3000/webhook --sample text --sample image")]
pub(crate) struct SendArgs {
    /// URL of the webhook
    #[arg(value_parser = parse_url)]
    pub(super) url: Uri,
    /// Number of different events
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) events: usize,
    /// Events per second, independent of the responses: latency counts from the due time
    #[arg(long, value_name = "N", default_value = "100", value_parser = rate)]
    pub(super) rate: f64,
    /// Proportion of the kinds: messages, statuses, group_statuses, edits, accounts, unknown
    #[arg(long, value_name = "KIND=N,…", value_parser = Mix::from_str)]
    pub(super) mix: Option<Mix>,
    /// Maximum number of events per delivery; most have few
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) batch: usize,
    /// Maximum number of deliveries in flight
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(super) concurrency: usize,
    /// Probability that a delivery is sent twice
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = probability)]
    pub(super) duplicate: f64,
    /// Probability that an event is sent again after a 200
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = probability)]
    pub(super) repeat: f64,
    /// Probability that a retry is regrouped with events of other deliveries
    #[arg(long, value_name = "P", default_value = "0.5", value_parser = probability)]
    pub(super) regroup: f64,
    /// Seconds after which the sender hangs up without a response
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub(super) timeout: Duration,
    /// Factor for Meta's retry intervals: with the default, 7 days of retries take 6 seconds
    #[arg(long, value_name = "X", default_value = "0.00001", value_parser = time_scale)]
    pub(super) time_scale: f64,
    /// The same seed sends the same events, except for timestamps
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Send only this sample, once; may be repeated. `all` sends each sample
    #[arg(long = "sample", value_name = "NAME", value_parser = sample_name)]
    pub(super) samples: Vec<String>,
    /// Environment variable with the app secret
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_APP_SECRET")]
    pub(super) secret_env: String,
    /// Environment variable with the verify token; if it is set, the handshake is sent first
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_VERIFY_TOKEN")]
    pub(super) token_env: String,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

/// Kinds of traffic and their weights.
#[derive(Debug, Clone)]
pub(super) struct Mix(Vec<(Traffic, u32)>);

impl Mix {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, (Traffic, u32)> {
        self.0.iter()
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (name, weight) = part.split_once('=')?;
            let known = |traffic: &Traffic| traffic.as_str() == name;
            let traffic = Traffic::ALL.iter().copied().find(known)?;
            Some((traffic, weight.parse().ok()?))
        };
        let parts: Option<Vec<_>> = text.split(',').map(part).collect();
        let names: Vec<_> = Traffic::ALL
            .iter()
            .map(|traffic| traffic.as_str())
            .collect();
        let names = names.join(", ");
        parts
            .map(Self)
            .ok_or_else(|| format!("write messages=4,statuses=1; the kinds are {names}"))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, f64::MIN_POSITIVE..=1e9)
}

fn probability(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0)
}

fn time_scale(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1000.0)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 0.001..=3600.0).map(Duration::from_secs_f64)
}

fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (from, to) = (range.start(), range.end());
    let from = if *from == f64::MIN_POSITIVE {
        "above 0".to_owned()
    } else {
        format!("at least {from}")
    };
    number.ok_or_else(|| format!("give a number, {from} and at most {to}"))
}

fn sample_name(name: &str) -> Result<String, String> {
    if name == "all" || sample::named(name).is_some() {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = sample::all().into_iter().map(|(name, _)| name).collect();
    Err(format!("the samples are all, {}", names.join(", ")))
}
