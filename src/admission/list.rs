use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;

use super::{
    error::ListError,
    prefixes::Prefixes,
    text::{self, MAX_TEXT},
};

/// The addresses that may call.
///
/// This crate has no such list and fetches none: the host brings it, and brings it again when it has changed. A clone is cheap and is the
/// same list: give one to [`ip_allow_list`](crate::WebhookLayerBuilder::ip_allow_list) and keep one to [replace](Self::replace) what is in it.
/// That happens at once for all requests; no lock is taken to look an address up.
///
/// ```
/// use tower_whatsapp::{WebhookLayer, admission::{IpAllowList, Shrink}};
///
/// // What `whois -h whois.radb.net -- '-i origin AS32934'` prints, with or without `| grep ^route`.
/// let list = IpAllowList::parse("
/// route:      157.240.0.0/16
/// descr:      a network
/// origin:     AS32934
///
/// route6:     2a03:2880::/32
/// origin:     AS32934
/// ")?;
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
/// # Text
///
/// Any of these, at most 4 MiB, with either kind of line ends:
///
/// | Form | What counts |
/// |---|---|
/// | RPSL objects, as `whois` prints them | the lines `route:` and `route6:`; all other attributes are passed over, with the indented lines behind them |
/// | one per line | a prefix such as `157.240.0.0/16`, or an address |
/// | a geofeed (RFC 8805), as Meta publishes it | what is before the first comma |
///
/// `#` begins a comment, as does `%` at the beginning of a line. Duplicates and overlaps are fine. Everything else is an error that
/// names the line, and then nothing of the text is taken: what is no prefix, bits that are set behind the prefix, and prefixes shorter than
/// 8 bits (IPv4) or 7 bits (IPv6), which are half of the internet and mostly the rest of a line that was cut off.
///
/// A caller whose IPv4 address is mapped into IPv6 (`::ffff:157.240.22.35`) is looked for as what it is.
///
/// # What it is worth
///
/// An address says whose network a request came from and not who sent it, so it admits nobody: the signature is checked all the same. What
/// it does is to keep strangers from having bodies read. Meta's addresses change from time to time, and Meta recommends
/// client certificates over lists of them.
#[derive(Clone)]
pub struct IpAllowList {
    shared: Arc<Shared>,
}

/// What becomes of a new list that has less than half of the addresses of the old one, of IPv4 or of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shrink {
    /// The old one stays: half of a list is more often half of a download than what has become of a network.
    #[default]
    Refuse,
    /// It is taken: somebody has looked at it.
    Allow,
}

/// What became of a new list that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// It has the same prefixes as the one before.
    Unchanged,
    /// It is in force.
    Replaced,
}

/// How a list is doing. For monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListStatus {
    /// Counts the lists that were in force. The first is 1.
    pub generation: u64,
    /// How many different prefixes there are in it.
    pub prefixes: usize,
    /// The time since it came into force.
    pub age: Duration,
    /// The time since it came into force, or since a new list was last found to be the same. Grows while new ones are refused, or their file
    /// cannot be read.
    pub confirmed: Duration,
    /// When the file was written that it was last read from, by the file system's word. Grows old while whoever writes the file does not.
    /// None if it was not read from a file.
    pub modified: Option<SystemTime>,
}

struct Shared {
    prefixes: ArcSwap<Prefixes>,
    /// Held by whoever replaces them.
    record: Mutex<Record>,
}

struct Record {
    generation: u64,
    since: Instant,
    confirmed: Instant,
    modified: Option<SystemTime>,
}

impl IpAllowList {
    /// Makes a list of a text: see [the forms](Self#text).
    ///
    /// # Errors
    ///
    /// [`ListError::Prefixes`], [`ListError::Empty`] or [`ListError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::parse(text)?))
    }

    /// Makes a list of prefixes and addresses, each a text: no type of another crate is asked for, and those of all crates can be written.
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
    /// [`ListError::Prefixes`], with the number of the prefix for that of its line, or [`ListError::Empty`].
    pub fn from_prefixes<I>(prefixes: I) -> Result<Self, ListError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let nets = text::each(prefixes).map_err(ListError::Prefixes)?;
        if nets.is_empty() {
            return Err(ListError::Empty);
        }
        Ok(Self::new(Candidate {
            prefixes: Prefixes::new(nets),
            modified: None,
        }))
    }

    /// Reads a list from a file. Blocks, and is meant for the start of a service.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`ListError::File`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ListError> {
        Ok(Self::new(Candidate::read(path.as_ref())?))
    }

    /// Puts another list in the place of this one, for all clones at once. Several prefixes from elsewhere are joined by line ends.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`ListError::Shrunk`]. The list stays as it was.
    pub fn replace(&self, text: &str, shrink: Shrink) -> Result<Reload, ListError> {
        self.put(Candidate::parse(text)?, shrink)
    }

    /// The same with a file. Blocks: in a task use `tokio::task::spawn_blocking`, or let `watch` (feature `tokio`) look at the file.
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace), and [`ListError::File`]. The list stays as it was.
    pub fn reload_from(&self, path: impl AsRef<Path>, shrink: Shrink) -> Result<Reload, ListError> {
        self.put(Candidate::read(path.as_ref())?, shrink)
    }

    /// Whether it has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.shared.prefixes.load().contains(address)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> ListStatus {
        let record = self.shared.record.lock();
        let record = record.unwrap_or_else(PoisonError::into_inner);
        ListStatus {
            generation: record.generation,
            prefixes: self.shared.prefixes.load().count(),
            age: record.since.elapsed(),
            confirmed: record.confirmed.elapsed(),
            modified: record.modified,
        }
    }

    fn new(candidate: Candidate) -> Self {
        let now = Instant::now();
        let record = Record {
            generation: 1,
            since: now,
            confirmed: now,
            modified: candidate.modified,
        };
        Self {
            shared: Arc::new(Shared {
                prefixes: ArcSwap::from_pointee(candidate.prefixes),
                record: Mutex::new(record),
            }),
        }
    }

    pub(super) fn put(&self, candidate: Candidate, shrink: Shrink) -> Result<Reload, ListError> {
        let Candidate { prefixes, modified } = candidate;
        let record = self.shared.record.lock();
        let mut record = record.unwrap_or_else(PoisonError::into_inner);
        let old = self.shared.prefixes.load_full();
        if shrink == Shrink::Refuse && prefixes.is_less_than_half_of(&old) {
            return Err(ListError::Shrunk);
        }
        record.confirmed = Instant::now();
        record.modified = modified;
        if prefixes == *old {
            return Ok(Reload::Unchanged);
        }
        record.generation += 1;
        record.since = record.confirmed;
        self.shared.prefixes.store(Arc::new(prefixes));
        Ok(Reload::Replaced)
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
    prefixes: Prefixes,
    modified: Option<SystemTime>,
}

impl Candidate {
    fn parse(text: &str) -> Result<Self, ListError> {
        Ok(Self {
            prefixes: Prefixes::new(text::prefixes(text)?),
            modified: None,
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self, ListError> {
        let (bytes, modified) = bounded(path).map_err(ListError::File)?;
        // Registries have descriptions in other encodings; no address has a character that is lost here.
        let candidate = Self::parse(&String::from_utf8_lossy(&bytes))?;
        Ok(Self {
            modified,
            ..candidate
        })
    }
}

/// At most one byte more than a text may have.
fn bounded(path: &Path) -> io::Result<(Vec<u8>, Option<SystemTime>)> {
    // To open a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let file = File::open(path)?;
    let modified = file.metadata()?.modified().ok();
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes, modified))
}
