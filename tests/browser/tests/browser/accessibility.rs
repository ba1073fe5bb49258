//! axe-core finds nothing serious, in any state of the page.

use std::fs;

use serde_json::Value;
use tower_whatsapp::testing::sample;

use crate::{browser::Browser, server::Server};

/// Rules of WCAG 2.2, level AA, and the good practices of axe.
async fn check(browser: &Browser, axe: &str, state: &str) {
    let found = browser.run(axe, "axe.run(document)").await;
    let violations = found["violations"].as_array();
    let violations = violations.unwrap_or_else(|| panic!("{state}: {found}"));
    let passes = found["passes"].as_array().unwrap().len();
    let describe = |one: &Value| {
        let nodes = one["nodes"].as_array().unwrap().iter();
        let nodes: Vec<_> = nodes
            .map(|node| node["html"].as_str().unwrap())
            .take(3)
            .collect();
        format!("{} {}: {}", one["impact"], one["id"], nodes.join(" | "))
    };
    let all: Vec<_> = violations.iter().map(describe).collect();
    println!(
        "axe: {state}: {passes} rules pass, {} do not: {all:?}",
        all.len()
    );
    let is_bad = |one: &&Value| one["impact"] == "serious" || one["impact"] == "critical";
    assert_eq!(
        violations.iter().filter(is_bad).count(),
        0,
        "{state}: {all:#?}"
    );
    assert!(passes > 10, "{state}: axe did not look at the page");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium, and axe-core in AXE"]
async fn axe_finds_nothing_serious() {
    let path = std::env::var("AXE").expect("AXE is the path of axe.min.js (npm package axe-core)");
    let axe = fs::read_to_string(path).unwrap();
    let server = Server::start();
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    check(&browser, &axe, "empty").await;

    let body = sample::text("hello").and(sample::unknown_type()).body();
    server.deliver(std::str::from_utf8(&body).unwrap()).await;
    server.deliver_signed("{}", "other").await;
    server.get("/elsewhere").await;
    browser
        .until("document.querySelectorAll('.row').length === 3")
        .await;
    browser.press("jjj").await;
    browser.until("document.querySelector('.views')").await;
    browser
        .eval("document.querySelectorAll('.event').forEach((one) => { one.open = true; })")
        .await;
    check(&browser, &axe, "opened").await;
    browser.press("k").await;
    browser.shows("#facts", "signature_mismatch").await;
    check(&browser, &axe, "refused").await;
    for dialog in ["send", "help"] {
        browser.click(&format!("#open-{dialog}")).await;
        check(&browser, &axe, dialog).await;
        browser.click(&format!("#close-{dialog}")).await;
    }
    browser.dark().await;
    browser.press("j").await;
    browser.until("document.querySelector('.views')").await;
    check(&browser, &axe, "dark").await;
    browser.resize(360, 740).await;
    check(&browser, &axe, "narrow list").await;
    browser.click(".row").await;
    browser.until("document.querySelector('.views')").await;
    check(&browser, &axe, "narrow detail").await;
}
