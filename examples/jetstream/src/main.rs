//! A WhatsApp webhook that publishes every event to NATS JetStream, and a consumer
//! that prints the events.
//!
//! ```text
//! # each in its own terminal
//! nats-server -js -sd /var/lib/nats
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p example-jetstream
//! cargo run -p example-jetstream -- consume
//! ```
//!
//! The consumer prints kind, id and key of each event. A delivery is answered with 200 after the
//! stream has acknowledged all of its events, else with 503, so that Meta retries it. The event's
//! key is the message id, so JetStream drops duplicates: of a retried delivery, or of one that was
//! published before a crash.
//!
//! `NATS_URL` is the address of the server (`nats://127.0.0.1:4222`), with user and password or
//! token if it needs them. `ADDR` is the address to listen on (`127.0.0.1:3000`).
//!
//! Set the server's `max_payload` to 8 MB. The default of 1 MB is enough for any single message,
//! but the events of a delivery beyond the 32,768th arrive together as one event of up to 4 MB. The
//! server would refuse it on every retry.

#[path = "../../common/settings.rs"]
mod settings;

use std::{env, error::Error, process::ExitCode, time::Duration};

use async_nats::{
    Client, ConnectOptions,
    connection::State as Connection,
    jetstream::{
        AckKind, Context, ContextBuilder, Message,
        consumer::pull,
        message::PublishMessage,
        stream::{self, StorageType},
    },
};
use axum::{Extension, Router, extract::State, http::StatusCode, routing::post};
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tower_whatsapp::{Event, Notification, WebhookLayer, event::QueueError};

use self::settings::{listen, optional, required, run_until_signal, stop_signal};

const STREAM: &str = "WHATSAPP";
const SUBJECTS: &str = "whatsapp.>";
const CONSUMER: &str = "printer";

/// Time for which the stream remembers message ids. The server's default of 2 minutes is shorter
/// than the intervals between Meta's retries, which go on for 7 days. Each id takes about 100 bytes
/// of server memory, and an hour covers most retries. Consumers that must not handle an event twice
/// need their own deduplication as well.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Timeout for one acknowledgement, which normally takes milliseconds.
const ACK_TIMEOUT: Duration = Duration::from_millis(700);

/// Timeout for all events of one delivery. A delivery can have tens of thousands of events, and
/// Meta waits only some seconds for a response.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of published events without an acknowledgement: two deliveries of the maximum
/// size. Beyond it, deliveries are answered with 503.
const MAX_IN_FLIGHT: usize = 2 * 33_025;

/// Maximum delay between attempts to reach the server, or to create the stream.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Configuration of the stream if it does not exist. Create it yourself to have replicas, an age
/// limit or a size limit.
fn stream_config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        duplicate_window: DUPLICATE_WINDOW,
        ..stream::Config::default()
    }
}

/// Returns 200 only if the stream has stored all events.
async fn on_event(
    State(jetstream): State<Context>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match timeout(DELIVERY_TIMEOUT, publish(&jetstream, notification.events())).await {
        Ok(Ok(())) => StatusCode::OK,
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Publishes all events, then waits for all acknowledgements.
///
/// Events that were published before an error may still be stored. When Meta sends them again, the
/// stream recognises their ids.
async fn publish(
    jetstream: &Context,
    events: &[Event],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Without a connection, the client would queue messages until it has one.
    if jetstream.client().connection_state() != Connection::Connected {
        return Err("not connected to the NATS server".into());
    }
    let mut acks = Vec::with_capacity(events.len());
    for event in events {
        let mut message = PublishMessage::build().payload(event.to_queue());
        // Without this check, a later event with the same content would have the same
        // key and be dropped.
        if event.is_distinguishable() {
            message = message.message_id(event.key().to_string());
        }
        acks.push(jetstream.send_publish(subject(event), message).await?);
    }
    for ack in acks {
        ack.await?;
    }
    Ok(())
}

/// Subject `whatsapp.<phone number id>.<kind>`, so that consumers can filter by number and kind.
fn subject(event: &Event) -> String {
    // An id normally is digits. Other characters could be invalid in a subject, or split it.
    let number = event.phone_number_id().filter(|id| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
        !id.is_empty() && id.bytes().all(is_plain)
    });
    format!("whatsapp.{}.{}", number.unwrap_or("-"), event.kind())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = required("WHATSAPP_APP_SECRET")?;
    let token = required("WHATSAPP_VERIFY_TOKEN")?;
    let whatsapp = WebhookLayer::new("/webhook", secret, token)?;

    let jetstream = ContextBuilder::new()
        .timeout(ACK_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        .max_ack_inflight(MAX_IN_FLIGHT)
        .backpressure_on_inflight(false)
        .build(connect().await?);
    // No delivery is answered with 200 until the stream exists.
    tokio::spawn(create_stream(jetstream.clone()));
    let app = Router::new()
        .route("/webhook", post(on_event))
        .with_state(jetstream)
        .layer(whatsapp);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    run_until_signal(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    Ok(())
}

/// Connects in the background, and reconnects after every failure.
async fn connect() -> Result<Client, String> {
    let url = optional("NATS_URL")?.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| {
            MAX_RETRY_DELAY.min(Duration::from_millis(20) * attempts.min(100) as u32)
        })
        .connect(url)
        .await
        // The error could contain the URL, which may have a password.
        .map_err(|_| "NATS_URL is not valid: use nats://HOST:PORT".to_owned())
}

async fn create_stream(jetstream: Context) {
    while jetstream
        .get_or_create_stream(stream_config())
        .await
        .is_err()
    {
        sleep(MAX_RETRY_DELAY).await;
    }
}

/// Prints every event of the stream, one line each: kind, id and key.
async fn consume() -> Result<(), Box<dyn Error>> {
    let client = connect().await?;
    let jetstream = ContextBuilder::new().build(client.clone());
    let print = async {
        loop {
            // Server failures are temporary, and unacknowledged messages are delivered again.
            if print_all(&jetstream).await.is_err() {
                sleep(MAX_RETRY_DELAY).await;
            }
        }
    };
    tokio::select! {
        () = print => {}
        () = stop_signal() => {}
    }
    client.flush().await?;
    Ok(())
}

async fn print_all(jetstream: &Context) -> Result<(), async_nats::Error> {
    let stream = jetstream.get_or_create_stream(stream_config()).await?;
    let config = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(CONSUMER, config).await?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        message.ack_with(handle(&message)).await?;
    }
    Ok(())
}

/// Handles one event. It runs again if the acknowledgement is lost. If handling twice would do
/// harm, record the event's key in the same transaction, or use a deduplication store.
fn handle(message: &Message) -> AckKind {
    match Notification::from_queue(message.payload.clone()) {
        Ok(notification) => {
            for event in notification.events() {
                println!(
                    "{} {:?} {}",
                    event.kind(),
                    event.id().unwrap_or("-"),
                    event.key()
                );
            }
            AckKind::Ack
        }
        // A newer version of the library wrote it. It stays in the stream until this
        // process is updated.
        Err(QueueError::LaterVersion) => AckKind::Nak(Some(Duration::from_secs(60))),
        // Not an event: another program publishes to these subjects. Retrying cannot help.
        Err(error) => {
            eprintln!("jetstream: message discarded: {error}");
            AckKind::Term
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => serve().await,
        ["consume"] => consume().await,
        _ => Err("usage: cargo run -p example-jetstream -- [consume]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jetstream: {error}");
            ExitCode::FAILURE
        }
    }
}
