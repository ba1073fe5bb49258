use std::{error::Error, fmt, net::IpAddr};

use http::HeaderMap;

use super::{
    error::ListError,
    forwarded_for::{Elements, ForwardedHeader},
    ip_allow_list::IpAllowList,
    ip_set::IpSet,
};

/// Maximum number of proxies. Bounds the work on a long header from a caller.
const MAX_PROXIES: usize = 32;

/// Reverse proxies in front of the host that are trusted to report the client address.
///
/// Each proxy appends the address of its client to the header it received. The header is therefore
/// read from right to left, with all header lines as one list. Everything to the left of the
/// caller's address is ignored: the caller wrote it.
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
/// // Or: two proxies with any addresses, and no way around them.
/// let proxies = TrustedProxies::with_hop_count(2, ForwardedHeader::forwarded())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Which address is the caller's
///
/// | Proxies are known by | Peer of the connection | Caller |
/// |---|---|---|
/// | [their addresses](Self::from_prefixes) | not a proxy | the peer; no header is read |
/// | | a proxy | the first address from the right that is not a proxy; the leftmost if all are |
/// | [their number](Self::with_hop_count) `n` | ignored | the `n`-th address from the right |
///
/// A proxy's own address ([`with_own_address`](ForwardedHeader::with_own_address)) is skipped
/// first. A header with a [single address](ForwardedHeader::single_address) must have exactly one.
///
/// The caller is unknown, and refused, if the header is missing or has too few addresses, if more
/// than 32 addresses in a row are proxies, or if a required address cannot be parsed: `unknown`,
/// `_hidden`, an empty element, an invalid port, more than 1024 bytes. Addresses are `192.0.2.1`,
/// `2001:db8::1` or `[2001:db8::1]`, the first and the last also with a port. Each element of
/// `Forwarded` must have one `for`, quoted or not, without a backslash.
#[derive(Clone)]
pub struct TrustedProxies {
    known: Known,
    header: ForwardedHeader,
}

/// Error of the settings of [`TrustedProxies`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxiesError {
    /// The address list was refused.
    List(ListError),
    /// The number of proxies is not 1 to 32, or not 1 for a header with a single address.
    HopCount,
}

#[derive(Clone)]
enum Known {
    List(IpAllowList),
    HopCount(usize),
}

impl TrustedProxies {
    /// Trusts proxies with these addresses: prefixes such as `10.0.0.0/8`, or single addresses.
    ///
    /// Prefer this over a hop count: a caller that bypasses the proxies is then not trusted.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::List`] if a prefix is invalid or there is none.
    pub fn from_prefixes<I>(prefixes: I, header: ForwardedHeader) -> Result<Self, ProxiesError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let list = IpAllowList::from_prefixes(prefixes).map_err(ProxiesError::List)?;
        Ok(Self::from_list(list, header))
    }

    /// Trusts the proxies of a list that can be loaded from a file, watched, and replaced while
    /// requests are served. Use it for published ranges that change, as those of Cloudflare and
    /// CloudFront.
    ///
    /// A list that grows is in force at once, and every address in it can then write the header.
    /// Alert on [`Reload::Grown`](super::Reload::Grown), and see
    /// [after a list has grown](IpAllowList#after-a-list-has-grown).
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

    /// Trusts this number of proxies, for platforms whose load balancers have no fixed addresses.
    ///
    /// Count the proxies that append the address of their client to the header, from the
    /// outermost to the one next to the host. A proxy that appends its own address as well
    /// still counts once: declare it with
    /// [`with_own_address`](ForwardedHeader::with_own_address). A count that is too low refuses
    /// every caller. A count that is too high lets the caller choose its address.
    ///
    /// The peer address is ignored, so this also works on a Unix socket. Every request must pass
    /// through all of the proxies: a caller that can bypass one of them can write the header.
    ///
    /// It cannot be combined with a certificate from a header
    /// (`ClientCertificate::forwarded`): building the layer then fails with
    /// [`ConfigError::TrustedProxiesMissing`](crate::ConfigError::TrustedProxiesMissing). A
    /// count does not prove that the peer is a proxy, so any caller that reaches the host could
    /// write Meta's name. Use [`from_prefixes`](Self::from_prefixes) there.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::HopCount`] if the count is 0 or over 32, or not 1 for a header with a
    /// [single address](ForwardedHeader::single_address).
    pub fn with_hop_count(proxies: usize, header: ForwardedHeader) -> Result<Self, ProxiesError> {
        let max = if header.is_single() { 1 } else { MAX_PROXIES };
        if !(1..=max).contains(&proxies) {
            return Err(ProxiesError::HopCount);
        }
        Ok(Self {
            known: Known::HopCount(proxies),
            header,
        })
    }

    /// Returns whether this peer is certainly a proxy. Always false if only the count is known.
    #[cfg(feature = "client-certificate")]
    pub(super) fn has(&self, peer: IpAddr) -> bool {
        match &self.known {
            Known::List(list) => list.contains(peer),
            Known::HopCount(_) => false,
        }
    }

    /// Returns whether the proxies are known by their addresses.
    #[cfg(feature = "client-certificate")]
    pub(super) fn have_addresses(&self) -> bool {
        matches!(self.known, Known::List(_))
    }

    /// Returns the client address, or `None` if it is unknown.
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
                first_untrusted(elements, &proxies)
            }
        }
    }
}

/// Returns the first address from the right that is not a proxy, or the leftmost if all are.
fn first_untrusted(mut elements: Elements<'_>, proxies: &IpSet) -> Option<IpAddr> {
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
    // Beyond the maximum, the next element may be a proxy or the caller.
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
            // The message of the list error is part of this one, so skip to its source.
            Self::List(error) => error.source(),
            Self::HopCount => None,
        }
    }
}
