use std::{
    iter::Rev,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::{
    HeaderMap, HeaderName,
    header::{self, GetAll, HeaderValue, ValueIter},
};

/// Maximum length of an element, bytes. Bounds the search for a comma. A `Forwarded` element with a
/// host name and an IPv4 and an IPv6 address has about 400 bytes.
const MAX_ELEMENT_LENGTH: usize = 1024;

/// The header in which reverse proxies report the client address. No other header is read.
///
/// Choose a header that the proxy sets or appends to on every request: a proxy that writes one of
/// these headers passes the others through as the caller wrote them.
/// [Behind a proxy](crate::admission::behind_a_proxy) lists the header of each platform.
///
/// ```
/// use tower_whatsapp::admission::{ForwardedHeader, TrustedProxies};
///
/// let balancer = TrustedProxies::with_hop_count(1, ForwardedHeader::google_load_balancer())?;
/// let nginx = TrustedProxies::from_prefixes(["127.0.0.1"], ForwardedHeader::x_forwarded_for())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "X-Forwarded-For")]
#[doc(alias = "X-Real-IP")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedHeader {
    name: HeaderName,
    syntax: Syntax,
    /// Number of elements at the end that the last proxy appends for its own address.
    own_addresses: usize,
}

/// Syntax of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// `X-Forwarded-For`.
    Addresses,
    /// `Forwarded`.
    Pairs,
    /// One address, which replaces the header that the caller sent.
    Single,
}

impl ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.1`: each proxy appends the address of its client.
    #[must_use]
    pub fn x_forwarded_for() -> Self {
        Self::new(
            HeaderName::from_static("x-forwarded-for"),
            Syntax::Addresses,
        )
    }

    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"` (RFC 7239).
    #[must_use]
    pub fn forwarded() -> Self {
        Self::new(header::FORWARDED, Syntax::Pairs)
    }

    /// A header with one address, such as `X-Real-IP`, which the proxy sets on every request.
    ///
    /// The proxy must replace a header of this name that the caller sent. Two addresses, or two
    /// headers, are refused. With [`with_hop_count`](super::TrustedProxies::with_hop_count) the
    /// count must be 1.
    #[must_use]
    pub fn single_address(name: HeaderName) -> Self {
        Self::new(name, Syntax::Single)
    }

    /// Declares that the proxy next to the host appends its own address after the client address:
    /// `client, proxy`. The last element is then skipped.
    #[must_use]
    pub fn with_own_address(mut self) -> Self {
        self.own_addresses = 1;
        self
    }

    /// AWS Application Load Balancer: `X-Forwarded-For`. The attribute
    /// `routing.http.xff_header_processing.mode` must be `append`, its default: with `preserve`
    /// the caller writes the header.
    #[must_use]
    pub fn aws_alb() -> Self {
        Self::x_forwarded_for()
    }

    /// Cloudflare, proxied or through `cloudflared`: `CF-Connecting-IP`.
    #[must_use]
    pub fn cloudflare() -> Self {
        Self::single_address(HeaderName::from_static("cf-connecting-ip"))
    }

    /// Azure Front Door: `X-Azure-SocketIP`, the address of the TCP connection.
    /// `X-Azure-ClientIP` is not used, because the caller can set it.
    #[must_use]
    pub fn azure_front_door() -> Self {
        Self::single_address(HeaderName::from_static("x-azure-socketip"))
    }

    /// Fly.io: `Fly-Client-IP`.
    #[must_use]
    pub fn fly_io() -> Self {
        Self::single_address(HeaderName::from_static("fly-client-ip"))
    }

    /// Google Cloud Application Load Balancer: `X-Forwarded-For: client, load-balancer`.
    #[must_use]
    pub fn google_load_balancer() -> Self {
        Self::x_forwarded_for().with_own_address()
    }

    pub(super) fn is_single(&self) -> bool {
        self.syntax == Syntax::Single
    }

    /// Returns the elements from right to left, without the proxy's own address.
    pub(super) fn elements<'a>(&self, headers: &'a HeaderMap) -> Elements<'a> {
        let mut elements = Elements::new(headers.get_all(&self.name), self.syntax);
        for _ in 0..self.own_addresses {
            elements.next();
        }
        elements
    }

    fn new(name: HeaderName, syntax: Syntax) -> Self {
        Self {
            name,
            syntax,
            own_addresses: 0,
        }
    }
}

/// The elements of all header lines, from last to first: proxies append, so trust decreases from
/// right to left. Text to the left of an element does not affect where it starts, so an open quote
/// from the caller cannot swallow the elements of proxies.
///
/// An item is `None` if the start of the element is ambiguous. The iteration then ends.
pub(super) struct Elements<'a> {
    lines: Rev<ValueIter<'a, HeaderValue>>,
    /// Rest of the current line.
    line: Option<&'a [u8]>,
    syntax: Syntax,
    is_lost: bool,
}

/// One element, not decoded.
pub(super) struct Element<'a> {
    bytes: &'a [u8],
    syntax: Syntax,
}

impl<'a> Elements<'a> {
    fn new(lines: GetAll<'a, HeaderValue>, syntax: Syntax) -> Self {
        Self {
            lines: lines.into_iter().rev(),
            line: None,
            syntax,
            is_lost: false,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<Element<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_lost {
            return None;
        }
        let line = match self.line.take() {
            Some(line) => line,
            None => self.lines.next()?.as_bytes(),
        };
        let Some(length) = last_element_length(line, self.syntax) else {
            self.is_lost = true;
            return Some(None);
        };
        let (rest, bytes) = line.split_at(line.len() - length);
        self.line = rest.strip_suffix(b",");
        Some(Some(Element {
            bytes,
            syntax: self.syntax,
        }))
    }
}

/// Returns the length of the last element of a line, or `None` if its start is ambiguous.
fn last_element_length(line: &[u8], syntax: Syntax) -> Option<usize> {
    let mut is_quoted = false;
    let mut length = 0;
    for byte in line.iter().rev() {
        match (byte, syntax) {
            (b',', _) if !is_quoted => return Some(length),
            (b'"', Syntax::Pairs) => is_quoted = !is_quoted,
            // A quote to its right is escaped or not, depending on the text to its left.
            (b'\\', Syntax::Pairs) => return None,
            _ => {}
        }
        length += 1;
        if length > MAX_ELEMENT_LENGTH {
            return None;
        }
    }
    (!is_quoted).then_some(length)
}

impl Element<'_> {
    pub(super) fn address(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.bytes).ok()?;
        match self.syntax {
            Syntax::Addresses | Syntax::Single => node(trim(text)),
            Syntax::Pairs => node(single_for(text)?),
        }
        .map(|address| address.to_canonical())
    }
}

/// Returns the value of the only `for` pair. The rest of the element must be pairs too.
fn single_for(element: &str) -> Option<&str> {
    let mut found = None;
    let mut is_quoted = false;
    let pairs = element.split(|character| {
        is_quoted ^= character == '"';
        character == ';' && !is_quoted
    });
    for pair in pairs.map(trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = match value.strip_prefix('"') {
            Some(value) => value.strip_suffix('"')?,
            None => value,
        };
        if name.is_empty() || name.contains([' ', '\t', '"']) || value.contains('"') {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// Parses an address with an optional port.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(text) = text.strip_prefix('[') {
        let (address, behind) = text.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let is_port = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
        return is_port.then_some(address.into());
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(address.into())
}

/// Accepts digits only: `u16::from_str` also accepts a `+`.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 5 && text.parse::<u16>().is_ok()
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn addresses_with_and_without_ports() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:0", Some("192.0.2.1")),
            ("192.0.2.1:65535", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:DB8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("::ffff:192.0.2.1")),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:+80", None),
            ("192.0.2.1:000080", None),
            ("192.0.2.1:_hidden", None),
            ("192.0.2.1:80:80", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            ("[192.0.2.1]", None),
            ("[192.0.2.1]:80", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]443", None),
            ("[2001:db8::1]:", None),
            ("[2001:db8::1]:x", None),
            ("[[2001:db8::1]]", None),
            ("fe80::1%eth0", None),
            ("192.0.2.1/32", None),
            ("unknown", None),
            ("_hidden", None),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(node(text), expected, "{text:?}");
        }
    }

    #[test]
    fn forwarded_pairs() {
        for (element, value) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            (" FOR=\"[2001:db8::1]:4711\"\t", Some("[2001:db8::1]:4711")),
            ("by=10.0.0.1;For=a;proto=https", Some("a")),
            ("; ;for=a ; by=b;", Some("a")),
            ("host=\"a;for=b\";for=c", Some("c")),
            ("", None),
            ("by=10.0.0.1", None),
            ("for=a;for=a", None),
            ("for=a;FOR=b", None),
            ("for", None),
            ("a;for=b", None),
            ("=a;for=b", None),
            ("for =a", None),
            ("for=\"a", None),
            ("for=a\"", None),
            ("for=\"a\"b", None),
            ("for=\"a\"\"b\"", None),
            ("\"for=a\"", None),
            ("192.0.2.1", None),
        ] {
            assert_eq!(single_for(element), value, "{element:?}");
        }
    }

    fn elements(lines: &[&str], syntax: Syntax) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x", line.parse().unwrap());
        }
        Elements::new(headers.get_all("x"), syntax)
            .map(|element| {
                element.map(|element| String::from_utf8(element.bytes.to_vec()).unwrap())
            })
            .collect()
    }

    #[test]
    fn elements_are_read_from_right_to_left() {
        let some = |texts: &[&str]| -> Vec<_> {
            texts.iter().map(|text| Some((*text).to_owned())).collect()
        };
        for syntax in [Syntax::Addresses, Syntax::Pairs] {
            assert_eq!(elements(&[], syntax), []);
            assert_eq!(elements(&[""], syntax), some(&[""]));
            assert_eq!(elements(&[",a,,b,"], syntax), some(&["", "b", "", "a", ""]));
            assert_eq!(
                elements(&["a, b", "c", "d,e"], syntax),
                some(&["e", "d", "c", " b", "a"])
            );
            let long = "a".repeat(MAX_ELEMENT_LENGTH);
            let line = format!("b,{long}");
            assert_eq!(elements(&[&line], syntax), some(&[&long, "b"]));
            assert_eq!(elements(&["b", &format!("{long}a")], syntax), [None]);
            assert_eq!(elements(&["b", &format!("{long}a,c")], syntax).len(), 2);
        }
        let line = r#"a="1,2",b="3;,",c"#;
        assert_eq!(
            elements(&[line], Syntax::Pairs),
            some(&["c", r#"b="3;,""#, r#"a="1,2""#])
        );
        // Quotes and backslashes are special in `Forwarded` only.
        assert_eq!(elements(&[line], Syntax::Addresses).len(), 5);
        assert_eq!(elements(&[r"a\,b"], Syntax::Addresses).len(), 2);
    }

    /// Text to the left of an element cannot change it. An ambiguous element ends the iteration.
    #[test]
    fn unbalanced_quotes() {
        let b = || Some("b".to_owned());
        assert_eq!(elements(&[r#"x,a=",b"#], Syntax::Pairs), [b(), None]);
        assert_eq!(elements(&["x", r#"a=""#, "b"], Syntax::Pairs), [b(), None]);
        assert_eq!(elements(&[r#"x,a="\",b"#], Syntax::Pairs), [b(), None]);
        let injected = r#"for=a;host="x\", for=y;host=\"z""#;
        assert_eq!(elements(&[injected], Syntax::Pairs), [None]);
    }
}
