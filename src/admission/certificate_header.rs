use std::{error::Error, fmt};

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};

use super::{certificate_problem::CertificateProblem, distinguished_name, peer_certificate};
use crate::hex;

/// Maximum length of a header, bytes. A certificate has 1 to 3 kB in base64, and three times that
/// if every byte is percent-encoded.
const MAX_HEADER_LENGTH: usize = 16 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// The header in which a proxy that terminates TLS reports the client certificate. For
/// [`ClientCertificate::forwarded`](super::ClientCertificate::forwarded).
///
/// Choose the constructor of your platform, or one of the general ones:
/// [`certificate`](Self::certificate) reads the certificate itself and is the safest,
/// [`subject`](Self::subject) a distinguished name, [`common_name`](Self::common_name) a bare
/// name. [Behind a proxy](crate::admission::behind_a_proxy) lists the settings of each platform.
///
/// Some proxies write these headers for certificates that they could *not* verify. Anyone can issue
/// such a certificate with Meta's name. For these proxies, require the verification result too: add
/// [`with_verdict`](Self::with_verdict).
///
/// Each header must be present exactly once, have at most 16 KiB, and be well formed. Anything else
/// is refused. An empty value, and a placeholder that the proxy did not expand
/// (`{http.request.tls.client.subject}`), mean that the caller presented no certificate.
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

/// Invalid position of an element in `X-Forwarded-Client-Cert`: see
/// [`CertificateHeader::envoy_element`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElementError;

#[derive(Debug, Clone, Copy)]
enum Format {
    /// The subject as a distinguished name.
    Subject,
    /// The common name alone.
    CommonName,
    /// One certificate.
    Certificate,
    /// Traefik's certificates, separated by commas. The first is the caller's own.
    Certificates,
    /// Traefik's info header.
    Info,
    /// One element of Envoy's list, which must have `of` elements.
    Elements { element: usize, of: usize },
}

impl CertificateHeader {
    /// A header with the caller's certificate.
    ///
    /// Reads the usual encodings: PEM, percent-encoded (`+` is a literal plus) or with spaces
    /// instead of line ends; DER in base64; and a byte sequence (`:` base64 `:`) as in RFC 9440.
    ///
    /// The proxy must send this header for verified certificates only, or with a
    /// [verdict](Self::with_verdict).
    #[must_use]
    pub fn certificate(header: HeaderName) -> Self {
        Self::new(header, Format::Certificate)
    }

    /// A header with the subject of the certificate as a distinguished name of RFC 4514 or RFC 2253
    /// (`CN=…,O=…`).
    ///
    /// The older form with slashes (`/O=…/CN=…`) is refused: it has no escapes, so the end of a
    /// value is ambiguous. A common name in hexadecimal (`CN=#0c…`), which RFC 4514 allows, is not
    /// supported and is refused. The proxy must send this header for verified certificates only, or
    /// with a [verdict](Self::with_verdict).
    #[must_use]
    pub fn subject(header: HeaderName) -> Self {
        Self::new(header, Format::Subject)
    }

    /// A header with only the common name of the subject.
    ///
    /// A proxy that writes one of several common names hides the others, so "exactly one common
    /// name" cannot be checked here. The proxy must send this header for verified certificates
    /// only, or with a [verdict](Self::with_verdict).
    #[must_use]
    pub fn common_name(header: HeaderName) -> Self {
        Self::new(header, Format::CommonName)
    }

    /// Requires that another header has exactly this value: the result of a successful
    /// verification. If called several times, all values are required.
    ///
    /// The value is `SUCCESS` for nginx, `0` for HAProxy, `true` for Cloudflare and Google. The
    /// proxy must set this header on every request.
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
    /// `proxy_set_header` replaces headers of these names that the caller sent.
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
    /// `%[ssl_c_der,base64]`. Without the first, a certificate whose errors HAProxy ignores
    /// (`crt-ignore-err`) would be accepted.
    #[must_use]
    pub fn haproxy(verify: HeaderName, certificate: HeaderName) -> Self {
        Self::certificate(certificate).with_verdict(verify, "0")
    }

    /// Envoy: `X-Forwarded-Client-Cert` with exactly one element. Its `Cert` is read, or its
    /// `Subject` if there is no `Cert`.
    ///
    /// Let the listener verify client certificates (`trusted_ca`, `require_client_certificate:
    /// true`), and set `forward_client_cert_details: SANITIZE_SET` and
    /// `set_current_client_cert_details` with `cert` or `subject`. With `APPEND_FORWARD` the caller
    /// can add its own elements; a header with several is refused. So is a header over 16 KiB, as
    /// with `chain`.
    #[must_use]
    pub fn envoy() -> Self {
        Self::elements(1, 1)
    }

    /// Istio with a gateway and a sidecar: the first of exactly two elements of
    /// `X-Forwarded-Client-Cert`.
    ///
    /// The gateway writes the element of its caller (`SANITIZE_SET`, its default), and the sidecar
    /// appends the element of the gateway (`APPEND_FORWARD`, its default). Without a sidecar use
    /// [`envoy`](Self::envoy). The peer of the connection is the sidecar: `127.0.0.6`.
    #[must_use]
    pub fn istio() -> Self {
        Self::elements(1, 2)
    }

    /// A chain of Envoys: element number `element`, counted from 1, of exactly `of` elements in
    /// `X-Forwarded-Client-Cert`.
    ///
    /// The outermost Envoy must sanitize the header (`SANITIZE_SET`), so that all elements come
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
    /// forwards unverified certificates, without a verdict.
    ///
    /// The caller determines the number of intermediate certificates after the first one. A header
    /// over 16 KiB is refused.
    #[must_use]
    pub fn traefik() -> Self {
        let name = HeaderName::from_static("x-forwarded-tls-client-cert");
        Self::new(name, Format::Certificates)
    }

    /// Traefik with `passTLSClientCert.info.subject.commonName: true` and nothing else:
    /// `X-Forwarded-Tls-Client-Cert-Info`. Prefer [`traefik`](Self::traefik).
    ///
    /// Traefik does not escape names and writes one of several common names. Other fields are
    /// refused, because they could contain a common name. Set the same `clientAuthType` as for
    /// [`traefik`](Self::traefik).
    #[must_use]
    pub fn traefik_info() -> Self {
        let name = HeaderName::from_static("x-forwarded-tls-client-cert-info");
        Self::new(name, Format::Info)
    }

    /// AWS Application Load Balancer with mutual TLS in the mode *verify*:
    /// `X-Amzn-Mtls-Clientcert-Subject`. The header of the mode *passthrough* has another name
    /// and is unverified, so it is not read.
    #[must_use]
    pub fn aws_alb() -> Self {
        Self::subject(HeaderName::from_static("x-amzn-mtls-clientcert-subject"))
    }

    /// CloudFront with viewer mutual TLS in the mode *required*: `CloudFront-Viewer-Cert-Pem`.
    ///
    /// Do not use it in the mode *passthrough*, which verifies nothing.
    #[must_use]
    pub fn cloudfront() -> Self {
        Self::certificate(HeaderName::from_static("cloudfront-viewer-cert-pem"))
    }

    /// Cloudflare with the managed transform *Add TLS client auth headers*:
    /// `cf-cert-subject-dn-rfc2253`, with `cf-cert-verified: true` and `cf-cert-revoked: false`.
    /// Cloudflare also writes the subject of certificates that it could not verify.
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

    /// Returns the common name that the headers report.
    pub(super) fn reported_name(&self, headers: &HeaderMap) -> Result<Vec<u8>, CertificateProblem> {
        let value = single_value(headers, &self.name)?;
        if is_unset(value) {
            return Err(CertificateProblem::HeaderMissing);
        }
        for (verdict, expected) in &self.verdicts {
            if single_value(headers, verdict) != Ok(expected.as_bytes()) {
                return Err(CertificateProblem::NotVerified);
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
        .ok_or(CertificateProblem::HeaderMalformed)
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
        f.write_str("`envoy_element`: the element must be between 1 and the number of elements")
    }
}

impl Error for ElementError {}

/// Returns the value of a header that is present exactly once and not too long.
fn single_value<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<&'a [u8], CertificateProblem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(CertificateProblem::HeaderMissing)?;
    if values.next().is_some() {
        return Err(CertificateProblem::HeaderRepeated);
    }
    if value.len() > MAX_HEADER_LENGTH {
        return Err(CertificateProblem::HeaderTooLong);
    }
    Ok(value.as_bytes())
}

/// Returns whether there is no certificate: HAProxy and Cloudflare then write an empty value, and
/// Caddy the placeholder itself.
fn is_unset(value: &[u8]) -> bool {
    value.is_empty() || (value.starts_with(b"{") && value.ends_with(b"}"))
}

/// Returns the common name of a certificate, in any of the encodings.
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
            b'%' => hex::decode_byte(bytes.next()?, bytes.next()?)?,
            b'+' => plus,
            _ => byte,
        });
    }
    Some(decoded)
}

/// Returns the common name in `Subject="CN=…"`, which is query-encoded. Intermediate certificates
/// follow after a comma.
fn info(value: &[u8]) -> Option<Vec<u8>> {
    let text = percent_decoded(value, b' ')?;
    let name = text.strip_prefix(br#"Subject="CN="#)?;
    let end = name.iter().position(|&byte| byte == b'"')?;
    let (name, rest) = name.split_at_checked(end)?;
    (rest == b"\"" || rest.starts_with(br#"",Subject="CN="#)).then(|| name.to_vec())
}

/// Returns the common name in one element of `X-Forwarded-Client-Cert`, which must have `of`
/// elements.
fn element_of(value: &[u8], element: usize, of: usize) -> Result<Vec<u8>, CertificateProblem> {
    let (mut rest, mut count, mut found) = (Some(value), 0, None);
    while let Some(text) = rest {
        let (pairs, after) = pairs(text).ok_or(CertificateProblem::HeaderMalformed)?;
        count += 1;
        if count == element {
            found = Some(pairs);
        }
        rest = after;
    }
    if count < of {
        // One of the proxies received no certificate.
        return Err(CertificateProblem::ElementMissing);
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
    name.ok_or(CertificateProblem::HeaderMalformed)
}

/// The pairs of an element that are used.
#[derive(Default)]
struct Pairs<'a> {
    subject: Option<&'a [u8]>,
    certificate: Option<&'a [u8]>,
}

/// Reads the first element of a text, `Key=value;Key="value"`. Also returns the text after the
/// comma that follows it.
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

/// Splits a value from the text after it. Envoy quotes a subject without escaping it, so the
/// backslashes in it are those of the subject. Unescaping them here would turn commas in a name
/// into separators.
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
