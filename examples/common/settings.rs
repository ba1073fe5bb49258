use std::{
    env::{self, VarError},
    future, io,
    pin::Pin,
    process,
    time::Duration,
};

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::{net::TcpListener, signal::ctrl_c, sync::oneshot, time::sleep};

/// Maximum wait for open connections after a signal. It is longer than the layer's deadline for a
/// body, and shorter than the 30 seconds after which Kubernetes kills the process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Completes when the server must stop.
pub(crate) type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads an optional environment variable. A blank value is an error: it is likely a mistake.
pub(crate) fn optional(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => {
            Err(format!("{name} is blank: give it a value, or unset it"))
        }
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        // The error would contain the value, which may be a secret.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

/// Reads an environment variable that must be set. The error says where its value comes from.
#[allow(dead_code, reason = "quickstart makes up missing credentials")]
pub(crate) fn required(name: &str) -> Result<String, String> {
    let source = match name {
        "WHATSAPP_APP_SECRET" => "copy the app secret from the Meta App Dashboard",
        "WHATSAPP_VERIFY_TOKEN" => "choose a token, and enter the same one in the App Dashboard",
        _ => "see the top of the example's main.rs",
    };
    optional(name)?.ok_or_else(|| format!("{name} is not set: {source}"))
}

/// Listens on the address in `ADDR`, or on the default.
pub(crate) async fn listen(default: &str) -> Result<TcpListener, String> {
    let address = optional("ADDR")?.unwrap_or_else(|| default.to_owned());
    TcpListener::bind(&address).await.map_err(|error| {
        format!("cannot listen on {address:?}: {error}; set ADDR to a free HOST:PORT")
    })
}

/// Runs a server until [`stop_signal`], then gives it [`SHUTDOWN_TIMEOUT`] to finish its requests.
/// Without that limit, a client that never completes its request would block the shutdown. Meta
/// retries deliveries that are cut off.
pub(crate) async fn run_until_signal<E>(
    serve: impl AsyncFnOnce(StopSignal) -> Result<(), E>,
) -> Result<(), E> {
    let (stop, stopped) = oneshot::channel();
    let signal = Box::pin(async {
        stop_signal().await;
        let _ = stop.send(());
    });
    let limit = async {
        match stopped.await {
            Ok(()) => sleep(SHUTDOWN_TIMEOUT).await,
            // The server failed and dropped the signal.
            Err(_) => future::pending().await,
        }
    };
    tokio::select! {
        served = serve(signal) => served,
        () = limit => {
            eprintln!("shutdown timed out: some connections were still open");
            Ok(())
        }
    }
}

/// Waits for Ctrl-C or SIGTERM. A second signal ends the process at once, without waiting for slow
/// clients and endless streams.
pub(crate) async fn stop_signal() {
    if ctrl_c_or_sigterm().await.is_err() {
        // No handler could be installed, so the signal ends the process by itself.
        future::pending::<()>().await;
    }
    tokio::spawn(async {
        if ctrl_c_or_sigterm().await.is_ok() {
            process::exit(130);
        }
    });
}

/// SIGTERM is what `docker stop` and Kubernetes send.
async fn ctrl_c_or_sigterm() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    ctrl_c().await
}
