//! Which requests reach the page: those of a browser on an allowed name, and of the page itself.
//!
//! The page shows message bodies, and can send requests. A website that the user visits must
//! neither read from it nor post to it, also if its name resolves to this address (DNS rebinding).

use std::net::IpAddr;

use http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::Authority};

/// Header that the page sends with its posts. Another site cannot without a CORS preflight, which
/// is refused.
pub(super) const POST_HEADER: &str = "x-whatsapp-webhook";

#[derive(Debug, Clone)]
pub(super) struct Guard {
    is_loopback: bool,
    names: Vec<String>,
    /// Empty, or `/` and a secret token.
    prefix: String,
}

impl Guard {
    pub(super) fn new(address: IpAddr, names: Vec<String>, prefix: String) -> Self {
        let is_loopback = address.is_loopback();
        Self {
            is_loopback,
            names,
            prefix,
        }
    }

    /// Returns the path without the token, or why the request is refused.
    pub(super) fn check<'a, B>(&self, request: &'a Request<B>) -> Result<&'a str, Refused> {
        let path = self.strip_token(request.uri().path())?;
        let host = host(request.uri(), request.headers()).ok_or(Refused::Host)?;
        if !self.allows_host(host) {
            return Err(Refused::Host);
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let header = |name: &str| request.headers().get(name).map(http::HeaderValue::as_bytes);
        match header("sec-fetch-site") {
            None | Some(b"same-origin" | b"none") => {}
            // A link to the page may be on another site. The page cannot be framed.
            Some(_) if is_read && path == "/" && header("sec-fetch-dest") == Some(b"document") => {}
            Some(_) => return Err(Refused::Origin),
        }
        let own = |origin: &[u8]| origin.strip_prefix(b"http://") == Some(host.as_bytes());
        match request.headers().get(header::ORIGIN) {
            Some(origin) if !own(origin.as_bytes()) => Err(Refused::Origin),
            _ if !is_read && header(POST_HEADER).is_none() => Err(Refused::Origin),
            _ => Ok(path),
        }
    }

    fn strip_token<'a>(&self, path: &'a str) -> Result<&'a str, Refused> {
        let (prefix, rest) = path
            .split_at_checked(self.prefix.len())
            .ok_or(Refused::Token)?;
        // Compares all bytes, so that the time does not tell how many are right.
        let pairs = prefix.bytes().zip(self.prefix.bytes());
        let difference = pairs.fold(0, |difference, (left, right)| difference | (left ^ right));
        match rest.starts_with('/') && difference == 0 {
            true => Ok(rest),
            false => Err(Refused::Token),
        }
    }

    fn allows_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host();
        // Nothing else is before the name, or after it.
        let port = host.strip_prefix(name);
        if !port.is_some_and(|port| port.is_empty() || is_port(port)) {
            return false;
        }
        // A name that an attacker controls may resolve to this address, but an address may not.
        let address = match name.strip_prefix('[') {
            Some(rest) => {
                let address = rest.strip_suffix(']').and_then(|text| text.parse().ok());
                address.map(IpAddr::V6)
            }
            None => name.parse().ok().map(IpAddr::V4),
        };
        let is_address = address.is_some_and(|address| !self.is_loopback || address.is_loopback());
        let is_named = self
            .names
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name));
        is_address || name.eq_ignore_ascii_case("localhost") || is_named
    }
}

/// Whether this is `:` and a port.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    })
}

/// The only host of a request.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = values.next()?.to_str().ok()?;
    let is_only = values.next().is_none();
    let is_same = uri
        .authority()
        .is_none_or(|authority| authority.as_str() == host);
    (is_only && is_same).then_some(host)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// As any unknown path, so that a guess learns nothing.
    Token,
    Host,
    Origin,
}

impl Refused {
    pub(super) fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Token => (StatusCode::NOT_FOUND, "not found\n"),
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "the page is not served under this host name; allow it with --page-host\n",
            ),
            Self::Origin => (StatusCode::FORBIDDEN, "another site sent this request\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        guard: &Guard,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<String, Refused> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(()).unwrap()).map(str::to_owned)
    }

    fn loopback() -> Guard {
        Guard::new(
            [127, 0, 0, 1].into(),
            vec!["dev.test".to_owned()],
            String::new(),
        )
    }

    #[test]
    fn only_local_names_are_hosts_on_loopback() {
        for host in [
            "127.0.0.1:3001",
            "localhost",
            "LOCALHOST:1",
            "[::1]:3001",
            "127.9.9.9",
            "Dev.test:80",
        ] {
            assert_eq!(
                check(&loopback(), "GET", "/", &[("host", host)]),
                Ok("/".to_owned()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:3001",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "[::2]:1",
            "localhost.evil.example",
            "dev.test.evil.example",
            "localhost:1@evil.example",
            "localhost@localhost",
            "127.0.0.1:80:evil.example",
            "[::1].evil.example",
            "[::1]evil.example",
            "[localhost].evil.example",
            "[localhost]",
            "[127.0.0.1]",
            "[dev.test",
            "::1",
            "127.0.0.1:99999999",
            "127.0.0.1:",
            "127.0.0.1:+80",
            "localhost:80 ",
        ] {
            assert_eq!(
                check(&loopback(), "GET", "/", &[("host", host)]),
                Err(Refused::Host),
                "{host}"
            );
        }
        assert_eq!(check(&loopback(), "GET", "/", &[]), Err(Refused::Host));
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(&loopback(), "GET", "/", &two), Err(Refused::Host));
        let absolute = "http://evil.example/";
        assert_eq!(
            check(&loopback(), "GET", absolute, &[("host", "localhost")]),
            Err(Refused::Host)
        );
    }

    #[test]
    fn other_sites_neither_read_nor_post() {
        let own = ("host", "localhost:3001");
        let marked = (POST_HEADER, "1");
        for (method, path, headers, expected) in [
            ("GET", "/api/stream", vec![own], true),
            (
                "GET",
                "/api/stream",
                vec![own, ("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                "GET",
                "/api/stream",
                vec![own, ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "GET",
                "/api/stream",
                vec![own, ("sec-fetch-site", "same-site")],
                false,
            ),
            (
                "GET",
                "/",
                vec![
                    own,
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-dest", "document"),
                ],
                true,
            ),
            (
                "GET",
                "/",
                vec![
                    own,
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-dest", "iframe"),
                ],
                false,
            ),
            (
                "GET",
                "/page.js",
                vec![
                    own,
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-dest", "script"),
                ],
                false,
            ),
            (
                "GET",
                "/api/stream",
                vec![own, ("origin", "http://evil.example")],
                false,
            ),
            (
                "POST",
                "/api/send",
                vec![own, marked, ("origin", "http://localhost:3001")],
                true,
            ),
            ("POST", "/api/send", vec![own, marked], true),
            ("POST", "/api/send", vec![own], false),
            (
                "POST",
                "/api/send",
                vec![own, ("origin", "http://localhost:3001")],
                false,
            ),
            (
                "POST",
                "/api/send",
                vec![own, marked, ("origin", "http://localhost:3000")],
                false,
            ),
            (
                "POST",
                "/api/send",
                vec![own, marked, ("origin", "https://localhost:3001")],
                false,
            ),
            (
                "POST",
                "/api/send",
                vec![own, marked, ("origin", "null")],
                false,
            ),
            (
                "POST",
                "/api/send",
                vec![own, marked, ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "POST",
                "/",
                vec![
                    own,
                    marked,
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-dest", "document"),
                ],
                false,
            ),
        ] {
            let checked = check(&loopback(), method, path, &headers);
            assert_eq!(checked.is_ok(), expected, "{method} {path} {headers:?}");
            assert!(expected || checked == Err(Refused::Origin));
        }
    }

    #[test]
    fn elsewhere_the_path_starts_with_the_token() {
        let guard = Guard::new([0, 0, 0, 0].into(), vec![], "/0123456789abcdef".to_owned());
        let host = [("host", "192.168.1.7:3001")];
        assert_eq!(
            check(&guard, "GET", "/0123456789abcdef/", &host),
            Ok("/".to_owned())
        );
        assert_eq!(
            check(&guard, "GET", "/0123456789abcdef/page.js", &host),
            Ok("/page.js".to_owned())
        );
        for path in [
            "/",
            "/page.js",
            "/0123456789abcdef",
            "/0123456789abcdee/",
            "/0123456789abcdefa/",
            "/0123456789ABCDEF/",
            "//0123456789abcdef/",
        ] {
            assert_eq!(
                check(&guard, "GET", path, &host),
                Err(Refused::Token),
                "{path}"
            );
        }
        let named = [("host", "evil.example")];
        assert_eq!(
            check(&guard, "GET", "/0123456789abcdef/", &named),
            Err(Refused::Host)
        );
    }
}
