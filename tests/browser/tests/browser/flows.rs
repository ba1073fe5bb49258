//! What a person does with the page.

use std::{fs, time::Duration};

use serde_json::json;
use test_support::webhook::{HANDSHAKE, text};
use tokio::time::sleep;
use tower_whatsapp::testing::sample;

use crate::{
    browser::{Browser, CONTROL_V, DOWN, END, ENTER, ESCAPE, TAB},
    server::Server,
};

/// Markup that would tell on itself if it ran.
const HOSTILE: &str = "</script><img src=x onerror=\"window.ran=1\"><script>window.ran=1</script>\
    <svg onload=window.ran=1>javascript:window.ran=1";

async fn start() -> (Server, Browser) {
    let server = Server::start();
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    (server, browser)
}

async fn end(browser: Browser) {
    assert_eq!(browser.console_errors().await, [""; 0]);
}

/// The same after one request to this path was refused: the browser reports it, and nothing else.
async fn end_after_refusal(browser: Browser, path: &str) {
    let errors = browser.console_errors().await;
    let is_expected = matches!(&*errors, [error] if error.contains(path));
    assert!(is_expected, "{errors:?}");
}

/// A delivery with this text and id.
fn message(id: &str, text: &str) -> String {
    let body = sample::text(text).id(id).profile_name("Ada").body();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn the_first_start_says_what_to_do() {
    let (server, browser) = start().await;
    browser.shows("#connection", "connected").await;
    browser
        .shows("#url", &format!("http://{}/webhook", server.webhook))
        .await;
    browser
        .shows("#empty", "No request yet. Send a sample")
        .await;
    browser
        .shows(
            "#private",
            "shows the bodies of messages. Nothing is sent elsewhere",
        )
        .await;
    browser.shows("#detail-heading", "No request is open").await;
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn requests_arrive_live_and_refused_ones_say_why() {
    let (server, browser) = start().await;
    assert_eq!(
        server
            .deliver(&message("wamid.A", "Is the shop open?"))
            .await,
        200
    );
    browser.shows("#rows", "Ada: Is the shop open?").await;
    browser.shows("#rows", "delivery 200 message text").await;
    // A screen reader hears of it.
    browser
        .shows("#news", "New: delivery 200 message text Ada")
        .await;
    assert_eq!(server.get(HANDSHAKE).await, 200);
    browser.shows("#rows", "handshake 200").await;
    assert_eq!(server.get("/elsewhere").await, 404);
    browser.shows("#rows", "other path 404").await;
    assert_eq!(
        server
            .deliver(&message("wamid.A", "Is the shop open?"))
            .await,
        200
    );
    browser.shows("#rows", "repeat of 1").await;

    assert_eq!(
        server
            .deliver_signed(&message("wamid.B", "secret text"), "other")
            .await,
        403
    );
    browser
        .shows("#rows", "refused 403 signature_mismatch")
        .await;
    browser.click(".row:has(.refused)").await;
    browser
        .shows("#facts", "signature_mismatch: the signature does not match")
        .await;
    browser
        .shows("#advice", "compare the secret with App settings > Basic")
        .await;
    browser
        .shows("#facts", "not kept: its signature was not verified")
        .await;
    assert!(!browser.text("body").await.contains("secret text"));
    browser.picture("refused").await;
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn filters_narrow_the_list() {
    let (server, browser) = start().await;
    server.deliver(&message("wamid.A", "apples")).await;
    server.deliver(&message("wamid.B", "pears")).await;
    let other = sample::named("image")
        .unwrap()
        .display_phone_number("15550000777")
        .body();
    server.deliver(std::str::from_utf8(&other).unwrap()).await;
    server
        .deliver_signed(&message("wamid.C", "plums"), "other")
        .await;
    browser
        .until("document.querySelectorAll('.row').length === 4")
        .await;

    browser.set("#verdict", "refused").await;
    browser.shows("#shown", "1 of 4").await;
    browser.set("#verdict", "").await;
    browser.set("#kind", "message image").await;
    browser.shows("#shown", "1 of 4").await;
    browser.set("#kind", "").await;
    browser.set("#number", "15550000777").await;
    browser.shows("#shown", "1 of 4").await;
    browser.set("#number", "").await;
    browser.press("/").await;
    browser.press("PEARS").await;
    browser.shows("#shown", "1 of 4").await;
    browser.shows("#rows", "pears").await;
    // A text that is only in the body.
    browser.set("#text", "wamid.a").await;
    browser.shows("#shown", "1 of 4").await;
    browser.shows("#rows", "apples").await;
    browser.set("#text", "").await;
    browser.shows("#shown", "4").await;
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn an_opened_delivery_shows_the_typed_view_the_raw_json_and_unread_keys() {
    let (server, browser) = start().await;
    let body = message("wamid.A", "hello").replace(
        "\"type\":\"text\"",
        "\"type\":\"text\",\"mood\":{\"name\":\"merry\",\"levels\":[{\"deep\":{\"deeper\":\"needle\"}}],\"big\":12345678901234567890}",
    );
    assert_eq!(server.deliver(&body).await, 200);
    browser.shows("#rows", "unread keys").await;
    browser.click(".row").await;
    browser.shows(".views", "Typed view").await;
    browser
        .shows(".views section:first-child .tree", "\"hello\"")
        .await;
    browser
        .shows(".views section:nth-child(2) .tree", "mood")
        .await;
    browser
        .shows(".views > p", "Not read by this version: mood")
        .await;
    browser
        .until("document.querySelector('summary.unread')?.textContent.startsWith('mood')")
        .await;

    // What is folded is found, and opened.
    assert_eq!(
        browser
            .eval("document.body.textContent.includes('needle')")
            .await,
        false
    );
    browser.press("f").await;
    browser.press(&format!("needle{ENTER}")).await;
    browser.shows("#found", "1 of 1").await;
    browser.shows(".hit", "deeper: \"needle\"").await;
    // Large numbers keep their digits.
    browser
        .shows(".views section:nth-child(2) .tree", "12345678901234567890")
        .await;
    browser.picture("opened").await;
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn one_key_copies_the_raw_json() {
    let (server, browser) = start().await;
    let body = message("wamid.A", "Grüße \u{1f600}");
    server.deliver(&body).await;
    browser.until("document.querySelector('.row')").await;
    browser.press("j").await;
    browser.shows(".views", "Typed view").await;
    browser.press("c").await;
    browser.shows("#copy", "Copied").await;
    browser.press("s").await;
    browser.set("#sample", "").await;
    browser.click("#pasted").await;
    browser.press(CONTROL_V).await;
    let pasted = browser
        .eval("document.querySelector('#pasted').value")
        .await;
    assert_eq!(pasted, body);
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn samples_are_sent_signed_or_forged_and_json_can_be_pasted() {
    let (_server, browser) = start().await;
    browser.click("#open-send").await;
    browser.set("#sample", "image").await;
    browser.picture("send").await;
    browser.click("#send-form button[type=submit]").await;
    browser.shows("#sent", "answered 200, request 1").await;
    browser.click("input[value=forged]").await;
    browser.click("#send-form button[type=submit]").await;
    browser.shows("#sent", "answered 403, request 2").await;
    browser.click("input[value=signed]").await;
    browser.set("#sample", "").await;
    browser.set("#pasted", &text("wamid.pasted")).await;
    browser.click("#send-form button[type=submit]").await;
    browser.shows("#sent", "answered 200, request 3").await;
    browser.set("#pasted", "{").await;
    browser.click("#send-form button[type=submit]").await;
    browser.shows("#sent", "answered 422, request 4").await;
    browser.click("#close-send").await;
    for words in [
        "message image",
        "signature_mismatch",
        "sent by this page",
        "not_json",
    ] {
        browser.shows("#rows", words).await;
    }
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_delivery_is_resent_to_another_url() {
    let (server, browser) = start().await;
    let other = Server::start();
    server.deliver(&message("wamid.A", "to be resent")).await;
    browser.until("document.querySelector('.row')").await;
    browser.press("j").await;
    browser
        .until("document.querySelector('#resend-url').offsetParent")
        .await;
    browser
        .set("#resend-url", &format!("http://{}/webhook", other.webhook))
        .await;
    browser.click("#resend-form button").await;
    browser.shows("#resent", "answered 200 in").await;
    browser
        .set("#resend-url", "http://127.0.0.1:9/webhook")
        .await;
    browser.click("#resend-form button").await;
    browser.shows("#resent", "refused").await;
    browser.open(&other.url()).await;
    browser.shows("#rows", "Ada: to be resent").await;
    end_after_refusal(browser, "/api/resend").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_session_is_saved_cleared_and_loaded() {
    let (server, browser) = start().await;
    server.deliver(&message("wamid.A", "to be saved")).await;
    server
        .deliver_signed(&message("wamid.B", "x"), "other")
        .await;
    browser
        .until("document.querySelectorAll('.row').length === 2")
        .await;
    let behaviour = json!({ "behavior": "allow", "downloadPath": browser.downloads() });
    browser
        .devtools("Browser.setDownloadBehavior", behaviour)
        .await;
    browser.click("#save").await;
    let file = browser.downloads().join("whatsapp-webhook.jsonl");
    let mut waited = 0;
    while !file.exists() {
        waited += 1;
        assert!(waited < 500, "no download");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);

    browser.click("#clear").await;
    browser.shows("#empty", "No request yet").await;
    browser.type_into("#file", file.to_str().unwrap()).await;
    browser.shows("#rows", "Ada: to be saved").await;
    browser.shows("#rows", "loaded").await;
    browser.shows("#rows", "signature_mismatch").await;
    browser.press("k").await;
    browser.shows("#advice", "App settings > Basic").await;

    let wrong = browser.downloads().join("wrong.jsonl");
    fs::write(&wrong, "{}\n").unwrap();
    browser.type_into("#file", wrong.to_str().unwrap()).await;
    browser
        .shows(
            "#problem",
            "line 1 is not a saved request; nothing was loaded",
        )
        .await;
    end_after_refusal(browser, "/api/session").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn hostile_texts_do_not_run() {
    let (server, browser) = start().await;
    let hostile = |name: &str| format!("{name} {HOSTILE}");
    // Every setter that the sample has.
    let sample = sample::text(hostile("text"))
        .id(hostile("id"))
        .from(hostile("from"))
        .user_id(hostile("user_id"))
        .profile_name(hostile("profile_name"))
        .username(hostile("username"))
        .phone_number_id(hostile("phone_number_id"))
        .display_phone_number(hostile("number"))
        .context(hostile("context"))
        .entry_id(hostile("entry"));
    let body = sample.body();
    assert_eq!(
        server.deliver(std::str::from_utf8(&body).unwrap()).await,
        200
    );
    for (name, sample) in sample::all() {
        let sample = sample
            .lenient()
            .id(hostile(name))
            .text(hostile(name))
            .profile_name(hostile(name));
        let body = sample
            .caption(hostile(name))
            .filename(hostile(name))
            .title(hostile(name))
            .body();
        assert_eq!(
            server.deliver(std::str::from_utf8(&body).unwrap()).await,
            200,
            "{name}"
        );
    }
    // In keys, kinds and paths too.
    let escaped = serde_json::to_string(HOSTILE).unwrap();
    let body = text("wamid.A")
        .replace("\"text\"", &escaped)
        .replace("messaging_product", &escaped[1..escaped.len() - 1]);
    assert_eq!(server.deliver(&body).await, 200);
    server.get("/%3Cscript%3Ewindow.ran=1%3C/script%3E").await;

    let count = sample::all().len() + 3;
    browser.until(&format!("totals.count === {count}")).await;
    // Opens every request, and unfolds everything in it.
    let opened = browser
        .run(
            "",
            "(async () => {
                const pause = (time) => new Promise((done) => setTimeout(done, time));
                let count = 0;
                for (const { number } of shown) {
                    open(number, false);
                    while (detail?.record.number !== number) await pause(5);
                    for (let depth = 0; depth < 4; depth++) {
                        document.querySelectorAll('#events details').forEach((one) => { one.open = true; });
                        await pause(10);
                    }
                    count += 1;
                }
                return count;
            })()",
        )
        .await;
    assert_eq!(opened, count);
    browser
        .shows("#detail", "profile_name </script><img src=x onerror=")
        .await;
    browser.set("#kind", HOSTILE).await;
    let ran = "[window.ran, document.querySelectorAll('main img, main script, main svg').length]";
    assert_eq!(browser.eval(ran).await, json!([null, 0]));
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn it_is_dark_where_the_system_is() {
    let (server, browser) = start().await;
    server.deliver(&message("wamid.A", "good night")).await;
    browser.until("document.querySelector('.row')").await;
    let brightness =
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]";
    assert!(browser.eval(brightness).await.as_u64().unwrap() > 200);
    browser.dark().await;
    assert!(browser.eval(brightness).await.as_u64().unwrap() < 60);
    browser.press("j").await;
    browser.shows(".views", "good night").await;
    browser.picture("dark").await;
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn on_a_narrow_screen_there_is_one_pane_at_a_time() {
    let (server, browser) = start().await;
    browser.resize(360, 740).await;
    server.deliver(&message("wamid.A", "on the phone")).await;
    browser.shows("#rows", "on the phone").await;
    let visible =
        "['#requests', '#detail'].map((id) => document.querySelector(id).offsetParent !== null)";
    assert_eq!(browser.eval(visible).await, json!([true, false]));
    browser.click(".row").await;
    browser.shows(".views", "on the phone").await;
    assert_eq!(browser.eval(visible).await, json!([false, true]));
    let overflow = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(browser.eval(overflow).await, true);
    browser.picture("narrow").await;
    browser.click("#back").await;
    assert_eq!(browser.eval(visible).await, json!([true, false]));
    assert_eq!(browser.eval(overflow).await, true);
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn everything_works_by_keyboard() {
    let (server, browser) = start().await;
    for number in 1..=30 {
        server
            .deliver(&message(
                &format!("wamid.{number}"),
                &format!("number {number};"),
            ))
            .await;
    }
    browser.until("totals?.count === 30").await;
    browser.press(ESCAPE).await;
    assert_eq!(browser.eval("document.activeElement.id").await, "list");
    browser.press(DOWN).await;
    browser
        .shows(".row[aria-selected=true]", "number 30;")
        .await;
    browser.press(DOWN).await;
    browser
        .shows(".row[aria-selected=true]", "number 29;")
        .await;
    browser.press(END).await;
    browser.shows(".row[aria-selected=true]", "number 1;").await;
    browser
        .until("document.querySelector('#list').getAttribute('aria-activedescendant') === 'row-1'")
        .await;
    // The selected row is in view.
    browser.until("(() => { const row = document.querySelector('[aria-selected=true]').getBoundingClientRect(), list = document.querySelector('#list').getBoundingClientRect(); return row.top >= list.top - 1 && row.bottom <= list.bottom + 1; })()").await;
    browser.shows("#events", "wamid.1").await;
    browser.press(ENTER).await;
    assert_eq!(browser.eval("document.activeElement.id").await, "detail");
    // Into the detail: the copy button, the find field.
    browser.press(TAB).await;
    assert_eq!(browser.eval("document.activeElement.id").await, "copy");
    browser.press(ESCAPE).await;
    assert_eq!(browser.eval("document.activeElement.id").await, "list");
    browser.press("?").await;
    browser
        .shows("#help[open]", "next and previous request")
        .await;
    browser.press(ESCAPE).await;
    browser
        .until("!document.querySelector('dialog[open]')")
        .await;
    browser.press("s").await;
    browser.until("document.querySelector('#send[open]')").await;
    browser.press(ENTER).await;
    // Keys in a dialog or a field are no commands.
    browser.set("#sample", "").await;
    browser.click("#pasted").await;
    browser.press("jkcs?/f").await;
    assert_eq!(
        browser
            .eval("document.querySelector('#pasted').value")
            .await,
        "jkcs?/f"
    );
    browser.press(ESCAPE).await;
    // All controls have a visible focus and a name: see the check of accessibility.
    end(browser).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn it_reconnects_after_a_restart() {
    let server = Server::start();
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    server.deliver(&message("wamid.A", "before")).await;
    browser.shows("#rows", "Ada: before").await;
    let page = server.page.to_string();
    drop(server);
    browser
        .shows("#connection", "disconnected: waiting for the server")
        .await;
    let server = Server::with(&[], &page);
    browser.shows("#connection", "connected").await;
    browser
        .shows(
            "#problem",
            "The server was restarted: earlier requests are gone.",
        )
        .await;
    server.deliver(&message("wamid.B", "after")).await;
    browser.shows("#rows", "Ada: after").await;
    assert!(!browser.text("#rows").await.contains("before"));
    // Failed connections are in the console.
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn the_page_says_that_the_oldest_are_gone() {
    let server = Server::with(&["--keep", "5"], "127.0.0.1:0");
    let browser = Browser::start().await;
    browser.open(&server.url()).await;
    for number in 1..=8 {
        server
            .deliver(&message(
                &format!("wamid.{number}"),
                &format!("number {number};"),
            ))
            .await;
    }
    browser
        .shows(
            "#gone",
            "The oldest 3 requests are gone: a limit of kept requests was reached.",
        )
        .await;
    browser
        .shows("#totals", "5 of at most 5 requests kept")
        .await;
    browser
        .until("document.querySelectorAll('.row').length === 5")
        .await;
    assert!(!browser.text("#rows").await.contains("number 3;"));
    end(browser).await;
}
