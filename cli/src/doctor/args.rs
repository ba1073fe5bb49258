use std::time::Duration;

use clap::Args;
use http::Uri;

use crate::{client::parse_url, send::seconds, tls::TlsArgs};

/// Checks a webhook from outside, as Meta would call it
///
/// It checks DNS, the certificate, the handshake, signatures, a large delivery, an unknown kind of
/// event, a repeat, and answer times. For each finding it prints what was seen, why it matters, and
/// what to do. It sends nine signed deliveries of one sample message each, with made-up ids: the
/// service handles them like others. No secret is sent to a server with a wrong certificate, or
/// without TLS to a public address.
///
/// Exit code: 0 without errors (warnings do not count), 1 for errors, 2 for wrong options.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  export WHATSAPP_APP_SECRET=secret WHATSAPP_VERIFY_TOKEN=token
  whatsapp-webhook doctor https://example.com/webhook
  WHATSAPP_ACCESS_TOKEN=… whatsapp-webhook doctor https://example.com/webhook --waba 1234")]
pub(crate) struct DoctorArgs {
    /// URL of the webhook, as in Meta's dashboard
    #[arg(value_parser = parse_url)]
    pub(super) url: Uri,
    /// Environment variable with the app secret; without it, no signed delivery is sent
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_APP_SECRET")]
    pub(super) secret_env: String,
    /// Environment variable with the verify token; without it, the right handshake is not sent
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_VERIFY_TOKEN")]
    pub(super) token_env: String,
    /// URL that answers with the number of events handled so far, to see whether a repeat counts
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(super) count_url: Option<Uri>,
    /// Seconds to wait for each answer
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(super) timeout: Duration,
    /// Print one JSON object per finding
    #[arg(long)]
    pub(super) json: bool,
    /// Environment variable with an access token for the Graph API
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_ACCESS_TOKEN")]
    pub(super) access_token_env: String,
    /// Id of the WhatsApp Business Account to look up in the Graph API
    #[arg(long, value_name = "ID", value_parser = digits)]
    pub(super) waba: Option<String>,
    /// Id of the phone number to look up in the Graph API
    #[arg(long, value_name = "ID", value_parser = digits)]
    pub(super) phone_number: Option<String>,
    /// Id of the app to look up in the Graph API; needs an app access token
    #[arg(long, value_name = "ID", value_parser = digits)]
    pub(super) app: Option<String>,
    /// Base URL of the Graph API
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://graph.facebook.com/v26.0",
        value_parser = parse_url
    )]
    pub(super) graph_url: Uri,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

fn digits(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an id has digits only".to_owned()),
    }
}
