//! `serve`: a webhook with a live page of what arrives.

mod advice;
mod api;
mod args;
mod fed;
mod guard;
mod listener;
mod page;
mod record;
mod session;
mod store;
mod stream;
mod webhook;

use std::{fmt, net::SocketAddr, process::ExitCode, sync::Arc};

use axum::Router;
use tokio::{net::TcpListener, signal, sync::Semaphore};

pub(crate) use self::args::ServeArgs;
use self::{advice::Advice, guard::Guard, store::Store};
use crate::{failure::Failure, output, secret};

/// Each connected page takes some memory.
const MAX_PAGES: usize = 16;
/// Each session that is being saved keeps its requests in memory, also dropped ones.
const MAX_SAVES: usize = 2;

/// What the handlers of the page share.
#[derive(Clone)]
struct App {
    store: Arc<Store>,
    /// The webhook with its layer, for samples of the page.
    webhook: Router,
    /// Tells a page that the server was restarted.
    instance: Arc<str>,
    webhook_url: Arc<str>,
    path: Arc<str>,
    app_secret: Arc<str>,
    /// Connected pages.
    pages: Arc<Semaphore>,
    /// Sessions that are being saved.
    saves: Arc<Semaphore>,
}

pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let app_secret = Setting::read(&args.secret_env)?;
    let verify_token = Setting::read(&args.token_env)?;
    let advice = Advice::install();
    let store = Arc::new(Store::new(
        args.keep as usize,
        args.keep_mib as usize * 1024 * 1024,
    ));
    let webhook = webhook::router(
        &args.path,
        &app_secret.value,
        &verify_token.value,
        Arc::clone(&store),
        advice,
    )
    .map_err(|error| Failure::usage(format!("the settings are refused: {error}")))?;

    let listener = listen(args.listen, "--listen").await?;
    let page_listener = listen(args.page, "--page").await?;
    let webhook_url = format!("http://{}{}", local(&listener)?, args.path);
    let page_address = local(&page_listener)?;
    // Of a request to a plain HTTP name, browsers do not say which site sent it.
    let prefix = match page_address.ip().is_loopback() && args.page_host.is_empty() {
        true => String::new(),
        false => format!("/{}", random()?),
    };
    let app = App {
        store,
        webhook: webhook.clone(),
        instance: random()?.into(),
        webhook_url: webhook_url.as_str().into(),
        path: args.path.as_str().into(),
        app_secret: app_secret.value.as_str().into(),
        pages: Arc::new(Semaphore::new(MAX_PAGES)),
        saves: Arc::new(Semaphore::new(MAX_SAVES)),
    };
    let guard = Guard::new(page_address.ip(), args.page_host, prefix.clone());
    let page = page::router(app, guard);

    let page_url = format!("http://{page_address}{prefix}/");
    let tunnelled = local(&listener)?;
    let greeting = format!(
        "webhook       {webhook_url}\n\
         verify token  {verify_token}\n\
         app secret    {app_secret}\n{}\
         page          {page_url}\n\n\
         For Meta's dashboard make the webhook public by HTTPS, for example:\n  \
           cloudflared tunnel --url http://{tunnelled}\n\
         and enter the public URL with {} and the verify token.\n\
         The page shows the bodies of messages. Ctrl-C ends it.\n",
        hint(&app_secret),
        args.path,
    );
    until_interrupted(greeting, (listener, webhook), (page_listener, page)).await
}

async fn until_interrupted(
    greeting: String,
    webhook: (TcpListener, Router),
    page: (TcpListener, Router),
) -> Result<ExitCode, Failure> {
    let serving = async {
        output::print(greeting)?;
        tokio::select! {
            never = listener::serve(webhook.0, webhook.1) => match never {},
            never = listener::serve(page.0, page.1) => match never {},
        }
    };
    tokio::select! {
        // Listens for Ctrl-C before the greeting, so that an early one ends it in the same way.
        biased;
        stopped = signal::ctrl_c() => match stopped {
            Ok(()) => Ok(secret::INTERRUPTED.into()),
            Err(error) => Err(Failure::caused("the server stopped", &error)),
        },
        failed = serving => failed,
    }
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!(
            "cannot listen on {address}: {error}; choose another address with {option}"
        ))
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    let address = listener.local_addr();
    address.map_err(|error| Failure::caused("the listener has no address", &error))
}

/// A secret from the environment, or one made for this run. Only the latter is printed.
struct Setting {
    value: String,
    /// The variable that it is from, or that would set it.
    variable: String,
    is_made: bool,
}

impl Setting {
    fn read(variable: &str) -> Result<Self, Failure> {
        let given = secret::optional(variable)?;
        Ok(Self {
            is_made: given.is_none(),
            value: given.map_or_else(random, Ok)?,
            variable: variable.to_owned(),
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_made {
            true => write!(f, "{}  (made for this run)", self.value),
            false => write!(f, "that of {}", self.variable),
        }
    }
}

fn hint(app_secret: &Setting) -> String {
    if !app_secret.is_made {
        return String::new();
    }
    let indent = " ".repeat(14);
    format!(
        "{indent}Meta signs with the secret of your app: for its deliveries set\n\
         {indent}{} (App settings, Basic)\n",
        app_secret.variable
    )
}

/// 128 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::caused("the system has no random numbers", &error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
