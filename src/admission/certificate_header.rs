use std::{error::Error, fmt};

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};

use super::{
    distinguished_name::{self, hex},
    error::Refused,
    peer_certificate,
};

/// Maximum length of a header. A certificate takes 1 to 3 kB in base64, and three times that where
/// every byte is percent-encoded.
const MAX_HEADER: usize = 16 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// How a proxy that terminates TLS reports the certificate of its client. For
/// [`ClientCertificate::forwarded`](super::ClientCertificate::forwarded).
///
/// Choose the constructor of your platform, or one of the general ones:
/// [`certificate`](Self::certificate) reads the certificate itself and is the safest,
/// [`subject`](Self::subject) a distinguished name, [`common_name`](Self::common_name) a bare
/// name. [Behind a proxy](crate::admission::behind_a_proxy) lists what to switch on where.
///
/// Some proxies write these headers for certificates that they could *not* verify. Everybody can
/// make such a certificate with Meta's name in it. There the header is worthless without the
/// verdict of the proxy: add [`with_verdict`](Self::with_verdict).
///
/// Each header must be there exactly once, have at most 16 KiB, and be written as its format says.
/// Everything else is refused. An empty value, and a placeholder that the proxy did not fill in
/// (`{http.request.tls.client.subject}`), mean that the caller has presented no certificate.
///
/// ```
/// use http::HeaderName;
/// use tower_whatsapp::admission::{CertificateHeader, ClientCertificate};
///
/// // http-request set-header X-Client-Verify      %[ssl_c_verify]
/// // http-request set-header X-Client-Certificate %[ssl_c_der,base64]
/// let haproxy = ClientCertificate::meta().forwarded(
///     CertificateHeader::certificate(HeaderName::from_static("x-client-certificate"))
///         .with_verdict(HeaderName::from_static("x-client-verify"), "0"),
/// );
/// let load_balancer = ClientCertificate::meta().forwarded(CertificateHeader::aws_alb());
/// ```
#[derive(Debug, Clone)]
pub struct CertificateHeader {
    name: HeaderName,
    format: Format,
    /// Headers that must have exactly these values.
    verdicts: Vec<(HeaderName, String)>,
}

/// The position of an element of `X-Forwarded-Client-Cert` that cannot be: see
/// [`CertificateHeader::envoy_element`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElementError;

#[derive(Debug, Clone, Copy)]
enum Format {
    /// The subject as text.
    Subject,
    /// The common name alone.
    CommonName,
    /// One certificate.
    Certificate,
    /// Traefik's certificates, separated by commas. The first is the caller's own.
    Certificates,
    /// Traefik's information on the certificates.
    Info,
    /// Envoy's list of elements: which one, of how many.
    Elements { element: usize, of: usize },
}

impl CertificateHeader {
    /// A header with the caller's own certificate.
    ///
    /// Any of the usual encodings is read: PEM, percent-encoded (a `+` stands for itself) or with
    /// blanks for its line ends; DER in base64; and a byte sequence (`:` base64 `:`) as in RFC
    /// 9440.
    ///
    /// The proxy must send this header only for certificates that it has verified, or there must
    /// be a [verdict](Self::with_verdict).
    #[must_use]
    pub fn certificate(header: HeaderName) -> Self {
        Self::new(header, Format::Certificate)
    }

    /// A header with the subject of the certificate as text, as RFC 4514 or RFC 2253 has it
    /// (`CN=…,O=…`).
    ///
    /// The older form with slashes (`/O=…/CN=…`) is refused: it has no escapes, so nobody can tell
    /// where a value ends. A common name in hexadecimal (`CN=#0c…`), which RFC 4514 allows, is not
    /// supported and refused. The proxy must send this header only for certificates that it has
    /// verified, or there must be a [verdict](Self::with_verdict).
    #[must_use]
    pub fn subject(header: HeaderName) -> Self {
        Self::new(header, Format::Subject)
    }

    /// A header with nothing but the common name of the subject.
    ///
    /// A proxy that writes only one of several common names hides the others, so "exactly one
    /// common name" does not hold here. The proxy must send this header only for certificates that
    /// it has verified, or there must be a [verdict](Self::with_verdict).
    #[must_use]
    pub fn common_name(header: HeaderName) -> Self {
        Self::new(header, Format::CommonName)
    }

    /// Requires that another header has exactly this value: what the proxy says of a certificate
    /// that it has verified. May be called several times; then all must hold.
    ///
    /// nginx says `SUCCESS`, HAProxy `0`, Cloudflare and Google `true`. The proxy must set this
    /// header on every request.
    #[must_use]
    pub fn with_verdict(mut self, header: HeaderName, expected: impl Into<String>) -> Self {
        self.verdicts.push((header, expected.into()));
        self
    }

    /// RFC 9440: `Client-Cert`.
    #[must_use]
    pub fn client_cert() -> Self {
        Self::certificate(HeaderName::from_static("client-cert"))
    }

    /// nginx: the header with `$ssl_client_verify`, which must be `SUCCESS`, and the one with
    /// `$ssl_client_s_dn`.
    ///
    /// `proxy_set_header` replaces what a caller has sent under these names.
    #[must_use]
    pub fn nginx_subject(verify: HeaderName, subject: HeaderName) -> Self {
        Self::subject(subject).with_verdict(verify, "SUCCESS")
    }

    /// nginx: the header with `$ssl_client_verify`, which must be `SUCCESS`, and the one with
    /// `$ssl_client_escaped_cert`.
    #[must_use]
    pub fn nginx_certificate(verify: HeaderName, certificate: HeaderName) -> Self {
        Self::certificate(certificate).with_verdict(verify, "SUCCESS")
    }

    /// ingress-nginx with `auth-tls-pass-certificate-to-upstream: "true"`: `ssl-client-cert`, and
    /// `ssl-client-verify`, which must be `SUCCESS`.
    #[must_use]
    pub fn ingress_nginx() -> Self {
        Self::nginx_certificate(
            HeaderName::from_static("ssl-client-verify"),
            HeaderName::from_static("ssl-client-cert"),
        )
    }

    /// HAProxy: the header with `%[ssl_c_verify]`, which must be `0`, and the one with
    /// `%[ssl_c_der,base64]`. Without the first, a certificate that HAProxy was told to ignore the
    /// errors of (`crt-ignore-err`) would pass.
    #[must_use]
    pub fn haproxy(verify: HeaderName, certificate: HeaderName) -> Self {
        Self::certificate(certificate).with_verdict(verify, "0")
    }

    /// Envoy: `X-Forwarded-Client-Cert` with exactly one element. Its `Cert` is read, or its
    /// `Subject` if there is no `Cert`.
    ///
    /// Have the listener verify its callers (`trusted_ca`, `require_client_certificate: true`), and
    /// set `forward_client_cert_details: SANITIZE_SET` and `set_current_client_cert_details` with
    /// `cert` or `subject`. With `APPEND_FORWARD` the caller can add elements of its own; then
    /// there are several, which is refused. A header over 16 KiB, as with `chain`, is refused too.
    #[must_use]
    pub fn envoy() -> Self {
        Self::elements(1, 1)
    }

    /// Istio with a gateway and a sidecar: the first of exactly two elements of
    /// `X-Forwarded-Client-Cert`.
    ///
    /// The gateway writes that of its caller (`SANITIZE_SET`, its default), and the sidecar appends
    /// that of the gateway (`APPEND_FORWARD`, its default). Without a sidecar use
    /// [`envoy`](Self::envoy). The other end of the connection is the sidecar: `127.0.0.6`.
    #[must_use]
    pub fn istio() -> Self {
        Self::elements(1, 2)
    }

    /// A chain of Envoys: element `element` (the first is 1) of exactly `of` elements of
    /// `X-Forwarded-Client-Cert`.
    ///
    /// The outermost Envoy must sanitize the header (`SANITIZE_SET`), so that all elements are
    /// from the chain.
    ///
    /// # Errors
    ///
    /// [`ElementError`] if `element` is 0 or more than `of`.
    pub fn envoy_element(element: usize, of: usize) -> Result<Self, ElementError> {
        if (1..=of).contains(&element) {
            Ok(Self::elements(element, of))
        } else {
            Err(ElementError)
        }
    }

    /// Traefik with `passTLSClientCert.pem: true`: the first certificate in
    /// `X-Forwarded-Tls-Client-Cert`.
    ///
    /// Set `clientAuthType: RequireAndVerifyClientCert` for the router: with a weaker type Traefik
    /// forwards certificates that it has not verified, without a verdict.
    ///
    /// The caller decides how many intermediates follow the first certificate. If they make the
    /// header longer than 16 KiB, it is refused.
    #[must_use]
    pub fn traefik() -> Self {
        let name = HeaderName::from_static("x-forwarded-tls-client-cert");
        Self::new(name, Format::Certificates)
    }

    /// Traefik with `passTLSClientCert.info.subject.commonName: true` and nothing else:
    /// `X-Forwarded-Tls-Client-Cert-Info`. Prefer [`traefik`](Self::traefik).
    ///
    /// Traefik writes names without escapes and only one of several common names, so other fields
    /// are refused: they could contain a common name. The `clientAuthType` is that of
    /// [`traefik`](Self::traefik).
    #[must_use]
    pub fn traefik_info() -> Self {
        let name = HeaderName::from_static("x-forwarded-tls-client-cert-info");
        Self::new(name, Format::Info)
    }

    /// AWS Application Load Balancer with mutual TLS in the mode *verify*:
    /// `X-Amzn-Mtls-Clientcert-Subject`. The header of the mode *passthrough* has another name,
    /// was verified by nobody, and is not read.
    #[must_use]
    pub fn aws_alb() -> Self {
        Self::subject(HeaderName::from_static("x-amzn-mtls-clientcert-subject"))
    }

    /// CloudFront with viewer mutual TLS in the mode *required*: `CloudFront-Viewer-Cert-Pem`.
    ///
    /// Not for the mode *passthrough*, in which nothing is verified.
    #[must_use]
    pub fn cloudfront() -> Self {
        Self::certificate(HeaderName::from_static("cloudfront-viewer-cert-pem"))
    }

    /// Cloudflare with the managed transform *Add TLS client auth headers*:
    /// `cf-cert-subject-dn-rfc2253`, with `cf-cert-verified: true` and `cf-cert-revoked: false`.
    /// Cloudflare writes the subject of certificates that it could not verify, too.
    #[must_use]
    pub fn cloudflare() -> Self {
        Self::subject(HeaderName::from_static("cf-cert-subject-dn-rfc2253"))
            .with_verdict(HeaderName::from_static("cf-cert-verified"), "true")
            .with_verdict(HeaderName::from_static("cf-cert-revoked"), "false")
    }

    /// Google Cloud Application Load Balancer with the custom request headers
    /// `X-Client-Cert-Leaf:{client_cert_leaf}` and
    /// `X-Client-Cert-Chain-Verified:{client_cert_chain_verified}`, which must be `true`.
    #[must_use]
    pub fn google_load_balancer() -> Self {
        Self::certificate(HeaderName::from_static("x-client-cert-leaf")).with_verdict(
            HeaderName::from_static("x-client-cert-chain-verified"),
            "true",
        )
    }

    /// The common name that the headers report.
    pub(super) fn reported_name(&self, headers: &HeaderMap) -> Result<Vec<u8>, Refused> {
        let value = match only(headers, &self.name) {
            Some(value) if !is_unset(value) => value,
            None if headers.contains_key(&self.name) => return Err(Refused::Certificate),
            Some(_) | None => return Err(Refused::CertificateMissing),
        };
        for (verdict, expected) in &self.verdicts {
            if only(headers, verdict) != Some(expected.as_bytes()) {
                return Err(Refused::Certificate);
            }
        }
        match self.format {
            Format::Subject => distinguished_name::common_name(value),
            Format::CommonName => Some(value.to_vec()),
            Format::Certificate => certificate(value),
            Format::Certificates => value
                .split(|&byte| byte == b',')
                .next()
                .and_then(certificate),
            Format::Info => info(value),
            Format::Elements { element, of } => return element_of(value, element, of),
        }
        .ok_or(Refused::Certificate)
    }

    fn elements(element: usize, of: usize) -> Self {
        let name = HeaderName::from_static("x-forwarded-client-cert");
        Self::new(name, Format::Elements { element, of })
    }

    fn new(name: HeaderName, format: Format) -> Self {
        Self {
            name,
            format,
            verdicts: Vec::new(),
        }
    }
}

impl fmt::Display for ElementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`envoy_element`: the element must be 1 to the number of elements")
    }
}

impl Error for ElementError {}

/// The value of a header that is there once, and not too long.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes();
    (values.next().is_none() && value.len() <= MAX_HEADER).then_some(value)
}

/// What HAProxy and Cloudflare (nothing) and Caddy (the placeholder itself) write where there is no
/// certificate.
fn is_unset(value: &[u8]) -> bool {
    value.is_empty() || (value.starts_with(b"{") && value.ends_with(b"}"))
}

/// The common name of one certificate, in any of its encodings.
fn certificate(value: &[u8]) -> Option<Vec<u8>> {
    let name = peer_certificate::common_name(&der(value)?).ok()??;
    Some(name.into_bytes())
}

fn der(value: &[u8]) -> Option<Vec<u8>> {
    if let Some(sequence) = value.strip_prefix(b":") {
        return BASE64.decode(sequence.strip_suffix(b":")?).ok();
    }
    let text = percent_decoded(value, b'+')?;
    let Some(pem) = text.strip_prefix(BEGIN) else {
        return BASE64.decode(&text).ok();
    };
    let mut base64 = pem.trim_ascii_end().strip_suffix(END)?.to_vec();
    base64.retain(|byte| !byte.is_ascii_whitespace());
    BASE64.decode(&base64).ok()
}

fn percent_decoded(encoded: &[u8], plus: u8) -> Option<Vec<u8>> {
    let mut bytes = encoded.iter().copied();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => 16 * hex(bytes.next()?)? + hex(bytes.next()?)?,
            b'+' => plus,
            _ => byte,
        });
    }
    Some(decoded)
}

/// The common name in `Subject="CN=…"`, escaped as in a query. The certificates that the caller
/// sent along follow after a comma.
fn info(value: &[u8]) -> Option<Vec<u8>> {
    let text = percent_decoded(value, b' ')?;
    let name = text.strip_prefix(br#"Subject="CN="#)?;
    let end = name.iter().position(|&byte| byte == b'"')?;
    let (name, rest) = name.split_at_checked(end)?;
    (rest == b"\"" || rest.starts_with(br#"",Subject="CN="#)).then(|| name.to_vec())
}

/// The common name in one element of `X-Forwarded-Client-Cert`, which must have this many.
fn element_of(value: &[u8], element: usize, of: usize) -> Result<Vec<u8>, Refused> {
    let (mut rest, mut count, mut found) = (Some(value), 0, None);
    while let Some(text) = rest {
        let (pairs, after) = pairs(text).ok_or(Refused::Certificate)?;
        count += 1;
        if count == element {
            found = Some(pairs);
        }
        rest = after;
    }
    if count < of {
        // One of the proxies has seen no certificate.
        return Err(Refused::CertificateMissing);
    }
    let name = match found.filter(|_| count == of) {
        Some(Pairs {
            certificate: Some(leaf),
            ..
        }) => certificate(leaf),
        Some(Pairs {
            subject: Some(subject),
            ..
        }) => distinguished_name::common_name(subject),
        _ => None,
    };
    name.ok_or(Refused::Certificate)
}

/// What is read of an element.
#[derive(Default)]
struct Pairs<'a> {
    subject: Option<&'a [u8]>,
    certificate: Option<&'a [u8]>,
}

/// Reads the element at the beginning of a text, `Key=value;Key="value"`, and returns what follows
/// the comma behind it.
fn pairs(mut rest: &[u8]) -> Option<(Pairs<'_>, Option<&[u8]>)> {
    let mut pairs = Pairs::default();
    loop {
        let end = rest.iter().position(|&byte| byte == b'=')?;
        let (key, after) = rest.split_at_checked(end)?;
        let (value, after) = element_value(after.get(1..)?)?;
        let slot = match key {
            key if key.eq_ignore_ascii_case(b"Subject") => Some(&mut pairs.subject),
            key if key.eq_ignore_ascii_case(b"Cert") => Some(&mut pairs.certificate),
            key if !key.is_empty() && key.iter().all(u8::is_ascii_alphanumeric) => None,
            _ => return None,
        };
        if slot.is_some_and(|slot| slot.replace(value).is_some()) {
            return None;
        }
        match after.split_first() {
            None => return Some((pairs, None)),
            Some((b',', after)) => return Some((pairs, Some(after))),
            Some((b';', after)) => rest = after,
            Some(_) => return None,
        }
    }
}

/// Splits a value from what follows it. Envoy writes a subject between quotes as it is, with the
/// escapes of the subject and none of its own. Undoing them here would turn commas of a name into
/// separators.
fn element_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some((b'"', quoted)) = text.split_first() else {
        let end = text
            .iter()
            .position(|byte| b";,\"".contains(byte))
            .unwrap_or(text.len());
        return text.split_at_checked(end);
    };
    let mut escaped = false;
    let end = quoted.iter().position(|&byte| {
        let closing = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closing
    })?;
    Some((quoted.get(..end)?, quoted.get(end + 1..)?))
}
