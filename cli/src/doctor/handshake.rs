//! The handshake, right and wrong.

use http::{StatusCode, header};

use super::{
    finding::Findings,
    probe::{Probed, Prober},
};
use crate::{client::handshake_url, failure::Failure};

const CHALLENGE: &str = "1158201444";
const MARKUP: &str = "<script>1</script>";
/// Not a token that anybody has.
const WRONG_TOKEN: &str = "whatsapp-webhook-doctor-wrong-token";

const UNREGISTERED: &str = "Meta does not register the URL: it wants 200 and exactly the challenge";

pub(super) async fn check(
    prober: &Prober,
    token: Option<&str>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let ask = |token: &str, challenge: &str| handshake_url(&prober.url, token, challenge);
    match token {
        Some(token) => {
            let right = prober.get(ask(token, CHALLENGE)?).await;
            report_right(&right, findings);
            report_redirect(&right, Some(token), findings);
            if !right.is_redirect() {
                report_markup(&prober.get(ask(token, MARKUP)?).await, findings);
            }
        }
        None => findings.note(
            "handshake",
            "not checked: there is no verify token",
            "set WHATSAPP_VERIFY_TOKEN",
        ),
    }
    let wrong = prober.get(ask(WRONG_TOKEN, CHALLENGE)?).await;
    if wrong.is(|status| status.is_success()) {
        findings.error(
            "wrong_token_accepted",
            format!(
                "a handshake with a wrong token was answered with {}",
                wrong.outcome()
            ),
            "anyone can register your URL for an app of theirs",
            "compare hub.verify_token with your token, and answer 403 if it differs",
        );
    } else if token.is_none() {
        report_redirect(&wrong, Some(WRONG_TOKEN), findings);
    } else {
        findings.ok("wrong_token", format!("refused with {}", wrong.outcome()));
    }
    Ok(())
}

fn report_right(right: &Probed, findings: &mut Findings) {
    if right.is_redirect() {
        return;
    }
    if right.status() != Some(StatusCode::OK) {
        findings.error(
            "handshake_refused",
            format!(
                "the handshake with your token was answered with {}",
                right.outcome()
            ),
            UNREGISTERED,
            "403: compare the token with that of the service; 404: the path; 405: answer GET too",
        );
        return;
    }
    let is_exact = right.body() == Some(CHALLENGE.as_bytes());
    match (is_exact, right.is_html()) {
        (true, false) => findings.ok("handshake", "200 and the challenge"),
        (true, true) => findings.error(
            "challenge_html",
            "the challenge is sent as text/html",
            "the challenge comes from the request: as HTML it can carry scripts into a browser",
            "send it as text/plain",
        ),
        (false, true) => findings.error(
            "challenge_html",
            "the challenge is sent inside of an HTML page",
            UNREGISTERED,
            "send the challenge alone, as text/plain",
        ),
        (false, false) => findings.error(
            "challenge_changed",
            "the body is not the challenge",
            UNREGISTERED,
            "send the text of hub.challenge alone, without quotes or a line break",
        ),
    }
}

pub(super) fn report_redirect(probed: &Probed, token: Option<&str>, findings: &mut Findings) {
    if !probed.is_redirect() {
        return;
    }
    let location = probed.header(header::LOCATION).unwrap_or("-");
    let shows_token = token.is_some_and(|token| {
        let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        location.contains(token) || location.contains(&encoded)
    });
    // Without the query, which may have the token.
    let target = location.split(['?', '#']).next().unwrap_or_default();
    findings.error(
        "redirect",
        format!("{} to {target}", probed.outcome()),
        "Meta does not follow redirects: it neither registers the URL nor delivers to it",
        "enter the URL after the redirect in Meta's dashboard (https, host, trailing slash)",
    );
    if shows_token {
        findings.error(
            "token_in_redirect",
            "the redirect repeats hub.verify_token in its Location",
            "the token gets into the logs of the target and of everything in between",
            "do not redirect the webhook, then change the token",
        );
    }
}

/// The library answers 400; an echo as plain text is harmless too.
fn report_markup(probed: &Probed, findings: &mut Findings) {
    let body = probed.body().unwrap_or_default();
    let is_echoed = body
        .windows(MARKUP.len())
        .any(|window| window == MARKUP.as_bytes());
    let sniffed = probed.header(header::CONTENT_TYPE).is_none();
    if is_echoed && (probed.is_html() || sniffed) {
        findings.error(
            "challenge_reflected",
            "a challenge with markup comes back as HTML",
            "a link with your token runs scripts on your domain (cross-site scripting)",
            "refuse a challenge with other characters than letters, digits, - and _",
        );
    } else {
        findings.ok(
            "challenge_markup",
            format!("answered with {}", probed.outcome()),
        );
    }
}
