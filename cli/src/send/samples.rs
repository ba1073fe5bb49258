//! Sends samples once each, instead of traffic.

use std::process::ExitCode;

use http_body_util::Full;
use serde_json::json;
use tokio::{
    signal,
    time::{Instant, timeout},
};
use tower_whatsapp::testing::{self, Sample, sample};

use super::SendArgs;
use crate::{
    client::{Answer, Client},
    failure::{Failure, chain},
    output, secret,
};

pub(super) async fn send(
    args: &SendArgs,
    client: &Client,
    secret: &str,
) -> Result<ExitCode, Failure> {
    let samples = selected(&args.samples);
    let width = samples
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut code = ExitCode::SUCCESS;
    for (name, sample) in samples {
        let request = testing::delivery(&args.url.to_string(), sample.body(), secret);
        let start = Instant::now();
        let sending = timeout(args.timeout, async {
            let response = client.request(request.map(Full::new)).await?;
            Ok::<_, hyper_util::client::legacy::Error>(Answer::read(response).await)
        });
        let outcome = tokio::select! {
            outcome = sending => outcome,
            _ = signal::ctrl_c() => return Ok(secret::INTERRUPTED.into()),
        };
        let millis = start.elapsed().as_secs_f64() * 1000.0;
        let (status, error) = match outcome {
            Ok(Ok(answer)) => (Some(answer.status().as_u16()), None),
            Ok(Err(error)) => (None, Some(chain(&error))),
            Err(_) => {
                let seconds = args.timeout.as_secs_f64();
                (None, Some(format!("no response within {seconds} s")))
            }
        };
        if status != Some(200) {
            code = ExitCode::FAILURE;
        }
        let line = if args.json {
            let line = json!({ "sample": name, "status": status, "error": error, "ms": millis });
            output::json_line(&line).unwrap_or_default()
        } else {
            let status = status.map_or_else(|| error.unwrap_or_default(), |code| code.to_string());
            format!("{name:width$}  {status}  {millis:.1} ms\n")
        };
        output::print(line)?;
    }
    Ok(code)
}

fn selected(names: &[String]) -> Vec<(&'static str, Sample)> {
    let all = sample::all().into_iter();
    all.filter(|(name, _)| names.iter().any(|wanted| wanted == name || wanted == "all"))
        .collect()
}
