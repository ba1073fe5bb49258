use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};

use super::{
    error::ListError,
    list::{Candidate, IpAllowList, Reload, Shrink},
};

/// A file is not looked at more often than this.
const SHORTEST: Duration = Duration::from_millis(100);

/// Looks at the file of a list until it is dropped. Made by [`IpAllowList::watch`].
#[derive(Debug)]
#[must_use = "the file is looked at until this is dropped"]
pub struct ListWatch {
    task: AbortHandle,
}

impl IpAllowList {
    /// Reads the file now and after each pause, and puts what is in it in the place of this list. A list that is bad, or has
    /// [shrunk](ListError::Shrunk), changes nothing. What becomes of each look is told to `report`, the good ones as well; the list's
    /// [`status`](Self::status) has what a monitor wants to know.
    ///
    /// The whole file is read each time (times of files are too coarse to tell whether one has changed), off the threads of the runtime.
    /// Whoever writes it should write another one and rename it: half of a file may be a good list. A pause of less than 100 ms is one of
    /// 100 ms. If `report` panics there are no more looks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_whatsapp::admission::{IpAllowList, Reload};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = std::env::temp_dir().join(format!("tower-whatsapp-doc-{}", std::process::id()));
    /// # std::fs::write(&path, "157.240.0.0/16")?;
    /// let list = IpAllowList::load(&path)?;
    /// let watch = list.watch(&path, Duration::from_secs(60), |outcome| match outcome {
    ///     Ok(Reload::Unchanged) => {}
    ///     Ok(_) => println!("a new list of addresses"),
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
        let path = Arc::new(path.into());
        let task = tokio::spawn(async move {
            loop {
                let path = Arc::clone(&path);
                // The join fails when the runtime ends.
                let Ok(candidate) = spawn_blocking(move || Candidate::read(&path)).await else {
                    return;
                };
                report(candidate.and_then(|candidate| list.put(candidate, Shrink::Refuse)));
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
