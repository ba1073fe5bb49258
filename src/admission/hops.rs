use std::{
    iter::Rev,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::header::{GetAll, HeaderValue, ValueIter};

/// One with a name of a host and an address of each kind in it has 400. Bounds the search for a comma.
const MAX_ELEMENT: usize = 1024;

/// How an element of the header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `X-Forwarded-For`.
    Addresses,
    /// `Forwarded`.
    Pairs,
}

/// The elements of all lines, from the last to the first: the order in which they can be believed. Nothing that stands left of an
/// element has a say in where it begins, so an open quote of the caller's does not swallow what proxies write behind it.
///
/// `None` is one whose beginning cannot be told; nothing comes after it.
pub(super) struct Elements<'a> {
    lines: Rev<ValueIter<'a, HeaderValue>>,
    /// What is left of a line.
    line: Option<&'a [u8]>,
    syntax: Syntax,
    is_lost: bool,
}

/// One element, as it was written.
pub(super) struct Element<'a> {
    bytes: &'a [u8],
    syntax: Syntax,
}

impl<'a> Elements<'a> {
    pub(super) fn new(lines: GetAll<'a, HeaderValue>, syntax: Syntax) -> Self {
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
        let Some(length) = last(line, self.syntax) else {
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

/// The length of the last element of a line.
fn last(line: &[u8], syntax: Syntax) -> Option<usize> {
    let mut is_quoted = false;
    let mut length = 0;
    for byte in line.iter().rev() {
        match (byte, syntax) {
            (b',', _) if !is_quoted => return Some(length),
            (b'"', Syntax::Pairs) => is_quoted = !is_quoted,
            // Whether a quote behind it is one depends on what is left of it.
            (b'\\', Syntax::Pairs) => return None,
            _ => {}
        }
        length += 1;
        if length > MAX_ELEMENT {
            return None;
        }
    }
    (!is_quoted).then_some(length)
}

impl Element<'_> {
    pub(super) fn address(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.bytes).ok()?;
        match self.syntax {
            Syntax::Addresses => node(trim(text)),
            Syntax::Pairs => node(one_for(text)?),
        }
        .map(|address| address.to_canonical())
    }
}

/// The value of the one `for`. Nothing but pairs may stand beside it.
fn one_for(element: &str) -> Option<&str> {
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

/// An address, with or without a port.
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

/// Digits only: `u16::from_str` would take a `+`.
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
    fn nodes() {
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
    fn pairs() {
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
            assert_eq!(one_for(element), value, "{element:?}");
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
    fn from_right_to_left() {
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
            let long = "a".repeat(MAX_ELEMENT);
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
        // Quotes and backslashes say something in one of the two only.
        assert_eq!(elements(&[line], Syntax::Addresses).len(), 5);
        assert_eq!(elements(&[r"a\,b"], Syntax::Addresses).len(), 2);
    }

    /// What is left of an element cannot change it, and what cannot be told apart ends the walk.
    #[test]
    fn quotes_that_do_not_end() {
        let b = || Some("b".to_owned());
        assert_eq!(elements(&[r#"x,a=",b"#], Syntax::Pairs), [b(), None]);
        assert_eq!(elements(&["x", r#"a=""#, "b"], Syntax::Pairs), [b(), None]);
        assert_eq!(elements(&[r#"x,a="\",b"#], Syntax::Pairs), [b(), None]);
        let injected = r#"for=a;host="x\", for=y;host=\"z""#;
        assert_eq!(elements(&[injected], Syntax::Pairs), [None]);
    }
}
