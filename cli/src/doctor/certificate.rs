//! What is wrong with a certificate.

use tokio_rustls::rustls::CertificateError;
use x509_parser::{certificate::X509Certificate, parse_x509_certificate, prelude::ASN1Time};

use super::{finding::Findings, network::Presented};
use crate::tls;

const REFUSED: &str = "Meta does not register the URL, and delivers nothing to it";
/// Days before the expiry from which on it is worth a warning.
const SOON: i64 = 14;

/// Returns whether Meta would accept it.
pub(super) fn report(host: &str, presented: &Presented, findings: &mut Findings) -> bool {
    let Ok((_, leaf)) = parse_x509_certificate(&presented.leaf) else {
        findings.error(
            "certificate",
            "the certificate cannot be parsed",
            REFUSED,
            "get another certificate",
        );
        return false;
    };
    let errors = findings.errors;
    report_dates(&leaf, findings);
    match &presented.problem {
        None => {}
        // Told by the dates.
        Some(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) if findings.errors > errors => {}
        Some(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => findings.error(
            "certificate_name",
            format!(
                "the certificate is not for {host}, but for {}",
                names(&leaf)
            ),
            REFUSED,
            "get a certificate with this name among its subject alternative names",
        ),
        Some(CertificateError::UnknownIssuer) => report_chain(&leaf, presented, findings),
        Some(other) => findings.error(
            "certificate",
            format!("the certificate {}", tls::explain(other)),
            REFUSED,
            "get another certificate",
        ),
    }
    if findings.errors == errors {
        findings.ok(
            "certificate",
            format!("valid for {}, {}", names(&leaf), days_left(&leaf)),
        );
    }
    findings.errors == errors
}

fn report_dates(leaf: &X509Certificate<'_>, findings: &mut Findings) {
    let validity = leaf.validity();
    let now = ASN1Time::now();
    if now > validity.not_after {
        findings.error(
            "certificate_expired",
            format!("the certificate expired on {}", validity.not_after),
            REFUSED,
            "renew it, reload the server, and automate the renewal",
        );
    } else if now < validity.not_before {
        findings.error(
            "certificate_early",
            format!("the certificate is valid only from {}", validity.not_before),
            REFUSED,
            "check the clock of the machine that made it, or wait",
        );
    } else if validity
        .time_to_expiration()
        .is_some_and(|left| left.whole_days() < SOON)
    {
        findings.warning(
            "certificate_expires",
            format!("the certificate expires on {}", validity.not_after),
            "from then on Meta delivers nothing",
            "renew it, and see why the automatic renewal did not",
        );
    }
}

/// The chain does not lead to a trusted CA.
fn report_chain(leaf: &X509Certificate<'_>, presented: &Presented, findings: &mut Findings) {
    let issuer = leaf.issuer();
    let has_issuer = presented.others.iter().any(|other| {
        parse_x509_certificate(other).is_ok_and(|(_, other)| other.subject() == issuer)
    });
    if leaf.subject() == issuer {
        findings.error(
            "certificate_self_signed",
            "the certificate is self-signed",
            REFUSED,
            "get one from a public CA, for example by ACME (Let's Encrypt)",
        );
    } else if has_issuer {
        findings.error(
            "certificate_untrusted",
            format!("no trusted CA signed the chain of {issuer}"),
            REFUSED,
            "get a certificate from a public CA; for a test, give the CA with --ca",
        );
    } else {
        findings.error(
            "certificate_incomplete",
            format!("the server does not send the certificate of the issuer, {issuer}"),
            "browsers often find a missing intermediate on their own, but Meta does not: it refuses \
             the URL",
            "configure the full chain (fullchain.pem, not cert.pem); if the issuer is a private \
             CA, get a certificate from a public one",
        );
    }
}

fn names(leaf: &X509Certificate<'_>) -> String {
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let names = alternatives.map(|names| &names.value.general_names);
    let names: Vec<_> = names
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    if names.is_empty() {
        "no name".to_owned()
    } else {
        names.join(", ")
    }
}

fn days_left(leaf: &X509Certificate<'_>) -> String {
    match leaf.validity().time_to_expiration() {
        Some(left) => format!("{} days left", left.whole_days()),
        None => "expired".to_owned(),
    }
}
