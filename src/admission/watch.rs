use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};

use super::{
    candidate::Candidate, error::ListError, ip_allow_list::IpAllowList, update_guard::Reload,
};

/// Minimum pause between two reads, so that a pause of zero does not busy-loop.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Guard of a watched list file, returned by [`IpAllowList::watch`]. Dropping it stops the watch.
#[derive(Debug)]
#[must_use = "the file is read until this is dropped"]
pub struct ListWatch {
    task: AbortHandle,
}

impl IpAllowList {
    /// Reads the file now and after each pause, and replaces the list with its contents.
    ///
    /// A list that is invalid or has [shrunk](super::Shrink) changes nothing. `report` is called
    /// with the result of each read; [`status`](Self::status) returns figures for monitoring. If
    /// the host has [replaced](Self::replace) the list with another one, that one stays in force
    /// until the file changes ([`Reload::Overridden`]).
    ///
    /// The whole file is read each time, on a blocking thread, because modification times are too
    /// coarse to detect every change. Update the file by renaming another file over it: half of a
    /// file may be a valid list. The minimum pause is 100 ms; shorter ones are extended to it. If
    /// `report` panics, the file is not read again.
    ///
    /// ```
    /// use std::{error::Error, time::Duration};
    /// use tower_whatsapp::admission::{IpAllowList, Reload};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn Error>> {
    /// # let name = format!("tower-whatsapp-doc-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, "157.240.0.0/16")?;
    /// let list = IpAllowList::load(&path)?;
    /// let watch = list.watch(&path, Duration::from_secs(60), |outcome| match outcome {
    ///     Ok(Reload::Unchanged) => {}
    ///     Ok(outcome) => println!("address list: {outcome:?}"),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// # drop(watch);
    /// # std::fs::remove_file(path)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with its time driver enabled.
    pub fn watch<F>(&self, path: impl Into<PathBuf>, pause: Duration, mut report: F) -> ListWatch
    where
        F: FnMut(Result<Reload, ListError>) + Send + 'static,
    {
        let list = self.clone();
        let path: Arc<PathBuf> = Arc::new(path.into());
        let task = tokio::spawn(async move {
            loop {
                let file = Arc::clone(&path);
                // Joining fails when the runtime shuts down.
                let Ok(candidate) = spawn_blocking(move || Candidate::read(&file)).await else {
                    return;
                };
                report(candidate.and_then(|candidate| {
                    let outcome = list.put_watched(candidate);
                    outcome.map_err(|error| error.at(&path))
                }));
                sleep(pause.max(MIN_PAUSE)).await;
            }
        });
        ListWatch {
            task: task.abort_handle(),
        }
    }
}

impl Drop for ListWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
