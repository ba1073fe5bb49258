//! `--demo`: runs the same server and sends it what Meta sends, and what attackers send.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, channel::Channel};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpStream;

use crate::{
    app,
    common::{Printer, listen},
    credentials::Credentials,
};

/// Limit for the whole demo, which takes about a second.
const DEMO_TIMEOUT: Duration = Duration::from_secs(45);

/// One byte more than the layer's default body limit.
const OVER_THE_LIMIT: usize = 4 * 1024 * 1024 + 1;

const CHALLENGE: &str = "1158201444";

type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// One request and its documented outcome.
struct Step {
    sent: &'static str,
    request: Request<Body>,
    status: StatusCode,
    /// Expected response body, or "" for an empty one.
    response: &'static str,
    /// Expected start of each line that the server prints.
    printed: Vec<String>,
}

pub(crate) async fn run() -> Result<ExitCode, Box<dyn Error>> {
    tokio::time::timeout(DEMO_TIMEOUT, run_steps())
        .await
        .map_err(|_| format!("the demo did not end within {DEMO_TIMEOUT:?}"))?
}

async fn run_steps() -> Result<ExitCode, Box<dyn Error>> {
    let credentials = Credentials::from_env()?;
    let (secret, token) = (
        &*credentials.app_secret.value,
        &*credentials.verify_token.value,
    );
    let lines = CapturedLines::default();
    let app = app(secret, token, Printer::new(lines.clone()))?;
    let listener = listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}\n");
    tokio::spawn(async { axum::serve(listener, app).await });

    let mut table = vec![["sent", "expected", "got", "ok"].map(String::from)];
    let mut excerpt = Vec::new();
    let mut all_ok = true;
    for step in steps(secret, token)? {
        let expected = outcome(step.status, step.response, step.printed.len());
        let response = send(address, step.request).await;
        let printed = lines.take();
        let got = match &response {
            Ok((status, body)) => outcome(*status, body, printed.len()),
            Err(error) => error.to_string(),
        };
        let as_expected = |(line, start): (&String, &String)| line.starts_with(start);
        let ok = got == expected && printed.iter().zip(&step.printed).all(as_expected);
        all_ok &= ok;
        let verdict = if ok { "yes" } else { "NO" };
        table.push([step.sent, &expected, &got, verdict].map(String::from));
        excerpt.extend(shorten(printed));
    }

    let mut out = io::stdout().lock();
    write_table(&table, &mut out)?;
    writeln!(out, "\nThe server printed:\n")?;
    for line in excerpt {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "\n{}",
        if all_ok {
            "All as documented."
        } else {
            "NOT as documented."
        }
    )?;
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn steps(secret: &str, token: &str) -> Result<Vec<Step>, Box<dyn Error>> {
    let message = delivery(&[json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550000001", "phone_number_id": "100000000000001" },
        "contacts": [{ "profile": { "name": "Ada" }, "wa_id": "16505550001" }],
        "messages": [{
            "from": "16505550001",
            "id": "wamid.A",
            "timestamp": "1760000000",
            "type": "text",
            // The second line imitates a log line, to show that it is escaped.
            "text": { "body": "hi\nstatus wamid.Z read to 16505550001" },
        }],
    })]);
    let statuses: Vec<_> = (0..1000).map(status).collect();
    let batch = delivery(&statuses);
    let unknown = delivery(&[json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550000001", "phone_number_id": "100000000000001" },
        "messages": [{
            "from": "16505550001",
            "id": "wamid.B",
            "timestamp": "1760000000",
            "type": "hologram",
            "hologram": { "depth": 3 },
        }],
    })]);
    let zeros = vec![b'0'; OVER_THE_LIMIT];

    let signed = |body: &[u8]| {
        let signature = sign(secret.as_bytes(), body);
        post("/webhook", Some(&signature), body.to_owned())
    };
    let step = |sent, request, status, response, printed| Step {
        sent,
        request,
        status,
        response,
        printed,
    };
    Ok(vec![
        step(
            "handshake",
            handshake(token, CHALLENGE)?,
            StatusCode::OK,
            CHALLENGE,
            vec![],
        ),
        step(
            "handshake, wrong token",
            handshake(&format!("{token}?"), CHALLENGE)?,
            StatusCode::FORBIDDEN,
            "",
            vec![],
        ),
        step(
            "handshake, challenge %3Cscript%3E",
            handshake(token, "<script>")?,
            StatusCode::BAD_REQUEST,
            "",
            vec![],
        ),
        step(
            "text message",
            signed(&message)?,
            StatusCode::OK,
            "",
            vec!["message wamid.A text from 16505550001 \"hi\\nstatus ".into()],
        ),
        step(
            "text message, signed with another secret",
            post(
                "/webhook",
                Some(&sign(b"another secret", &message)),
                message.clone(),
            )?,
            StatusCode::FORBIDDEN,
            "",
            vec![],
        ),
        step(
            "text message, body modified after signing",
            post(
                "/webhook",
                Some(&sign(secret.as_bytes(), &message)),
                [&*message, b" "].concat(),
            )?,
            StatusCode::FORBIDDEN,
            "",
            vec![],
        ),
        step(
            "text message, no signature",
            post("/webhook", None, message.clone())?,
            StatusCode::FORBIDDEN,
            "",
            vec![],
        ),
        step(
            "text message by PUT",
            with_method(Method::PUT, signed(&message)?),
            StatusCode::METHOD_NOT_ALLOWED,
            "",
            vec![],
        ),
        step(
            "batch of 1000 statuses",
            signed(&batch)?,
            StatusCode::OK,
            "",
            (0..1000)
                .map(|n| format!("status wamid.{n:04} delivered to "))
                .collect(),
        ),
        step(
            "message of an unknown type",
            signed(&unknown)?,
            StatusCode::OK,
            "",
            vec!["message wamid.B hologram from 16505550001 unknown type, field messages, ".into()],
        ),
        step(
            "4194305 bytes, with Content-Length",
            oversized(sign(secret.as_bytes(), &zeros))?,
            StatusCode::PAYLOAD_TOO_LARGE,
            "",
            vec![],
        ),
        step(
            "4194305 bytes, chunked",
            chunked(signed(&zeros)?),
            StatusCode::PAYLOAD_TOO_LARGE,
            "",
            vec![],
        ),
        step(
            "ordinary route",
            Request::get("/").body(Body::Left(Full::default()))?,
            StatusCode::OK,
            "An ordinary route.\n",
            vec![],
        ),
    ])
}

fn delivery(values: &[Value]) -> Vec<u8> {
    let changes: Vec<_> = values
        .iter()
        .map(|value| json!({ "field": "messages", "value": value }))
        .collect();
    let entry = json!({ "id": "200000000000001", "changes": changes });
    json!({ "object": "whatsapp_business_account", "entry": [entry] })
        .to_string()
        .into_bytes()
}

fn status(n: u32) -> Value {
    let recipient = format!("1650555{n:04}");
    json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550000001", "phone_number_id": "100000000000001" },
        "contacts": [{ "profile": { "name": "Ada" }, "wa_id": recipient, "user_id": format!("US.1000000000{n:04}") }],
        "statuses": [{
            "id": format!("wamid.{n:04}"),
            "status": "delivered",
            "timestamp": "1760000000",
            "recipient_id": recipient,
            "recipient_user_id": format!("US.1000000000{n:04}"),
            "conversation": { "id": format!("{n:032x}"), "origin": { "type": "utility" } },
            "pricing": { "billable": true, "pricing_model": "PMP", "category": "utility", "type": "regular" },
        }],
    })
}

fn handshake(token: &str, challenge: &str) -> http::Result<Request<Body>> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.verify_token", token)
        .append_pair("hub.challenge", challenge)
        .finish();
    Request::get(format!("/webhook?{query}")).body(Body::Left(Full::default()))
}

fn post(path: &str, signature: Option<&str>, body: Vec<u8>) -> http::Result<Request<Body>> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(signature) = signature {
        request = request.header("X-Hub-Signature-256", signature);
    }
    request.body(Body::Left(Full::new(body.into())))
}

/// A request with a `Content-Length` over the limit, whose body is never sent. The response must
/// not wait for the body.
fn oversized(signature: String) -> http::Result<Request<Body>> {
    let (sender, body) = Channel::new(1);
    // Dropping the sender would end the body.
    std::mem::forget(sender);
    Request::post("/webhook")
        .header(header::CONTENT_LENGTH, OVER_THE_LIMIT)
        .header("X-Hub-Signature-256", signature)
        .body(Body::Right(body))
}

fn chunked(mut request: Request<Body>) -> Request<Body> {
    let value = header::HeaderValue::from_static("chunked");
    request
        .headers_mut()
        .insert(header::TRANSFER_ENCODING, value);
    request
}

fn with_method(method: Method, mut request: Request<Body>) -> Request<Body> {
    *request.method_mut() = method;
    request
}

fn sign(secret: &[u8], body: &[u8]) -> String {
    // HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Each request uses its own connection, because a rejection may close it.
async fn send(
    address: SocketAddr,
    mut request: Request<Body>,
) -> Result<(StatusCode, String), Box<dyn Error>> {
    let host = address.to_string().parse()?;
    request.headers_mut().insert(header::HOST, host);
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn outcome(status: StatusCode, body: &str, printed: usize) -> String {
    let mut text = status.as_u16().to_string();
    if !body.is_empty() {
        text += &format!(" {body:?}");
    }
    if printed > 0 {
        text += &format!(", {printed} printed");
    }
    text
}

fn shorten(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > 3 {
        let more = lines.len() - 2;
        lines.truncate(2);
        lines.push(format!("… and {more} more"));
    }
    lines
}

fn write_table(table: &[[String; 4]], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let [first, second, third] = [width(0), width(1), width(2)];
    for [sent, expected, got, ok] in table {
        writeln!(out, "{sent:first$}  {expected:second$}  {got:third$}  {ok}")?;
    }
    Ok(())
}

/// Captures the lines that the server prints, to count and compare them.
#[derive(Clone, Default)]
struct CapturedLines {
    written: Arc<Mutex<Vec<u8>>>,
}

impl CapturedLines {
    fn take(&self) -> Vec<String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = std::mem::take(&mut *written);
        let text = String::from_utf8_lossy(&written);
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for CapturedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
