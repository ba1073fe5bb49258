//! A bot whose answers take seconds, on a durable inbox in one SQLite file.
//!
//! ```text
//! export WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=…
//! cargo run -p example-inbox -- inbox.db     # listens on 127.0.0.1:3000/webhook
//! cargo run -p example-inbox -- --demo       # sends messages, kills the bot, starts it again
//! ```

mod bot;
mod demo;
#[path = "../../common/settings.rs"]
#[allow(dead_code, reason = "the arguments say where to listen")]
mod settings;

use std::{env, error::Error};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--demo"] => demo::run().await,
        [file] => bot::run(file, "127.0.0.1:3000").await,
        [file, address] => bot::run(file, address).await,
        _ => Err("usage: example-inbox FILE [ADDRESS] | --demo".into()),
    }
}
