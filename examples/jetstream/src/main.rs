//! A WhatsApp webhook that hands every event to NATS JetStream, and the consumer behind it.
//!
//! ```text
//! nats-server -js -sd /var/lib/nats
//! WHATSAPP_APP_SECRET=… WHATSAPP_VERIFY_TOKEN=… cargo run -p example-jetstream
//! cargo run -p example-jetstream -- consume
//! ```
//!
//! A delivery is answered with 200 when the stream has acknowledged every event of it, else with 503, and Meta sends it again. An event
//! goes with its key as message id, so the stream keeps one of each: the same event in a delivery that is sent again, or that was sent
//! before the server or this process was killed, is acknowledged and not stored.
//!
//! `NATS_URL` is where the server is (`nats://127.0.0.1:4222`), with user and password or token if it wants some; `ADDR` is where to listen
//! (`127.0.0.1:3000`). The server's `max_payload` of 1 MB is more than a message of WhatsApp takes; but what is left of a delivery beyond
//! 32,768 events is one event of up to 4 MB, and is refused for as long as the server does not take it: 8 MB is what to set.

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

use self::settings::{interrupted, listen, until_interrupted, variable};

const STREAM: &str = "WHATSAPP";
const SUBJECTS: &str = "whatsapp.>";
const CONSUMER: &str = "printer";

/// For so long the stream knows the ids of its messages. The server's default of 2 minutes is shorter than the pauses that Meta makes between
/// its attempts, and those go on for 7 days; but every id takes some 100 bytes of the server's memory. An hour has most of them. It
/// complements the deduplication of whoever must not do a thing twice, and does not replace it.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// So long the server may take for one more acknowledgement. It takes some milliseconds; who waits for longer waits for a server that is gone.
const ACK_TIMEOUT: Duration = Duration::from_millis(700);

/// So long a delivery may take as a whole: Meta wants an answer, and one of ten thousands of events has some work in it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// So many events may be under way together: two deliveries of as many as there can be. One more is answered with 503.
const MAX_IN_FLIGHT: usize = 2 * 33_025;

/// The longest pause between two attempts to reach the server, or to make the stream.
const PAUSE: Duration = Duration::from_millis(500);

/// What the stream is made with if there is none. Who wants more replicas, an age or a limit makes the stream before.
fn stream() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        duplicate_window: DUPLICATE_WINDOW,
        ..stream::Config::default()
    }
}

/// Returns 200 only for what the stream has.
async fn on_event(
    State(jetstream): State<Context>,
    Extension(notification): Extension<Notification>,
) -> StatusCode {
    match timeout(DELIVERY_TIMEOUT, publish(&jetstream, notification.events())).await {
        Ok(Ok(())) => StatusCode::OK,
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Publishes all at once, then waits for all.
///
/// What was published before an error may come to be stored nevertheless, and is sent again by Meta: then the stream knows its id.
async fn publish(
    jetstream: &Context,
    events: &[Event],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // While there is no connection the client would keep what is published until there is one.
    if jetstream.client().connection_state() != Connection::Connected {
        return Err("there is no connection to the server".into());
    }
    let mut acks = Vec::with_capacity(events.len());
    for event in events {
        let mut message = PublishMessage::build().payload(event.to_queue());
        // A later event that says the same has the same key, and would be dropped by the stream.
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

/// `whatsapp.<phone number id>.<kind>`: consumers may want those of one number, or of one kind.
fn subject(event: &Event) -> String {
    // An id is digits. Anything else might be no part of a subject, or two.
    let number = event.phone_number_id().filter(|id| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
        !id.is_empty() && id.bytes().all(is_plain)
    });
    format!("whatsapp.{}.{}", number.unwrap_or("-"), event.kind())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let secret = variable("WHATSAPP_APP_SECRET")?.ok_or("WHATSAPP_APP_SECRET is not set")?;
    let token = variable("WHATSAPP_VERIFY_TOKEN")?.ok_or("WHATSAPP_VERIFY_TOKEN is not set")?;
    let whatsapp = WebhookLayer::new("/webhook", secret, token)?;

    let jetstream = ContextBuilder::new()
        .timeout(ACK_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        .max_ack_inflight(MAX_IN_FLIGHT)
        .backpressure_on_inflight(false)
        .build(connect().await?);
    // Until there is a stream nothing is acknowledged, so no delivery is answered with 200.
    tokio::spawn(make_stream(jetstream.clone()));
    let app = Router::new()
        .route("/webhook", post(on_event))
        .with_state(jetstream)
        .layer(whatsapp);

    let listener = listen("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    until_interrupted(async |signal| {
        axum::serve(listener, app)
            .with_graceful_shutdown(signal)
            .await
    })
    .await?;
    Ok(())
}

/// Reaches the server whenever it is there, now or later, and again whenever it was gone.
async fn connect() -> Result<Client, String> {
    let url = variable("NATS_URL")?.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| {
            PAUSE.min(Duration::from_millis(20) * attempts.min(100) as u32)
        })
        .connect(url)
        .await
        // The error might show the URL, which may have a password.
        .map_err(|_| "NATS_URL is no address of a server".to_owned())
}

async fn make_stream(jetstream: Context) {
    while jetstream.get_or_create_stream(stream()).await.is_err() {
        sleep(PAUSE).await;
    }
}

/// Prints every event of the stream, one line each: kind, id and key.
async fn consume() -> Result<(), Box<dyn Error>> {
    let client = connect().await?;
    let jetstream = ContextBuilder::new().build(client.clone());
    let print = async {
        loop {
            // Whatever goes wrong with the server goes by: what was not acknowledged comes again.
            if print_all(&jetstream).await.is_err() {
                sleep(PAUSE).await;
            }
        }
    };
    tokio::select! {
        () = print => {}
        () = interrupted() => {}
    }
    client.flush().await?;
    Ok(())
}

async fn print_all(jetstream: &Context) -> Result<(), async_nats::Error> {
    let stream = jetstream.get_or_create_stream(stream()).await?;
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

/// What the host would do with an event. It runs again if the acknowledgement is lost: a thing that must not be done twice goes into one
/// transaction with the event's key, or through a store of handled events.
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
        // This process is to be updated; it stays in the stream until then.
        Err(QueueError::LaterVersion) => AckKind::Nak(Some(Duration::from_secs(60))),
        // Somebody else's, who has published under these subjects: it will never be an event.
        Err(error) => {
            eprintln!("jetstream: {error}");
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
        _ => Err("usage: jetstream [consume]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jetstream: {error}");
            ExitCode::FAILURE
        }
    }
}
