use std::{error::Error, fmt, net::IpAddr};

use http::{HeaderMap, HeaderName, header};

use super::{
    error::BadPrefixes,
    hops::{Elements, Syntax},
    prefixes::Prefixes,
    text,
};

/// More proxies than any chain has. Bounds the walk over a header that somebody has filled.
const MAX_HOPS: usize = 32;

/// The proxies in front of the host, whose word is taken for the address of the caller.
///
/// Each proxy writes behind what it got who has called it, so the header is walked from right to left, over all of its lines as one list, and
/// what stands left of the first caller that is no proxy is never believed: it is the caller's own.
///
/// ```
/// use tower_whatsapp::{WebhookLayer, admission::{CallerHeader, IpAllowList, TrustedProxies}};
///
/// let layer = WebhookLayer::builder()
///     .path("/webhook")
///     .app_secret("the app secret")
///     .verify_token("the verify token")
///     .ip_allow_list(IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32"])?)
///     // The load balancer has one of these addresses.
///     .trusted_proxies(TrustedProxies::within(["10.0.0.0/8"], CallerHeader::XForwardedFor)?)
///     .build()?;
///
/// // Or: there are two proxies, whatever their addresses, and no other way in.
/// let proxies = TrustedProxies::hops(2, CallerHeader::Forwarded)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who the caller is
///
/// | Proxies are known by | The other end of the connection | The caller |
/// |---|---|---|
/// | [their addresses](Self::within) | none of them | the other end; no header is looked at |
/// | | one of them | the first from the right that is none of them; the left-most if all are |
/// | [their number](Self::hops) `n` | the first of them, whoever it is | the `n`-th from the right |
///
/// It is not known, and nobody is let in, if there is no such header, if it is too short, if more than 32 in a row are proxies, or if what is needed
/// of it is not an address: `unknown`, `_hidden`, nothing between two commas, a port that is none, more than 1024 bytes. Elements are
/// `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, the first and the last also with a port; in `Forwarded` the one `for` of each, in
/// quotes or not, and no backslash.
#[derive(Clone)]
pub struct TrustedProxies {
    known: Known,
    header: CallerHeader,
}

/// The header in which the proxies write who has called them. The other one is never looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.1`.
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"` (RFC 7239).
    Forwarded,
}

/// What is wrong with the settings of [`TrustedProxies`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxiesError {
    /// There is no prefix.
    Empty,
    /// Some are no prefixes, or hold nearly every address.
    Prefixes(BadPrefixes),
    /// The number of proxies is not 1 to 32. Without proxies the setting is left out.
    Hops,
}

#[derive(Clone)]
enum Known {
    Within(Prefixes),
    /// Starting at 0: the element of the outermost.
    Hops(usize),
}

impl TrustedProxies {
    /// Proxies that are known by their addresses: each a prefix such as `10.0.0.0/8`, or an address. To be preferred: who reaches the
    /// host around the proxies is not believed.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::Empty`] or [`ProxiesError::Prefixes`]: malformed, bits set behind the prefix, or shorter than 8 bits (IPv4) or 7
    /// bits (IPv6).
    pub fn within<I>(prefixes: I, header: CallerHeader) -> Result<Self, ProxiesError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let nets = text::each(prefixes).map_err(ProxiesError::Prefixes)?;
        if nets.is_empty() {
            return Err(ProxiesError::Empty);
        }
        Ok(Self {
            known: Known::Within(Prefixes::new(nets)),
            header,
        })
    }

    /// Proxies that are known by their number, for platforms whose balancers have no fixed addresses. Every request must come through all
    /// of them: who can reach the host around one writes the header as they like.
    ///
    /// # Errors
    ///
    /// [`ProxiesError::Hops`] if it is 0 or over 32.
    pub fn hops(proxies: usize, header: CallerHeader) -> Result<Self, ProxiesError> {
        match proxies.checked_sub(1) {
            Some(element) if element < MAX_HOPS => Ok(Self {
                known: Known::Hops(element),
                header,
            }),
            _ => Err(ProxiesError::Hops),
        }
    }

    /// Whether a request from this address certainly comes from one of them: never, if nothing is known but how many there are.
    #[cfg(feature = "client-certificate")]
    pub(super) fn has(&self, peer: IpAddr) -> bool {
        match &self.known {
            Known::Within(prefixes) => prefixes.contains(peer),
            Known::Hops(_) => false,
        }
    }

    /// Whether anybody can be one of them.
    #[cfg(feature = "client-certificate")]
    pub(crate) fn have_addresses(&self) -> bool {
        matches!(self.known, Known::Within(_))
    }

    /// The address of who called the outermost trusted proxy, or of `peer` if that is none. `None` if the headers do not tell.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, syntax) = self.header.describe();
        let mut elements = Elements::new(headers.get_all(name), syntax);
        match &self.known {
            Known::Hops(element) => elements.nth(*element)??.address(),
            Known::Within(prefixes) if !prefixes.contains(peer) => Some(peer),
            Known::Within(prefixes) => {
                let mut caller = None;
                for _ in 0..MAX_HOPS {
                    let Some(element) = elements.next() else {
                        return caller;
                    };
                    let address = element?.address()?;
                    if !prefixes.contains(address) {
                        return Some(address);
                    }
                    caller = Some(address);
                }
                // There may be one more proxy, or one more caller.
                elements.next().is_none().then_some(caller).flatten()
            }
        }
    }
}

impl CallerHeader {
    fn describe(self) -> (HeaderName, Syntax) {
        match self {
            Self::XForwardedFor => (
                HeaderName::from_static("x-forwarded-for"),
                Syntax::Addresses,
            ),
            Self::Forwarded => (header::FORWARDED, Syntax::Pairs),
        }
    }
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TrustedProxies");
        match &self.known {
            Known::Within(prefixes) => debug.field("prefixes", &prefixes.count()),
            Known::Hops(element) => debug.field("hops", &(element + 1)),
        };
        debug.field("header", &self.header).finish()
    }
}

impl fmt::Display for ProxiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`trusted_proxies`: ")?;
        match self {
            Self::Empty => f.write_str("at least one prefix is needed"),
            Self::Prefixes(bad) => bad.fmt(f),
            Self::Hops => f.write_str("there must be 1 to 32 of them"),
        }
    }
}

impl Error for ProxiesError {}
