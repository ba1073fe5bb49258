use http::{Extensions, HeaderMap};

#[cfg(feature = "client-certificate")]
use super::certificate::ClientCertificate;
use super::{list::IpAllowList, peer::peer, proxies::TrustedProxies};

/// How the address list and the client certificate go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Admit {
    /// Only who passes both.
    #[default]
    All,
    /// Who passes one of them.
    Any,
}

/// Why a caller is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    AddressUnknown,
    Address,
    #[cfg(feature = "client-certificate")]
    CertificateMissing,
    #[cfg(feature = "client-certificate")]
    Certificate,
}

/// Who may call at all.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) list: Option<IpAllowList>,
    #[cfg(feature = "client-certificate")]
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) admit: Admit,
}

impl Admission {
    /// Looks at nothing but the connection and the headers.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Refused> {
        let peer = peer(extensions);
        let by_address = self.list.as_ref().map(|list| {
            let client = match &self.proxies {
                Some(proxies) => peer.and_then(|peer| proxies.client(peer, headers)),
                None => peer,
            };
            match client {
                None => Err(Refused::AddressUnknown),
                Some(client) if list.contains(client) => Ok(()),
                Some(_) => Err(Refused::Address),
            }
        });
        #[cfg(feature = "client-certificate")]
        let by_certificate = self
            .certificate
            .as_ref()
            .map(|certificate| certificate.check(peer, self.proxies.as_ref(), headers, extensions));
        #[cfg(not(feature = "client-certificate"))]
        let by_certificate = None;
        self.admit.both(by_address, by_certificate)
    }
}

impl Admit {
    /// `None` is for what is not set: that neither admits nor refuses anybody.
    fn both(
        self,
        by_address: Option<Result<(), Refused>>,
        by_certificate: Option<Result<(), Refused>>,
    ) -> Result<(), Refused> {
        match (by_address, by_certificate) {
            (Some(address), Some(certificate)) if self == Self::Any => address.or(certificate),
            (address, certificate) => address.unwrap_or(Ok(())).and(certificate.unwrap_or(Ok(()))),
        }
    }
}

// Two attributes: `scripts/mutants` knows by the second one, as it stands, that it must leave these alone.
#[cfg(feature = "client-certificate")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_and_both_of_its_parts() {
        const NO: Option<Result<(), Refused>> = Some(Err(Refused::Address));
        const NOT: Option<Result<(), Refused>> = Some(Err(Refused::Certificate));
        const YES: Option<Result<(), Refused>> = Some(Ok(()));
        for (admit, address, certificate, expected) in [
            (Admit::All, None, None, Ok(())),
            (Admit::All, YES, None, Ok(())),
            (Admit::All, None, YES, Ok(())),
            (Admit::All, YES, YES, Ok(())),
            (Admit::All, NO, None, Err(Refused::Address)),
            (Admit::All, None, NOT, Err(Refused::Certificate)),
            (Admit::All, NO, YES, Err(Refused::Address)),
            (Admit::All, YES, NOT, Err(Refused::Certificate)),
            (Admit::All, NO, NOT, Err(Refused::Address)),
            (Admit::Any, None, None, Ok(())),
            (Admit::Any, YES, None, Ok(())),
            (Admit::Any, None, YES, Ok(())),
            (Admit::Any, YES, YES, Ok(())),
            (Admit::Any, NO, None, Err(Refused::Address)),
            (Admit::Any, None, NOT, Err(Refused::Certificate)),
            (Admit::Any, NO, YES, Ok(())),
            (Admit::Any, YES, NOT, Ok(())),
            (Admit::Any, NO, NOT, Err(Refused::Certificate)),
        ] {
            let found = admit.both(address, certificate);
            assert_eq!(found, expected, "{admit:?} {address:?} {certificate:?}");
        }
    }
}
