use http::{HeaderMap, HeaderName};
use x509_parser::pem::parse_x509_pem;

use super::{
    dn::{self, hex},
    peer_certificate,
};

/// A certificate takes 1 to 3 KB here, with every byte percent-encoded three times that. What is longer is not looked at.
const MAX_HEADER: usize = 16 * 1024;

/// How a proxy that ends TLS tells of its caller's certificate. For [`ClientCertificate::forwarded`](super::ClientCertificate::forwarded).
///
/// In each case the header must be there exactly once, be at most 16 KiB long and as its format wants it; everything else is refused.
///
/// ```
/// use http::HeaderName;
/// use tower_whatsapp::admission::{CertificateHeader, ClientCertificate};
///
/// // proxy_set_header X-Client-Verify  $ssl_client_verify;
/// // proxy_set_header X-Client-Subject $ssl_client_s_dn;
/// let nginx = ClientCertificate::meta().forwarded(CertificateHeader::nginx_subject(
///     HeaderName::from_static("x-client-verify"),
///     HeaderName::from_static("x-client-subject"),
/// ));
/// let load_balancer = ClientCertificate::meta().forwarded(CertificateHeader::aws_alb());
/// ```
#[derive(Debug, Clone)]
pub struct CertificateHeader {
    name: HeaderName,
    format: Format,
    /// Must say `SUCCESS`.
    verdict: Option<HeaderName>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    /// The subject as text.
    Subject,
    /// PEM, percent-encoded.
    Certificate,
    /// Envoy's list of elements.
    Elements,
}

impl CertificateHeader {
    /// nginx: the header with `$ssl_client_verify`, which must be `SUCCESS`, and the one with `$ssl_client_s_dn`.
    ///
    /// `proxy_set_header` replaces what a caller has sent under these names. The older form of the subject (`$ssl_client_s_dn_legacy`, with
    /// slashes) is refused: it has no escapes, so nobody can tell where a value ends.
    #[must_use]
    pub fn nginx_subject(verify: HeaderName, subject: HeaderName) -> Self {
        Self {
            verdict: Some(verify),
            ..Self::subject(subject)
        }
    }

    /// nginx: the header with `$ssl_client_verify`, which must be `SUCCESS`, and the one with `$ssl_client_escaped_cert`.
    #[must_use]
    pub fn nginx_certificate(verify: HeaderName, certificate: HeaderName) -> Self {
        Self {
            verdict: Some(verify),
            ..Self::certificate(certificate)
        }
    }

    /// Envoy, and what is built on it: `X-Forwarded-Client-Cert`, with exactly one element. Its `Cert` is read or, where that is not, its
    /// `Subject`.
    ///
    /// Have the listener verify its callers (`trusted_ca`, `require_client_certificate: true`), and set `forward_client_cert_details:
    /// SANITIZE_SET` and `set_current_client_cert_details` with `subject` or `cert`. What `APPEND_FORWARD` makes has several elements as soon as a
    /// caller has sent one of its own, and is refused.
    #[must_use]
    pub fn envoy() -> Self {
        Self {
            name: HeaderName::from_static("x-forwarded-client-cert"),
            format: Format::Elements,
            verdict: None,
        }
    }

    /// AWS Application Load Balancer with mutual TLS in the mode *verify*: `X-Amzn-Mtls-Clientcert-Subject`. What it sends in the mode
    /// *passthrough* has another name, was verified by nobody, and is not looked at.
    #[must_use]
    pub fn aws_alb() -> Self {
        Self::subject(HeaderName::from_static("x-amzn-mtls-clientcert-subject"))
    }

    /// A proxy that sends this header only if it has verified the chain: the subject as text, as RFC 4514 or RFC 2253 has it (`CN=…,O=…`).
    ///
    /// For Caddy with `mode require_and_verify`: `header_up X-Client-Subject {http.request.tls.client.subject}`.
    #[must_use]
    pub fn subject(header: HeaderName) -> Self {
        Self {
            name: header,
            format: Format::Subject,
            verdict: None,
        }
    }

    /// A proxy that sends this header only if it has verified the chain: the caller's own certificate as PEM, percent-encoded. A `+` stands for
    /// itself, as in what AWS sends as `X-Amzn-Mtls-Clientcert-Leaf`.
    #[must_use]
    pub fn certificate(header: HeaderName) -> Self {
        Self {
            name: header,
            format: Format::Certificate,
            verdict: None,
        }
    }

    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(&self.name)
    }

    /// The common name that the headers tell of, if all is well with them.
    pub(super) fn common_name(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        if let Some(verdict) = &self.verdict
            && only(headers, verdict)? != b"SUCCESS"
        {
            return None;
        }
        let value = only(headers, &self.name)?;
        match self.format {
            Format::Subject => dn::common_name(value),
            Format::Certificate => certificate(value),
            Format::Elements => element(value),
        }
    }
}

/// The value of a header that is there once, and not too long.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes();
    (values.next().is_none() && value.len() <= MAX_HEADER).then_some(value)
}

/// The common name of one certificate in PEM, percent-encoded.
fn certificate(encoded: &[u8]) -> Option<Vec<u8>> {
    let decoded = percent_decoded(encoded)?;
    let text = std::str::from_utf8(&decoded).ok()?.trim_end();
    // The parser passes over what stands before the first block.
    if !text.starts_with("-----BEGIN CERTIFICATE-----")
        || !text.ends_with("-----END CERTIFICATE-----")
    {
        return None;
    }
    let (rest, pem) = parse_x509_pem(text.as_bytes()).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let name = peer_certificate::common_name(&pem.contents).ok()??;
    Some(name.into_bytes())
}

fn percent_decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = encoded.iter().copied();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => 16 * hex(bytes.next()?)? + hex(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(decoded)
}

/// The common name in an `X-Forwarded-Client-Cert` of one element: `Key=value;Key="value"`. A comma outside of quotes begins a second element.
fn element(mut rest: &[u8]) -> Option<Vec<u8>> {
    let (mut subject, mut leaf) = (None, None);
    loop {
        let end = rest.iter().position(|&byte| byte == b'=')?;
        let (key, after) = rest.split_at_checked(end)?;
        let (value, after) = element_value(after.get(1..)?)?;
        let slot = match key {
            key if key.eq_ignore_ascii_case(b"Subject") => Some(&mut subject),
            key if key.eq_ignore_ascii_case(b"Cert") => Some(&mut leaf),
            key if !key.is_empty() && key.iter().all(u8::is_ascii_alphanumeric) => None,
            _ => return None,
        };
        if slot.is_some_and(|slot| slot.replace(value).is_some()) {
            return None;
        }
        match after.split_first() {
            None => break,
            Some((b';', after)) => rest = after,
            Some(_) => return None,
        }
    }
    match (leaf, subject) {
        (Some(leaf), _) => certificate(leaf),
        (None, Some(subject)) => dn::common_name(subject),
        (None, None) => None,
    }
}

/// A value up to what ends it, and what follows. Envoy writes a subject between quotes as it is, with the escapes of the subject and none of
/// its own: to undo them here would make separators of commas that are none.
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
