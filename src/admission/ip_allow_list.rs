use std::{
    fmt,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::{ArcSwap, Guard};

use super::{
    candidate::Candidate,
    error::ListError,
    ip_set::IpSet,
    update_guard::{Reload, Shrink, UpdateGuard},
};

/// A list of IP addresses that can be replaced while requests are served.
///
/// It holds the addresses that may send requests (see
/// [`ip_allow_list`](crate::WebhookLayerBuilder::ip_allow_list)), or those of proxies (see
/// [`TrustedProxies::from_list`](super::TrustedProxies::from_list)). This crate ships no list and
/// fetches none: the host supplies it and updates it. Clones are cheap and share the list, so keep
/// one to [replace](Self::replace) the contents. All requests see a new list at once. Lookups take
/// no lock.
///
/// ```
/// use tower_whatsapp::{WebhookLayer, admission::{IpAllowList, Shrink}};
///
/// // whois -h whois.radb.net -- '-i origin AS32934' | grep ^route | awk '{print $2}' | sort
/// let list = IpAllowList::parse("157.240.0.0/16\n2a03:2880::/32\n")?;
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the app secret")
///     .verify_token("the verify token")
///     .ip_allow_list(list.clone())
///     .build()?;
/// assert!(list.contains("157.240.22.35".parse()?));
///
/// // Later: the layer uses it from the next request on. A refused list changes nothing.
/// list.replace("157.240.0.0/16\n31.13.24.0/21\n2a03:2880::/32", Shrink::Refuse)?;
/// assert!(list.replace("31.13.24.0/21\n157.240.1.0/16", Shrink::Refuse).is_err());
/// assert_eq!((list.status().generation, list.status().prefixes), (2, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format
///
/// One prefix per line in CIDR notation (`157.240.0.0/16`), or one address (a prefix of full
/// length). `#` starts a comment. The maximum length is 4 MiB. Lines end with LF or CRLF.
/// Duplicates and overlaps are allowed. Anything else is an error with the line number, and the
/// whole list is refused:
///
/// - text that is not a prefix, such as `route: 157.240.0.0/16` without the rest of the pipeline;
/// - prefixes with host bits, such as `10.0.0.1/8`;
/// - prefixes shorter than 8 bits (IPv4) or 7 bits (IPv6), which are
///   usually truncated lines;
/// - a list that holds more than a sixteenth of all IPv4 or IPv6 addresses.
///
/// IPv4-mapped IPv6 addresses (`::ffff:157.240.22.35`) are looked up as IPv4.
///
/// # Guard against bad updates
///
/// With [`Shrink::Refuse`] a new list must keep at least half of the addresses in force, and half
/// of the largest list since the start. This refuses a list of other networks, and a series of
/// halvings. A list that more than doubles is accepted and reported as [`Reload::Grown`].
///
/// # After a list has grown
///
/// Check the list. Too many trusted proxies let strangers write the forwarded header.
///
/// - **The list is wrong.** Repair its source. A list with all addresses from before the growth,
///   and at most twice as many, undoes the growth and does not count as shrinking. The last eight
///   growths can be undone. To undo one at once, [`replace`](Self::replace) the list with
///   [`Shrink::Allow`].
/// - **The list is right.** Replace it with itself and [`Shrink::Allow`]. Later lists are then
///   compared with it only. Until then, a truncated download is accepted too, if it still has every
///   address from before the growth.
///
/// # Limits of an address list
///
/// An address identifies the network of a request, not its sender, so the signature check still
/// runs. The list only avoids reading the bodies of strangers. Meta's addresses change from time to
/// time, and Meta recommends client certificates over address lists.
#[doc(alias = "whitelist")]
#[doc(alias = "cidr")]
#[derive(Clone)]
pub struct IpAllowList {
    shared: Arc<Shared>,
}

/// State of a list, for monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListStatus {
    /// Number of lists that have been in force, starting at 1.
    pub generation: u64,
    /// Number of distinct prefixes.
    pub prefixes: usize,
    /// Time since the list came into force.
    pub age: Duration,
    /// Time since the list came into force, or since an update last had the same addresses. Keeps
    /// growing while updates are refused, overridden or unreadable, so alert on it.
    pub confirmed: Duration,
    /// Modification time of the file that the list was last read from. It gets old if the job that
    /// writes the file fails. `None` if the list is not from a file.
    pub modified: Option<SystemTime>,
}

struct Shared {
    set: ArcSwap<IpSet>,
    /// Locked while the set is replaced.
    record: Mutex<Record>,
}

struct Record {
    generation: u64,
    since: Instant,
    confirmed: Instant,
    modified: Option<SystemTime>,
    guard: UpdateGuard,
    /// The list that was last taken from a file.
    from_file: Option<Arc<IpSet>>,
}

impl IpAllowList {
    /// Parses a list in [the format](Self#format) above: one prefix per line.
    ///
    /// # Errors
    ///
    /// [`ListErrorKind`](super::ListErrorKind)`::Prefixes`, `Empty`, `TooLong` or `TooWide`.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::parse(text)?))
    }

    /// Makes a list of prefixes and addresses. They are strings, so that no type of another crate
    /// is part of this API.
    ///
    /// ```
    /// use tower_whatsapp::admission::IpAllowList;
    ///
    /// let list = IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32", "192.0.2.7"])?;
    /// assert!(list.contains("192.0.2.7".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListErrorKind`](super::ListErrorKind)`::Prefixes` (with the number of the prefix instead
    /// of the line), `Empty` or `TooWide`.
    pub fn from_prefixes<I>(prefixes: I) -> Result<Self, ListError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(Self::new(Candidate::from_prefixes(prefixes)?))
    }

    /// Reads a list from a file. Blocks the thread, so call it before the service starts.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and `File` or `NotAFile`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::read(path.as_ref())?))
    }

    /// Replaces the list, for all clones at once. Join prefixes from other sources with newlines.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and `Shrunk`. The list in force does not change.
    pub fn replace(&self, text: &str, shrink: Shrink) -> Result<Reload, ListError> {
        self.put(Candidate::parse(text)?, shrink)
    }

    /// Replaces the list with the contents of a file. Blocks the thread: in a task use
    /// `tokio::task::spawn_blocking`, or let `watch` (feature `tokio`) read the file.
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace), and `File` or `NotAFile`. The list in force does not change.
    pub fn reload_from(&self, path: impl AsRef<Path>, shrink: Shrink) -> Result<Reload, ListError> {
        let path = path.as_ref();
        self.put(Candidate::read(path)?, shrink)
            .map_err(|error| error.at(path))
    }

    /// Returns whether the list contains this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.set().contains(address)
    }

    /// Returns the state of the list.
    #[must_use]
    pub fn status(&self) -> ListStatus {
        let record = self.shared.record.lock();
        let record = record.unwrap_or_else(PoisonError::into_inner);
        ListStatus {
            generation: record.generation,
            prefixes: self.set().prefixes(),
            age: record.since.elapsed(),
            confirmed: record.confirmed.elapsed(),
            modified: record.modified,
        }
    }

    /// Returns the addresses in force. Callers hold the guard for one lookup only.
    pub(super) fn set(&self) -> Guard<Arc<IpSet>> {
        self.shared.set.load()
    }

    fn new(candidate: Candidate) -> Self {
        let now = Instant::now();
        let record = Record {
            generation: 1,
            since: now,
            confirmed: now,
            modified: candidate.modified,
            guard: UpdateGuard::new(&candidate.set),
            from_file: candidate.is_file.then(|| Arc::clone(&candidate.set)),
        };
        Self {
            shared: Arc::new(Shared {
                set: ArcSwap::new(candidate.set),
                record: Mutex::new(record),
            }),
        }
    }

    fn put(&self, candidate: Candidate, shrink: Shrink) -> Result<Reload, ListError> {
        let record = self.shared.record.lock();
        let mut record = record.unwrap_or_else(PoisonError::into_inner);
        self.put_locked(&mut record, candidate, shrink)
    }

    /// Takes the list of a watched file, unless the host has overridden the same contents.
    #[cfg(feature = "tokio")]
    pub(super) fn put_watched(&self, candidate: Candidate) -> Result<Reload, ListError> {
        let record = self.shared.record.lock();
        let mut record = record.unwrap_or_else(PoisonError::into_inner);
        let is_old = record.from_file.as_ref() == Some(&candidate.set);
        if is_old && *self.shared.set.load_full() != *candidate.set {
            return Ok(Reload::Overridden);
        }
        self.put_locked(&mut record, candidate, Shrink::Refuse)
    }

    fn put_locked(
        &self,
        record: &mut Record,
        candidate: Candidate,
        shrink: Shrink,
    ) -> Result<Reload, ListError> {
        let Candidate {
            set,
            modified,
            is_file,
        } = candidate;
        let old = self.shared.set.load_full();
        let outcome = record.guard.check(&old, &set, shrink)?;
        record.confirmed = Instant::now();
        record.modified = modified;
        if is_file {
            record.from_file = Some(Arc::clone(&set));
        }
        if outcome != Reload::Unchanged {
            record.generation += 1;
            record.since = record.confirmed;
            self.shared.set.store(set);
        }
        Ok(outcome)
    }
}

impl fmt::Debug for IpAllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("IpAllowList")
            .field("prefixes", &status.prefixes)
            .field("generation", &status.generation)
            .finish()
    }
}
