use std::net::SocketAddr;

use clap::Args;

/// Receives webhooks, and shows them on a live page
///
/// It prints the callback URL and the verify token for Meta's dashboard, and the address of the
/// page. The page shows the bodies of messages: keep its address to yourself. The webhook and the
/// page have a port each, so that a tunnel to the webhook does not publish the page. Nothing is
/// stored on disk, and nothing is sent elsewhere, except what you resend.
///
/// On loopback every user and program of the machine can open the page. It can also have any body
/// signed with the app secret, and sent to an address of its choice.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  whatsapp-webhook serve
  WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… whatsapp-webhook serve --listen 127.0.0.1:8080
  cloudflared tunnel --url http://127.0.0.1:3000    # in another terminal: makes it public")]
pub(crate) struct ServeArgs {
    /// Address of the webhook
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(super) listen: SocketAddr,
    /// Path of the webhook
    #[arg(long, value_name = "PATH", default_value = "/webhook")]
    pub(super) path: String,
    /// Address of the page; other than loopback, its URL gets a secret token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    pub(super) page: SocketAddr,
    /// Host name under which a browser may open the page, besides addresses; its URL then gets a
    /// secret token; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) page_host: Vec<String>,
    /// Maximum number of kept requests; beyond it, the oldest go
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) keep: u32,
    /// Maximum size of all kept requests in MiB; beyond it, the oldest go
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub(super) keep_mib: u32,
    /// Environment variable with the app secret; without it, one is made
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_APP_SECRET")]
    pub(super) secret_env: String,
    /// Environment variable with the verify token; without it, one is made
    #[arg(long, value_name = "NAME", default_value = "WHATSAPP_VERIFY_TOKEN")]
    pub(super) token_env: String,
}
