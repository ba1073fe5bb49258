//! Large deliveries, and many.

use std::process::Stdio;

use serde_json::{Value, json};
use test_support::{
    process::{Process, command},
    webhook::ENV,
};
use tokio::task::spawn_blocking;
use tower_whatsapp::testing::sample;

use crate::{browser::Browser, server::Server};

/// A page is quick if a key is drawn within this time.
const KEY_PRESS_MS: f64 = 100.0;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_delivery_of_3_mb_opens() {
    let server = Server::start();
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    let text = "A long text. ".repeat(200);
    let body = sample::text(text).repeat(1100).id("wamid.LARGE").body();
    assert!(
        (2_900_000..4_000_000).contains(&body.len()),
        "{}",
        body.len()
    );
    assert_eq!(
        server.deliver(std::str::from_utf8(&body).unwrap()).await,
        200
    );
    browser.shows("#rows", "1100 events").await;
    browser.press("j").await;
    browser.shows("#facts", "1100 events").await;
    browser
        .until("document.querySelectorAll('.event').length === 50")
        .await;
    browser.click("#more").await;
    browser
        .until("document.querySelectorAll('.event').length === 100")
        .await;
    // Found in a delivery that is not drawn as a whole.
    browser.press("f").await;
    browser.press("wamid.LARGE.77\u{e007}").await;
    browser.shows("#found", "1 of 1").await;
    assert_eq!(browser.console_errors().await, [""; 0]);
}

/// Sends this number of deliveries with one message each, as fast as they are answered.
async fn send(server: &Server, count: usize, seed: &str) {
    let mut sender = command("whatsapp-webhook");
    let (url, count) = (
        format!("http://{}/webhook", server.webhook),
        count.to_string(),
    );
    sender
        .args([
            "send", &url, "--events", &count, "--batch", "1", "--rate", "1000000",
        ])
        .args([
            "--mix",
            "messages=1",
            "--duplicate",
            "0",
            "--repeat",
            "0",
            "--seed",
            seed,
            "--timeout",
            "60",
        ])
        .envs(ENV)
        .stdin(Stdio::null());
    let output = spawn_blocking(move || Process::spawn(&mut sender).end());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn heap(browser: &Browser) -> f64 {
    browser
        .devtools("HeapProfiler.collectGarbage", json!({}))
        .await;
    let usage = browser.devtools("Runtime.getHeapUsage", json!({})).await;
    usage["usedSize"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn with_10_000_deliveries_memory_is_flat_and_the_page_is_quick() {
    const COUNT: usize = 10_000;
    let server = Server::start();
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    send(&server, COUNT, "1").await;
    browser.until("rows.length === 10000").await;
    let (page, program) = (heap(&browser).await, server.memory());
    for seed in ["2", "3"] {
        send(&server, COUNT, seed).await;
        browser
            .until(&format!(
                "totals.last >= {seed}0000 && rows.length === 10000"
            ))
            .await;
    }
    let (page_after, program_after) = (heap(&browser).await, server.memory());
    // Each run sends a handshake too.
    browser
        .shows("#gone", "The oldest 20003 requests are gone")
        .await;

    // From the event of a key until the next frame is drawn.
    browser.eval("(window.times = [], document.addEventListener('keydown', (event) => { const start = performance.now(); requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - start))); }, true))").await;
    for _ in 0..20 {
        browser.press("j").await;
    }
    browser.press("/").await;
    for letter in ["s", "a", "m", "p", "l", "e"] {
        browser.press(letter).await;
    }
    browser.until("times.length >= 27").await;
    let times: Vec<Value> = browser.eval("times").await.as_array().unwrap().clone();
    let mut times: Vec<_> = times.iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_unstable_by(f64::total_cmp);
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "browser: 10,000 deliveries kept, then 30,000 sent: page {:.1} then {:.1} MB, program {:.1} then {:.1} MB, {} keys: median {median:.1} ms, slowest {slowest:.1} ms",
        page / 1e6,
        page_after / 1e6,
        program as f64 / 1e6,
        program_after as f64 / 1e6,
        times.len()
    );
    assert!(page_after < page * 1.25 + 2e6, "{page} {page_after}");
    assert!(program_after < 150_000_000, "{program_after}");
    // The slowest key depends on what else the machine does.
    assert!(median < KEY_PRESS_MS, "{times:?}");
    browser.picture("many").await;
    assert_eq!(browser.console_errors().await, [""; 0]);
}
