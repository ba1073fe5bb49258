//! `serve`: a webhook with a live page of what arrives.

mod advice;
mod api;
mod args;
mod guard;
mod page;
mod record;
mod session;
mod store;
mod stream;
mod webhook;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use axum::Router;
use tokio::{net::TcpListener, signal, sync::Semaphore};

pub(crate) use self::args::ServeArgs;
use self::{advice::Advice, guard::Guard, store::Store};
use crate::{failure::Failure, secret};

/// Each connected page takes some memory.
const MAX_PAGES: usize = 16;

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
}

pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let (app_secret, secret_is_made) = value_or_random(&args.secret_env)?;
    let (verify_token, token_is_made) = value_or_random(&args.token_env)?;
    let advice = Advice::install();
    let store = Arc::new(Store::new(
        args.keep as usize,
        args.keep_mib as usize * 1024 * 1024,
    ));
    let webhook = webhook::router(
        &args.path,
        &app_secret,
        &verify_token,
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
        app_secret: app_secret.as_str().into(),
        pages: Arc::new(Semaphore::new(MAX_PAGES)),
    };
    let guard = Guard::new(page_address.ip(), args.page_host, prefix.clone());
    let page = page::router(app, guard);

    println!("webhook       {webhook_url}");
    println!("verify token  {verify_token}{}", made(token_is_made));
    if secret_is_made {
        println!("app secret    {app_secret}{}", made(true));
        println!("              Meta signs with the secret of your app: for its deliveries set");
        println!("              {} (App settings, Basic)", args.secret_env);
    } else {
        println!("app secret    that of {}", args.secret_env);
    }
    println!("page          http://{page_address}{prefix}/");
    println!();
    println!("For Meta's dashboard make the webhook public by HTTPS, for example:");
    println!("  cloudflared tunnel --url http://{}", local(&listener)?);
    println!(
        "and enter the public URL with {} and the verify token.",
        args.path
    );
    println!("The page shows the bodies of messages. Ctrl-C ends it.");

    let webhook = webhook.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, webhook) => served,
        served = axum::serve(page_listener, page) => served,
        stopped = signal::ctrl_c() => stopped,
    }
    .map_err(|error| Failure::caused("the server stopped", &error))?;
    Ok(ExitCode::SUCCESS)
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

fn made(is_made: bool) -> &'static str {
    if is_made { "  (made for this run)" } else { "" }
}

fn value_or_random(variable: &str) -> Result<(String, bool), Failure> {
    Ok(match secret::optional(variable)? {
        Some(value) => (value, false),
        None => (random()?, true),
    })
}

/// 128 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::caused("the system has no random numbers", &error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
