use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};

use super::{
    error::ListError,
    ip_allow_list::{Candidate, IpAllowList, Reload},
};

/// Shortest pause between two reads.
const SHORTEST: Duration = Duration::from_millis(100);

/// Reads the file of a list until it is dropped. Made by [`IpAllowList::watch`].
#[derive(Debug)]
#[must_use = "the file is read until this is dropped"]
pub struct ListWatch {
    task: AbortHandle,
}

impl IpAllowList {
    /// Reads the file now and after each pause, and replaces the list by what is in it.
    ///
    /// A list that is bad, or has [shrunk](super::Shrink), changes nothing. `report` is called with the outcome
    /// of each read, good or bad; [`status`](Self::status) has the figures for a monitor. If the
    /// host has [replaced](Self::replace) the list by another one, that one stays until the file
    /// changes ([`Reload::Overridden`]).
    ///
    /// The whole file is read each time, off the threads of the runtime: modification times are
    /// too coarse to tell whether a file has changed. Whoever writes it should write another file
    /// and rename it, because half of a file may be a good list. A pause of less than 100 ms counts
    /// as 100 ms. If `report` panics, the file is not read again.
    ///
    /// ```
    /// use std::{error::Error, time::Duration};
    /// use tower_whatsapp::admission::{IpAllowList, Reload};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn Error>> {
    /// # let path = std::env::temp_dir().join(format!("tower-whatsapp-doc-{}", std::process::id()));
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
    /// Outside of a Tokio runtime. It needs one with its time driver on.
    pub fn watch<F>(&self, path: impl Into<PathBuf>, pause: Duration, mut report: F) -> ListWatch
    where
        F: FnMut(Result<Reload, ListError>) + Send + 'static,
    {
        let list = self.clone();
        let path: Arc<PathBuf> = Arc::new(path.into());
        let task = tokio::spawn(async move {
            loop {
                let file = Arc::clone(&path);
                // The join fails when the runtime ends.
                let Ok(candidate) = spawn_blocking(move || Candidate::read(&file)).await else {
                    return;
                };
                report(candidate.and_then(|candidate| {
                    let outcome = list.put_watched(candidate);
                    outcome.map_err(|error| error.at(&path))
                }));
                sleep(pause.max(SHORTEST)).await;
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
