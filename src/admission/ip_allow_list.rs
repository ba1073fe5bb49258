use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read},
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::{ArcSwap, Guard};

use super::{
    error::{ListError, Problem},
    ip_set::IpSet,
    list_format::{self, MAX_TEXT},
};

/// Maximum number of growths that can be taken back. Bounds the memory: each keeps two lists.
const MAX_GROWTHS: usize = 8;

/// A list of addresses that can be replaced while requests are served.
///
/// It holds the addresses that may call (see
/// [`ip_allow_list`](crate::WebhookLayerBuilder::ip_allow_list)), or those of proxies (see
/// [`TrustedProxies::from_list`](super::TrustedProxies::from_list)). This crate ships no list and
/// fetches none: the host brings it, and brings it again when it has changed. A clone is cheap and
/// shares the list, so keep one to [replace](Self::replace) the contents. All requests see the
/// new list at once, and no lookup takes a lock.
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
/// // Later: the layer sees it at the next request. A bad list changes nothing.
/// list.replace("157.240.0.0/16\n31.13.24.0/21\n2a03:2880::/32", Shrink::Refuse)?;
/// assert!(list.replace("31.13.24.0/21\n157.240.1.0/16", Shrink::Refuse).is_err());
/// assert_eq!((list.status().generation, list.status().prefixes), (2, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format
///
/// One prefix a line (`157.240.0.0/16`), or one address (the same as a prefix of all its bits).
/// `#` begins a comment. At most 4 MiB, with either kind of line ends. Duplicates and overlaps are
/// fine. Anything else is an error that names the line, and then nothing of the list is taken:
///
/// - text that is not a prefix, such as `route: 157.240.0.0/16` without the rest of the pipeline;
/// - bits that are set behind the prefix;
/// - prefixes shorter than 8 bits (IPv4) or 7 bits (IPv6), which are mostly the rest of a line
///   that was cut off;
/// - a list that holds more than a sixteenth of all IPv4 or IPv6 addresses.
///
/// A caller whose IPv4 address is mapped into IPv6 (`::ffff:157.240.22.35`) is looked up as IPv4.
///
/// # Guard against bad updates
///
/// With [`Shrink::Refuse`] a new list must keep at least half of the addresses in force, and half
/// of the largest list since the start. So neither a list of other networks nor a series of
/// halvings gets through. A list that more than doubles is taken and reported as
/// [`Reload::Grown`].
///
/// # After a list has grown
///
/// Look at the list. Trusted proxies that are too many let strangers write the header.
///
/// - **It is wrong.** Repair its source. A list with all addresses from before the growth, and at
///   most twice as many, takes the growth back: it is no shrinkage. The last eight growths can be
///   taken back. To take it back at once, [`replace`](Self::replace) it with [`Shrink::Allow`].
/// - **It is right.** Replace it by itself with [`Shrink::Allow`]. Later lists are then compared
///   with it only. Until then, a download that was cut off is also accepted if it still has every
///   address from before the growth.
///
/// # Limits of an address list
///
/// An address says whose network a request came from and not who sent it, so the signature is
/// still checked. The list keeps strangers from having bodies read. Meta's addresses change from
/// time to time, and Meta recommends client certificates over lists.
#[doc(alias = "whitelist")]
#[doc(alias = "cidr")]
#[derive(Clone)]
pub struct IpAllowList {
    shared: Arc<Shared>,
}

/// What to do with a new list that keeps less than half of the addresses in force, or of the
/// largest list since the start, of IPv4 or of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shrink {
    /// Keeps the list in force: half of a list is more often half of a download than a change of
    /// the network. Only [growth](IpAllowList#after-a-list-has-grown) can be taken back.
    #[default]
    Refuse,
    /// Takes the new list, because somebody has looked at it. Later lists are compared with this
    /// one only, and growth before it can no longer be taken back.
    Allow,
}

/// What a good new list changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// Nothing: it has the same addresses as the list in force.
    Unchanged,
    /// It is in force.
    Replaced,
    /// It is in force, and has more than twice the addresses of the list before it, of IPv4 or of
    /// IPv6. Look at it, because it may let strangers in: see
    /// [what to do then](IpAllowList#after-a-list-has-grown).
    Grown,
    /// Nothing: the watched file has not changed since it was last taken, and
    /// [`replace`](IpAllowList::replace) has put another list in its place, which stays.
    Overridden,
}

/// The state of a list, for monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListStatus {
    /// Number of lists that have been in force. The first is 1.
    pub generation: u64,
    /// Number of different prefixes.
    pub prefixes: usize,
    /// Time since the list came into force.
    pub age: Duration,
    /// Time since the list came into force, or since a new one was last found to be equal. Grows
    /// while new lists are refused, overridden, or cannot be read.
    pub confirmed: Duration,
    /// Modification time of the file that the list was last read from, as the file system tells
    /// it. Grows old if the job that writes the file fails. `None` if the list is not from a file.
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
    /// The largest list since the start or since the last one that was allowed to shrink.
    high_water: IpSet,
    /// Growth that nobody has confirmed, the latest last.
    growths: Vec<Growth>,
    /// What was last taken from a file.
    from_file: Option<Arc<IpSet>>,
}

/// What the guard compared with before a list grew.
struct Growth {
    before: Arc<IpSet>,
    high_water: IpSet,
}

impl Growth {
    /// Whether a list is the one from before, give or take what an update may add.
    fn is_taken_back_by(&self, set: &IpSet) -> bool {
        set.has_all_of(&self.before) && !set.is_more_than_double(&self.before)
    }
}

impl IpAllowList {
    /// Makes a list of a text in [the format](Self#format): one prefix a line.
    ///
    /// # Errors
    ///
    /// [`ListErrorKind`](super::ListErrorKind)`::Prefixes`, `Empty`, `TooLong` or `TooWide`.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::parse(text)?))
    }

    /// Makes a list of prefixes and addresses, each a text, so that no type of another crate is
    /// part of this API.
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
    /// [`ListErrorKind`](super::ListErrorKind)`::Prefixes` (with the number of the prefix for that
    /// of its line), `Empty` or `TooWide`.
    pub fn from_prefixes<I>(prefixes: I) -> Result<Self, ListError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let set = checked(IpSet::new(list_format::each(prefixes)?))?;
        Ok(Self::new(Candidate::new(set)))
    }

    /// Reads a list from a file. Blocks; meant for the start of a service.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and `File` or `NotAFile`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::read(path.as_ref())?))
    }

    /// Replaces the list, for all clones at once. Join prefixes from elsewhere by line ends.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and `Shrunk`. The list in force does not change.
    pub fn replace(&self, text: &str, shrink: Shrink) -> Result<Reload, ListError> {
        self.put(Candidate::parse(text)?, shrink)
    }

    /// Replaces the list by that of a file. Blocks: in a task use `tokio::task::spawn_blocking`,
    /// or let `watch` (feature `tokio`) read the file.
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace), and `File` or `NotAFile`. The list in force does not change.
    pub fn reload_from(&self, path: impl AsRef<Path>, shrink: Shrink) -> Result<Reload, ListError> {
        let path = path.as_ref();
        self.put(Candidate::read(path)?, shrink)
            .map_err(|error| error.at(path))
    }

    /// Returns whether the list has this address.
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

    /// What is in force now. Held only as long as one request is looked at.
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
            high_water: (*candidate.set).clone(),
            growths: Vec::new(),
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

    /// Takes what a watched file says, unless the host has overridden just that.
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
        let outcome = record.guard(&old, &set, shrink)?;
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

impl Record {
    /// Compares a new list with those before it, and keeps what the next one is compared with.
    fn guard(
        &mut self,
        old: &Arc<IpSet>,
        set: &IpSet,
        shrink: Shrink,
    ) -> Result<Reload, ListError> {
        let has_grown = set.is_more_than_double(old);
        match shrink {
            Shrink::Allow => {
                self.high_water = set.clone();
                self.growths.clear();
            }
            Shrink::Refuse if set.keeps_half_of(old) && set.keeps_half_of(&self.high_water) => {
                if has_grown {
                    self.push_growth(old);
                }
                self.high_water.raise_to(set);
            }
            Shrink::Refuse => {
                self.take_back_growth(set)?;
                return Ok(Reload::Replaced);
            }
        }
        Ok(match has_grown {
            true => Reload::Grown,
            false if *set == **old => Reload::Unchanged,
            false => Reload::Replaced,
        })
    }

    fn push_growth(&mut self, before: &Arc<IpSet>) {
        if self.growths.len() == MAX_GROWTHS {
            self.growths.remove(0);
        }
        self.growths.push(Growth {
            before: Arc::clone(before),
            high_water: self.high_water.clone(),
        });
    }

    /// Without this, a list that grew by mistake would stay: the repaired one is much smaller.
    fn take_back_growth(&mut self, set: &IpSet) -> Result<(), ListError> {
        let mut growths = self.growths.iter();
        let latest = growths.rposition(|growth| growth.is_taken_back_by(set));
        self.growths.truncate(latest.ok_or(Problem::Shrunk)? + 1);
        if let Some(growth) = self.growths.pop() {
            self.high_water = growth.high_water;
            self.high_water.raise_to(set);
        }
        Ok(())
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

/// A list that is good in itself, and not yet in force.
pub(super) struct Candidate {
    set: Arc<IpSet>,
    modified: Option<SystemTime>,
    is_file: bool,
}

impl Candidate {
    fn new(set: IpSet) -> Self {
        Self {
            set: Arc::new(set),
            modified: None,
            is_file: false,
        }
    }

    fn parse(text: &str) -> Result<Self, ListError> {
        let set = IpSet::new(list_format::prefixes(text)?);
        Ok(Self::new(checked(set)?))
    }

    pub(super) fn read(path: &Path) -> Result<Self, ListError> {
        let (text, modified) = read(path).map_err(|problem| ListError::from(problem).at(path))?;
        let candidate = Self::parse(&text).map_err(|error| error.at(path))?;
        Ok(Self {
            modified,
            is_file: true,
            ..candidate
        })
    }
}

fn checked(set: IpSet) -> Result<IpSet, ListError> {
    if set.is_too_wide() {
        return Err(Problem::TooWide.into());
    }
    Ok(set)
}

/// Reads at most one byte more than a list may have, from a regular file.
fn read(path: &Path) -> Result<(String, Option<SystemTime>), Problem> {
    let file = open(path).map_err(Problem::File)?;
    let metadata = file.metadata().map_err(Problem::File)?;
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Problem::File)?;
    // Comments may be in any encoding; no address has a character that is lost here.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((text, metadata.modified().ok()))
}

/// Opens a file without waiting. Looking at the path first would not do: the file may be swapped
/// for a FIFO in between, and opening that blocks until somebody writes into it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    options.open(path)
}
