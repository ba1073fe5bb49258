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

/// Longest wait for open connections after [`interrupted`]: longer than the layer waits for a body,
/// and less than the 30 seconds after which Kubernetes kills.
const GRACE: Duration = Duration::from_secs(15);

/// Completes when the server is to stop.
pub(crate) type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A variable of the environment. A blank one is taken for a mistake and not for absence.
pub(crate) fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => Err(format!("{name} is set, and blank")),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        // The error would show the value, which may be a secret.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

/// Listens on `ADDR`.
pub(crate) async fn listen(default: &str) -> Result<TcpListener, String> {
    let address = variable("ADDR")?.unwrap_or_else(|| default.to_owned());
    TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on ADDR={address:?}: {error}"))
}

/// Runs a server until [`interrupted`]. Then it has [`GRACE`] to finish what it has begun: a stranger
/// who holds half of a request would otherwise keep it from ending. Meta retries what is cut off.
pub(crate) async fn until_interrupted<E>(
    serve: impl AsyncFnOnce(Signal) -> Result<(), E>,
) -> Result<(), E> {
    let (stop, stopped) = oneshot::channel();
    let signal = Box::pin(async {
        interrupted().await;
        let _ = stop.send(());
    });
    let limit = async {
        match stopped.await {
            Ok(()) => sleep(GRACE).await,
            // The server has failed and dropped the signal.
            Err(_) => future::pending().await,
        }
    };
    tokio::select! {
        served = serve(signal) => served,
        () = limit => {
            eprintln!("some connections were still open");
            Ok(())
        }
    }
}

/// Waits for Ctrl-C or SIGTERM. The server then finishes what it has begun; a second one is for who does not want to wait for that, because
/// a sender may be slow and a stream without an end.
pub(crate) async fn interrupted() {
    if signalled().await.is_err() {
        // Without a handler a signal ends the process by itself.
        future::pending::<()>().await;
    }
    tokio::spawn(async {
        if signalled().await.is_ok() {
            process::exit(130);
        }
    });
}

/// Ctrl-C, or what `docker stop` and Kubernetes send.
async fn signalled() -> io::Result<()> {
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
