//! `send` at a rate, in a pipe and in a terminal: its report is what the server counted.

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Extension, Router, routing::post};
use serde_json::Value;
use tokio::{net::TcpListener, task::spawn_blocking};
use tower_whatsapp::{Event, Notification, WebhookLayer, event::EventKey};

use crate::{ENV, SECRET, program};

const RATE: usize = 2000;

#[derive(Default)]
struct Counted {
    deliveries: usize,
    events: HashSet<EventKey>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_what_the_server_counted() {
    in_pipe_and_terminal(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes, and needs an optimised build"]
async fn the_report_of_two_minutes_is_what_the_server_counted() {
    in_pipe_and_terminal(60).await;
}

async fn in_pipe_and_terminal(seconds: usize) {
    for in_terminal in [false, true] {
        let counted = Arc::new(Mutex::new(Counted::default()));
        let url = serve(Arc::clone(&counted)).await;
        let mut sender = program();
        sender
            .args(["send", &url, "--json", "--seed", "5", "--timeout", "60"])
            .args(["--events", &(RATE * seconds).to_string()])
            .args(["--rate", &RATE.to_string()]);
        let mut sender = if in_terminal {
            terminal(&sender)
        } else {
            sender
        };
        sender.envs(ENV).stdin(Stdio::null());
        let output = spawn_blocking(move || sender.output().unwrap())
            .await
            .unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success(), "{out}{err}");

        // In a terminal, the bar is on the same screen.
        let start = out
            .rfind("{\"deliveries\"")
            .unwrap_or_else(|| panic!("{out}{err}"));
        let end = start + out[start..].rfind('}').unwrap() + 1;
        let report: Value = serde_json::from_str(&out[start..end]).unwrap();
        let counted = counted.lock().unwrap();
        // A delivery without a response may have been handled or not.
        let unanswered = (&report["failed"], &report["timed_out"]);
        assert_eq!(unanswered, (&0.into(), &0.into()), "{report}");
        assert_eq!(report["events"], RATE * seconds);
        assert_eq!(report["events"], counted.events.len());
        assert_eq!(report["deliveries"], counted.deliveries, "{report}");
        assert_eq!(report["statuses"]["200"], counted.deliveries);
        if in_terminal {
            assert!(
                out.contains(&format!("/{} events, ", RATE * seconds)),
                "{out}"
            );
            assert!(!out.contains(" s: "), "{out}");
        } else {
            assert!(err.contains("   1 s: "), "{err}");
            assert!(
                !err.contains('\u{1b}') && !out.contains('\u{1b}'),
                "{out}{err}"
            );
        }
        println!(
            "send: {} events in {} deliveries and {} s, {}; p99 {} ms, slowest {} ms",
            report["events"],
            report["deliveries"],
            report["seconds"],
            if in_terminal {
                "in a terminal"
            } else {
                "in a pipe"
            },
            report["latency_ms"]["p99"],
            report["latency_ms"]["max"]
        );
    }
}

/// Runs the command in a terminal of its own, by `script` of util-linux.
fn terminal(command: &Command) -> Command {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &words.join(" "),
        "/dev/null",
    ]);
    script
}

async fn serve(counted: Arc<Mutex<Counted>>) -> String {
    let handler = async move |Extension(notification): Extension<Notification>| {
        let keys: Vec<_> = notification.events().iter().map(Event::key).collect();
        let mut counted = counted.lock().unwrap();
        counted.deliveries += 1;
        counted.events.extend(keys);
    };
    let layer = WebhookLayer::new("/webhook", SECRET, ENV[1].1).unwrap();
    let app = Router::new().route("/webhook", post(handler)).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}/webhook")
}
