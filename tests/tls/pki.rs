//! Authorities, and certificates for who is to be told from whom.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with what is sent along with it, and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// Of each of them.
    pub(crate) pems: Vec<String>,
    pub(crate) key: KeyPair,
}

impl Identity {
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    pub(crate) fn ders(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        self.pems.concat()
    }
}

/// The subject of a certificate, and what else there is to choose.
pub(crate) struct Wanted(CertificateParams);

impl Wanted {
    pub(crate) fn nobody() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        Self(params)
    }

    pub(crate) fn named(name: impl Into<DnValue>) -> Self {
        Self::nobody().and(DnType::CommonName, name)
    }

    /// What a caller of ours would have.
    pub(crate) fn client(name: &str) -> Self {
        Self::named(name).usage(ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(crate) fn server(names: &[&str]) -> Self {
        Self::named("a server")
            .alternatives(names)
            .usage(ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn and(mut self, kind: DnType, value: impl Into<DnValue>) -> Self {
        self.0.distinguished_name.push(kind, value);
        self
    }

    /// Beside the first, which `rcgen` would replace.
    pub(crate) fn and_named(self, name: &str) -> Self {
        self.and(DnType::CustomDnType(vec![2, 5, 4, 3]), name)
    }

    pub(crate) fn alternatives(mut self, names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        self.0.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        self
    }

    pub(crate) fn usage(mut self, usage: ExtendedKeyUsagePurpose) -> Self {
        self.0.extended_key_usages = vec![usage];
        self
    }

    pub(crate) fn valid(mut self, from: i32, until: i32) -> Self {
        self.0.not_before = date_time_ymd(from, 1, 1);
        self.0.not_after = date_time_ymd(until, 1, 1);
        self
    }

    pub(crate) fn self_signed(self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = self.0.self_signed(&key).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pems: vec![certificate.pem()],
            key,
        }
    }
}

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(Self::params(name), key).unwrap())
    }

    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let Wanted(mut params) = Wanted::named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, Wanted(params): Wanted) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pems: vec![certificate.pem()],
            key,
        }
    }

    /// Sends its own certificate along.
    pub(crate) fn sign_with_chain(&self, wanted: Wanted) -> Identity {
        let mut identity = self.sign(wanted);
        identity.chain.push(self.der().clone());
        identity.pems.push(self.pem());
        identity
    }
}

/// The files of one test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{test}"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn write(&self, name: &str, contents: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}
