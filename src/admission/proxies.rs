use std::{error::Error, fmt, net::IpAddr};

use http::HeaderMap;

use super::{
    error::ListError,
    forwarded_for::{Elements, ForwardedHeader},
    ip_allow_list::IpAllowList,
    ip_set::IpSet,
};

/// Maximum number of proxies. Bounds the walk over a header that somebody has filled.
const MAX_PROXIES: usize = 32;

/// The proxies in front of the host, which are trusted to report the address of the caller.
///
/// Each proxy appends the address of its client to what it received, so the header is read from
/// right to left, over all of its lines as one list. Nothing to the left of the caller's address
/// is trusted: the caller wrote it.
///
/// ```
/// use tower_whatsapp::{WebhookLayer, admission::{ForwardedHeader, IpAllowList, TrustedProxies}};
///
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the app secret")
///     .verify_token("the verify token")
///     .ip_allow_list(IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32"])?)
///     // The load balancer has one of these addresses.
///     .trusted_proxies(TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::aws_alb())?)
///     .build()?;
///
/// // Or: there are two proxies, whatever their addresses, and no other way in.
/// let proxies = TrustedProxies::with_hop_count(2, ForwardedHeader::forwarded())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Which address is the caller's
///
/// | Proxies are known by | The other end of the connection | The caller |
/// |---|---|---|
/// | [their addresses](Self::from_prefixes) | none of them | the other end; no header is read |
/// | | one of them | the first address from the right that is no proxy; the left-most if all are |
/// | [their number](Self::with_hop_count) `n` | not looked at | the `n`-th address from the right |
///
/// Addresses that a proxy appends for itself
/// ([`with_own_address`](ForwardedHeader::with_own_address)) are skipped first, and a header with a
/// [single address](ForwardedHeader::single_address) must have exactly one.
///
/// The caller is unknown, and refused, if the header is missing or too short, if more than 32
/// addresses in a row are proxies, or if an address that is needed cannot be read: `unknown`,
/// `_hidden`, nothing between two commas, a bad port, more than 1024 bytes. Addresses are
/// `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, the first and the last also with a port. In
/// `Forwarded` it is the only `for` of each element, in quotes or not, without a backslash.
#[derive(Clone)]
pub struct TrustedProxies {
    known: Known,
    header: ForwardedHeader,
}

/// What is wrong with the settings of [`TrustedProxies`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxiesError {
    /// The list of their addresses was refused.
    List(ListError),
    /// The number of proxies is not 1 to 32, or not 1 where the header has a single address.
    HopCount,
}

#[derive(Clone)]
enum Known {
    List(IpAllowList),
    HopCount(usize),
}

impl TrustedProxies {
    /// Trusts proxies that are known by their addresses: each a prefix such as `10.0.0.0/8`, or an
    /// address. Prefer this: a caller that reaches the host around the proxies is then not
    /// trusted.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::List`].
    pub fn from_prefixes<I>(prefixes: I, header: ForwardedHeader) -> Result<Self, ProxiesError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let list = IpAllowList::from_prefixes(prefixes).map_err(ProxiesError::List)?;
        Ok(Self::from_list(list, header))
    }

    /// Trusts the proxies of a list, which can be loaded from a file, watched and replaced while
    /// requests are served: the published ranges of Cloudflare and CloudFront change.
    ///
    /// A list that grows is in force at once, and everybody in it can then write the header. Alert
    /// on [`Reload::Grown`](super::Reload::Grown), and see
    /// [what to do then](IpAllowList#after-a-list-has-grown).
    ///
    /// ```
    /// use tower_whatsapp::admission::{ForwardedHeader, IpAllowList, Shrink, TrustedProxies};
    ///
    /// // curl https://www.cloudflare.com/ips-v4
    /// let list = IpAllowList::parse("173.245.48.0/20\n103.21.244.0/22\n")?;
    /// let proxies = TrustedProxies::from_list(list.clone(), ForwardedHeader::cloudflare());
    ///
    /// // Later, or with `watch`.
    /// list.replace("173.245.48.0/20\n103.21.244.0/22\n103.22.200.0/22\n", Shrink::Refuse)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_list(list: IpAllowList, header: ForwardedHeader) -> Self {
        Self {
            known: Known::List(list),
            header,
        }
    }

    /// Trusts a number of proxies, for platforms whose balancers have no fixed addresses.
    ///
    /// Count the proxies that append the address of their client to the header, from the
    /// outermost to the one next to the host. A proxy that appends its own address as well
    /// still counts once: declare it with
    /// [`with_own_address`](ForwardedHeader::with_own_address). A number that is too low refuses
    /// everybody; a number that is too high lets the caller write its own address.
    ///
    /// The address of the other end is not looked at, so this also works on a Unix socket. Every
    /// request must come through all of the proxies: a caller that can reach the host around one
    /// of them writes the header.
    ///
    /// It cannot be combined with a certificate from a header
    /// (`ClientCertificate::forwarded`): building the layer then fails with
    /// [`ConfigError::TrustedProxiesMissing`](crate::ConfigError::TrustedProxiesMissing). The
    /// number does not prove that a proxy is calling, so anybody who reaches the host could write
    /// Meta's name. Use [`from_prefixes`](Self::from_prefixes) there.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::HopCount`] if it is 0 or over 32, or not 1 for a header with a
    /// [single address](ForwardedHeader::single_address).
    pub fn with_hop_count(proxies: usize, header: ForwardedHeader) -> Result<Self, ProxiesError> {
        let most = if header.is_single() { 1 } else { MAX_PROXIES };
        if !(1..=most).contains(&proxies) {
            return Err(ProxiesError::HopCount);
        }
        Ok(Self {
            known: Known::HopCount(proxies),
            header,
        })
    }

    /// Whether a request from this address certainly comes from one of them: never, if only their
    /// number is known.
    #[cfg(feature = "client-certificate")]
    pub(super) fn has(&self, peer: IpAddr) -> bool {
        match &self.known {
            Known::List(list) => list.contains(peer),
            Known::HopCount(_) => false,
        }
    }

    /// Whether they are known by their addresses.
    #[cfg(feature = "client-certificate")]
    pub(super) fn have_addresses(&self) -> bool {
        matches!(self.known, Known::List(_))
    }

    /// The address of the caller. `None` if the connection and the headers do not tell.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        match &self.known {
            Known::HopCount(count) => {
                let mut elements = self.header.elements(headers);
                let address = elements.nth(count.checked_sub(1)?)??.address();
                address.filter(|_| !self.header.is_single() || elements.next().is_none())
            }
            Known::List(list) => {
                let (peer, proxies) = (peer?, list.set());
                if !proxies.contains(peer) {
                    return Some(peer);
                }
                let mut elements = self.header.elements(headers);
                if self.header.is_single() {
                    let address = elements.next()??.address();
                    return address.filter(|_| elements.next().is_none());
                }
                first_stranger(elements, &proxies)
            }
        }
    }
}

/// The first address from the right that is no proxy, or the left-most.
fn first_stranger(mut elements: Elements<'_>, proxies: &IpSet) -> Option<IpAddr> {
    let mut caller = None;
    for _ in 0..MAX_PROXIES {
        let Some(element) = elements.next() else {
            return caller;
        };
        let address = element?.address()?;
        if !proxies.contains(address) {
            return Some(address);
        }
        caller = Some(address);
    }
    // There may be one more proxy, or one more caller.
    elements.next().is_none().then_some(caller).flatten()
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TrustedProxies");
        match &self.known {
            Known::List(list) => debug.field("list", list),
            Known::HopCount(count) => debug.field("hop_count", count),
        };
        debug.field("header", &self.header).finish()
    }
}

impl fmt::Display for ProxiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`trusted_proxies`: ")?;
        match self {
            Self::List(error) => error.fmt(f),
            Self::HopCount => f.write_str(
                "the number of proxies must be 1 to 32, and 1 for a header with a single address",
            ),
        }
    }
}

impl Error for ProxiesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its own text is part of this one.
            Self::List(error) => error.source(),
            Self::HopCount => None,
        }
    }
}
