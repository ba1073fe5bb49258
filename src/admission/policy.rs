use http::{Extensions, HeaderMap};

#[cfg(feature = "client-certificate")]
use super::certificate::ClientCertificate;
use super::{
    error::{AdmissionMisuse, Refused},
    ip_allow_list::IpAllowList,
    peer::peer,
    proxies::TrustedProxies,
};

/// Combination of the address list and the client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AdmissionPolicy {
    /// A caller must pass all rules that are set.
    #[default]
    All,
    /// A caller must pass at least one of the two rules. Both must be set. If neither is passed,
    /// the reason of the rejection is that of the certificate.
    Any,
}

/// The admission rules of a layer.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) list: Option<IpAllowList>,
    #[cfg(feature = "client-certificate")]
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) proxies: Option<TrustedProxies>,
    /// Number of times each was set. More than one is a configuration error: the last one would
    /// replace the others silently.
    pub(crate) lists_set: usize,
    #[cfg(feature = "client-certificate")]
    pub(crate) certificates_set: usize,
    pub(crate) proxies_set: usize,
    pub(crate) policy: AdmissionPolicy,
}

impl Admission {
    /// Finds settings that contradict each other, or that have no effect.
    pub(crate) fn validate(&self) -> Result<(), AdmissionMisuse> {
        if self.lists_set > 1 {
            return Err(AdmissionMisuse::ListConflict);
        }
        #[cfg(feature = "client-certificate")]
        if self.certificates_set > 1 {
            return Err(AdmissionMisuse::CertificateConflict);
        }
        if self.proxies_set > 1 {
            return Err(AdmissionMisuse::ProxiesConflict);
        }
        #[cfg(feature = "client-certificate")]
        let (has_certificate, is_forwarded) = (
            self.certificate.is_some(),
            (self.certificate.as_ref()).is_some_and(ClientCertificate::is_forwarded),
        );
        #[cfg(not(feature = "client-certificate"))]
        let (has_certificate, is_forwarded) = (false, false);
        #[cfg(feature = "client-certificate")]
        if is_forwarded && !(self.proxies.as_ref()).is_some_and(TrustedProxies::have_addresses) {
            return Err(AdmissionMisuse::ProxiesMissing);
        }
        if self.proxies.is_some() && self.list.is_none() && !is_forwarded {
            return Err(AdmissionMisuse::ProxiesUnused);
        }
        if self.policy == AdmissionPolicy::Any && !(self.list.is_some() && has_certificate) {
            return Err(AdmissionMisuse::PolicyUnused);
        }
        Ok(())
    }

    /// Checks a request by its connection and headers only.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Refused> {
        let peer = peer(extensions);
        let by_address = self.list.as_ref().map(|list| {
            let client = match &self.proxies {
                Some(proxies) => proxies.client(peer, headers),
                None => peer,
            };
            match client {
                None => Err(Refused::AddressUnknown),
                Some(client) if list.contains(client) => Ok(()),
                Some(_) => Err(Refused::Address),
            }
        });
        #[cfg(feature = "client-certificate")]
        let by_certificate = self.certificate.as_ref().map(|certificate| {
            (certificate.check(peer, self.proxies.as_ref(), headers, extensions))
                .map_err(Refused::Certificate)
        });
        #[cfg(not(feature = "client-certificate"))]
        let by_certificate = None;
        self.policy.combine(by_address, by_certificate)
    }
}

impl AdmissionPolicy {
    /// Combines the results of both rules. A rule that is not set (`None`) has no effect.
    fn combine(
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

// Two attributes: `scripts/mutants` excludes test modules by the line `#[cfg(test)]`.
#[cfg(feature = "client-certificate")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::CertificateProblem;

    #[test]
    fn both_policies_combine_all_results() {
        const NO: Option<Result<(), Refused>> = Some(Err(Refused::Address));
        const REFUSED: Refused = Refused::Certificate(CertificateProblem::CommonName);
        const NOT: Option<Result<(), Refused>> = Some(Err(REFUSED));
        const YES: Option<Result<(), Refused>> = Some(Ok(()));
        for (policy, address, certificate, expected) in [
            (AdmissionPolicy::All, None, None, Ok(())),
            (AdmissionPolicy::All, YES, None, Ok(())),
            (AdmissionPolicy::All, None, YES, Ok(())),
            (AdmissionPolicy::All, YES, YES, Ok(())),
            (AdmissionPolicy::All, NO, None, Err(Refused::Address)),
            (AdmissionPolicy::All, None, NOT, Err(REFUSED)),
            (AdmissionPolicy::All, NO, YES, Err(Refused::Address)),
            (AdmissionPolicy::All, YES, NOT, Err(REFUSED)),
            (AdmissionPolicy::All, NO, NOT, Err(Refused::Address)),
            (AdmissionPolicy::Any, None, None, Ok(())),
            (AdmissionPolicy::Any, YES, None, Ok(())),
            (AdmissionPolicy::Any, None, YES, Ok(())),
            (AdmissionPolicy::Any, YES, YES, Ok(())),
            (AdmissionPolicy::Any, NO, None, Err(Refused::Address)),
            (AdmissionPolicy::Any, None, NOT, Err(REFUSED)),
            (AdmissionPolicy::Any, NO, YES, Ok(())),
            (AdmissionPolicy::Any, YES, NOT, Ok(())),
            (AdmissionPolicy::Any, NO, NOT, Err(REFUSED)),
        ] {
            let found = policy.combine(address, certificate);
            assert_eq!(found, expected, "{policy:?} {address:?} {certificate:?}");
        }
    }
}
