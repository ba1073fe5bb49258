//! A headless Chromium, driven by `chromedriver`.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    wd::{TimeoutConfiguration, WebDriverCompatibleCommand},
};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use test_support::port;
use tokio::time::sleep;
use url::{ParseError, Url};

/// Time limit of everything that is waited for in the page.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keys of the WebDriver protocol.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const TAB: &str = "\u{e004}";
pub const DOWN: &str = "\u{e015}";
pub const END: &str = "\u{e010}";
pub const CONTROL_V: &str = "\u{e009}v\u{e000}";

/// A browser with a new profile. It ends with the driver, which is killed when this is dropped.
pub struct Browser {
    client: Client,
    driver: Child,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    pub async fn start() -> Self {
        let port = port::free();
        let profile = std::env::temp_dir().join(format!("browser-tests-{port}"));
        fs::create_dir_all(&profile).unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install chromium and chromium-driver");
        let user_data = format!("--user-data-dir={}", profile.display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,800",
            &user_data,
        ];
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": flags,
                "prefs": { "download.default_directory": profile },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!()
        };
        let start = Instant::now();
        let url = format!("http://127.0.0.1:{port}");
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder
                .capabilities(capabilities.clone())
                .connect(&url)
                .await
            {
                Ok(client) => break client,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        let scripts = TimeoutConfiguration::new(Some(PATIENCE), None, None);
        client.update_timeouts(scripts).await.unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        Self {
            client,
            driver,
            port,
            session,
            profile,
        }
    }

    /// Opens a page and waits until it is connected to its server.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
        self.until("document.querySelector('#connection').dataset.state === 'open' && document.querySelector('#url').textContent").await;
    }

    /// Evaluates an expression. WebDriver does so in spite of the content security policy.
    pub async fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client.execute(&script, Vec::new()).await.unwrap()
    }

    /// The visible text of an element.
    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .eval(&format!("document.querySelector({selector:?})?.innerText"))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the expression is true.
    #[track_caller]
    pub fn until<'a>(&'a self, expression: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            while self.eval(&format!("!!({expression})")).await != true {
                if start.elapsed() > PATIENCE {
                    let text = self.text("body").await;
                    panic!("{caller} waits in vain for {expression}:\n{text}");
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until the text of an element contains these words.
    #[track_caller]
    pub fn shows<'a>(&'a self, selector: &'a str, words: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let start = Instant::now();
            loop {
                let text = self.text(selector).await;
                if text.contains(words) {
                    return;
                }
                assert!(
                    start.elapsed() < PATIENCE,
                    "{caller}: no {words:?} in {text:?}"
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub async fn click(&self, selector: &str) {
        let element = self.client.find(Locator::Css(selector)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Types into the focused element.
    pub async fn press(&self, keys: &str) {
        let active = self.client.active_element().await.unwrap();
        active.send_keys(keys).await.unwrap();
    }

    /// Types into this element, also the path of a file.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.client.find(Locator::Css(selector)).await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Sets the value of a field, and tells the page.
    pub async fn set(&self, selector: &str, value: &str) {
        let script = "const field = document.querySelector(arguments[0]); field.value = arguments[1];
            for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, { bubbles: true }));";
        let arguments = vec![json!(selector), json!(value)];
        self.client.execute(script, arguments).await.unwrap();
    }

    /// Runs a script of this source, and then an asynchronous expression.
    pub async fn run(&self, source: &str, expression: &str) -> Value {
        self.client.execute(source, Vec::new()).await.unwrap();
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({expression}).then(done, (error) => done(String(error)));"
        );
        self.client
            .execute_async(&script, Vec::new())
            .await
            .unwrap()
    }

    /// A command of the Chrome DevTools protocol.
    pub async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        let call = Call {
            path: "goog/cdp/execute",
            body: json!({ "cmd": command, "params": parameters }),
        };
        self.client.issue_cmd(call).await.unwrap()
    }

    pub async fn dark(&self) {
        let dark = json!({ "name": "prefers-color-scheme", "value": "dark" });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [dark] }))
            .await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Errors in the console since the last call: exceptions, and violations of the policy.
    pub async fn console_errors(&self) -> Vec<String> {
        let call = Call {
            path: "se/log",
            body: json!({ "type": "browser" }),
        };
        let entries = self.client.issue_cmd(call).await.unwrap();
        let entries = entries.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE");
        severe
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Saves a picture if `SCREENSHOTS` is set.
    pub async fn picture(&self, name: &str) {
        if let Some(directory) = std::env::var_os("SCREENSHOTS") {
            let picture = self.client.screenshot().await.unwrap();
            let path = PathBuf::from(directory).join(format!("{name}.png"));
            fs::write(path, picture).unwrap();
        }
    }

    /// Directory of downloads.
    pub fn downloads(&self) -> &PathBuf {
        &self.profile
    }
}

impl Drop for Browser {
    /// Ends the browser also if a test panics: killing the driver alone would leave it.
    fn drop(&mut self) {
        if let Ok(mut driver) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = driver.set_read_timeout(Some(Duration::from_secs(10)));
            let end = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = driver.write_all(end.as_bytes());
            let _ = driver.read_to_end(&mut Vec::new());
        }
        // Fails if it has exited already.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A command that only `chromedriver` has.
#[derive(Debug)]
struct Call {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Call {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
