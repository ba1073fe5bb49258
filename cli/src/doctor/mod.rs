//! `doctor`: checks a webhook from outside, and says what to mend.

mod args;
mod certificate;
mod deliveries;
mod finding;
mod graph;
mod handshake;
mod network;
mod probe;

use std::process::ExitCode;

use tokio::signal;
use tokio_rustls::rustls::RootCertStore;

pub(crate) use self::args::DoctorArgs;
use self::{finding::Findings, probe::Prober};
use crate::{client, failure::Failure, output, secret};

pub(crate) async fn run(args: DoctorArgs) -> Result<ExitCode, Failure> {
    let mut findings = Findings::new(args.json);
    tokio::select! {
        checked = check(&args, &mut findings) => checked?,
        _ = signal::ctrl_c() => {
            output::report("interrupted");
            return Ok(secret::INTERRUPTED.into());
        }
    }
    findings.sum_up()?;
    Ok(match findings.errors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn check(args: &DoctorArgs, findings: &mut Findings) -> Result<(), Failure> {
    let app_secret = match secret::optional(&args.secret_env)? {
        Some(_) => Some(secret::app_secret(&args.secret_env)?),
        None => None,
    };
    let token = secret::optional(&args.token_env)?;
    let with_tls = client::uses_tls(&args.url);
    let config = args.tls.config(with_tls)?;
    if let Some(address) = network::connect(&args.url, findings).await {
        let roots = match with_tls {
            true => args.tls.roots()?,
            false => RootCertStore::empty(),
        };
        // Secrets are not sent to a server whose certificate is wrong, or in clear over the
        // Internet.
        if network::check_tls(&args.url, address, roots, findings).await? {
            let prober = Prober {
                client: client::without_reuse(config),
                url: args.url.clone(),
                timeout: args.timeout,
            };
            handshake::check(&prober, token.as_deref(), findings).await?;
            let count_url = args.count_url.as_ref();
            deliveries::check(&prober, app_secret.as_deref(), count_url, findings).await?;
        } else {
            findings.note(
                "stopped",
                "no secret is sent without a good certificate, so the rest is not checked",
                "mend the certificate or the URL, and run the doctor again",
            );
        }
    }
    graph::check(args, findings).await
}
