//! What the Graph API says: is the app subscribed, and which URL does Meta call?

use bytes::Bytes;
use http::{Request, Uri, header};
use serde_json::Value;

use super::{DoctorArgs, finding::Findings, probe::Prober};
use crate::{
    client::{self, host_and_port},
    failure::Failure,
    secret,
};

const ELSEWHERE: &str = "Meta delivers to the other URL, and this one gets nothing";

pub(super) async fn check(args: &DoctorArgs, findings: &mut Findings) -> Result<(), Failure> {
    let is_asked = args.waba.is_some() || args.phone_number.is_some() || args.app.is_some();
    let Some(token) = secret::optional(&args.access_token_env)? else {
        if is_asked {
            return Err(Failure::usage(format!(
                "{} is not set: set it to an access token for the Graph API",
                args.access_token_env
            )));
        }
        return Ok(());
    };
    if !is_asked {
        findings.note(
            "graph",
            "not checked: there is an access token, but no id",
            "name what to look up: --waba, --phone-number or --app",
        );
        return Ok(());
    }
    let with_tls = client::uses_tls(&args.graph_url);
    let (host, _) = host_and_port(&args.graph_url);
    if !with_tls && host != "localhost" && host != "127.0.0.1" {
        return Err(Failure::usage("--graph-url must begin with https://"));
    }
    let graph = Graph {
        prober: Prober {
            client: client::without_reuse(args.tls.config(with_tls)?),
            url: args.graph_url.clone(),
            timeout: args.timeout,
        },
        authorization: format!("Bearer {token}"),
    };
    if let Some(waba) = &args.waba
        && let Some(answer) = graph
            .get(&format!("{waba}/subscribed_apps"), findings)
            .await
    {
        report_subscribed(&answer, &args.url, findings);
    }
    if let Some(number) = &args.phone_number
        && let Some(answer) = graph
            .get(&format!("{number}?fields=webhook_configuration"), findings)
            .await
    {
        report_configuration(&answer, &args.url, findings);
    }
    if let Some(app) = &args.app
        && let Some(answer) = graph.get(&format!("{app}/subscriptions"), findings).await
    {
        report_fields(&answer, &args.url, findings);
    }
    Ok(())
}

struct Graph {
    prober: Prober,
    /// In a header: URLs get into logs.
    authorization: String,
}

impl Graph {
    async fn get(&self, path: &str, findings: &mut Findings) -> Option<Value> {
        let base = self.prober.url.to_string();
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        let request = Request::get(url)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Bytes::new())
            .ok()?;
        let answer = self.prober.send(request).await;
        let body = answer
            .body()
            .and_then(|body| serde_json::from_slice::<Value>(body).ok());
        if answer.is(|status| status.is_success()) && body.is_some() {
            return body;
        }
        let message = body
            .as_ref()
            .and_then(|body| body.pointer("/error/message")?.as_str());
        findings.error(
            "graph_refused",
            format!(
                "{path}: {}: {}",
                answer.outcome(),
                message.unwrap_or("no explanation")
            ),
            "what Meta has stored is not known",
            "use an access token with whatsapp_business_management, and the id of this account",
        );
        None
    }
}

fn report_subscribed(answer: &Value, url: &Uri, findings: &mut Findings) {
    let apps = answer
        .get("data")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if apps.is_empty() {
        findings.error(
            "not_subscribed",
            "no app is subscribed to the WhatsApp Business Account",
            "Meta sends nothing, although the dashboard is green",
            "POST /<WABA_ID>/subscribed_apps with the access token of your app",
        );
        return;
    }
    let overrides = apps
        .iter()
        .filter_map(|app| app.get("override_callback_uri")?.as_str());
    let overrides: Vec<_> = overrides.filter(|other| !is_same(other, url)).collect();
    if overrides.is_empty() {
        findings.ok(
            "subscribed",
            format!("{} apps are subscribed to the account", apps.len()),
        );
    } else {
        findings.error(
            "callback_overridden",
            format!(
                "the account overrides the callback URL: {}",
                overrides.join(", ")
            ),
            ELSEWHERE,
            "POST /<WABA_ID>/subscribed_apps without override_callback_uri, or with this URL",
        );
    }
}

/// The number's URL wins over that of the account, and that over the app's.
fn report_configuration(answer: &Value, url: &Uri, findings: &mut Findings) {
    let configured = ["phone_number", "whatsapp_business_account", "application"];
    let configured = configured.into_iter().find_map(|level| {
        let other = answer
            .pointer(&format!("/webhook_configuration/{level}"))?
            .as_str()?;
        Some((level, other))
    });
    match configured {
        None => findings.error(
            "callback_missing",
            "Meta has no callback URL for the phone number",
            "it sends nothing",
            "enter the URL in the dashboard: WhatsApp, Configuration",
        ),
        Some((level, other)) if !is_same(other, url) => findings.error(
            "callback_elsewhere",
            format!("the callback URL of the {level} is {other}"),
            ELSEWHERE,
            "set this URL there, or run the doctor with the other one",
        ),
        Some((level, _)) => findings.ok("callback", format!("this URL, set at the {level}")),
    }
}

fn report_fields(answer: &Value, url: &Uri, findings: &mut Findings) {
    let subscriptions = answer.get("data").and_then(Value::as_array);
    let ours = subscriptions.into_iter().flatten().find(|subscription| {
        subscription.get("object").and_then(Value::as_str) == Some("whatsapp_business_account")
    });
    let fields: Vec<_> = ours
        .and_then(|ours| ours.get("fields")?.as_array())
        .into_iter()
        .flatten()
        .filter_map(|field| field.get("name").or(Some(field))?.as_str())
        .collect();
    if !fields.contains(&"messages") {
        findings.error(
            "field_missing",
            format!(
                "the subscribed fields are: {}",
                if fields.is_empty() {
                    "none".to_owned()
                } else {
                    fields.join(", ")
                }
            ),
            "without `messages` there are no messages and no statuses",
            "subscribe to `messages` in the dashboard: WhatsApp, Configuration",
        );
    } else {
        findings.ok("fields", fields.join(", "));
    }
    let other = ours.and_then(|ours| ours.get("callback_url")?.as_str());
    if let Some(other) = other.filter(|other| !is_same(other, url)) {
        findings.error(
            "callback_elsewhere",
            format!("the callback URL of the app is {other}"),
            ELSEWHERE,
            "enter this URL in the dashboard: WhatsApp, Configuration",
        );
    }
}

fn is_same(other: &str, url: &Uri) -> bool {
    other.parse().is_ok_and(|other: Uri| other == *url)
}
