//! CAs and certificates, valid and invalid ones.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its chain and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// The chain as PEM.
    pub pems: Vec<String>,
    pub key: KeyPair,
}

impl Identity {
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    pub fn ders(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub fn pem(&self) -> String {
        self.pems.concat()
    }
}

/// Parameters of a certificate to be signed.
pub struct CertificateRequest(CertificateParams);

impl CertificateRequest {
    pub fn without_name() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        Self(params)
    }

    pub fn named(name: impl Into<DnValue>) -> Self {
        Self::without_name().and(DnType::CommonName, name)
    }

    /// A client certificate as Meta would have it.
    pub fn client(name: &str) -> Self {
        Self::named(name).usage(ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub fn server(names: &[&str]) -> Self {
        Self::named("a server")
            .alternatives(names)
            .usage(ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub fn and(mut self, kind: DnType, value: impl Into<DnValue>) -> Self {
        self.0.distinguished_name.push(kind, value);
        self
    }

    /// A second common name. `rcgen` would replace the first if it had the same type.
    pub fn and_named(self, name: &str) -> Self {
        self.and(DnType::CustomDnType(vec![2, 5, 4, 3]), name)
    }

    pub fn alternatives(mut self, names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        self.0.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        self
    }

    pub fn usage(mut self, usage: ExtendedKeyUsagePurpose) -> Self {
        self.0.extended_key_usages = vec![usage];
        self
    }

    pub fn valid(mut self, from: i32, until: i32) -> Self {
        self.0.not_before = date_time_ymd(from, 1, 1);
        self.0.not_after = date_time_ymd(until, 1, 1);
        self
    }

    pub fn days_left(mut self, days: u32) -> Self {
        #[expect(clippy::disallowed_methods, reason = "certificates have dates")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // An hour more, as the days are counted later.
        let left = Duration::from_secs(u64::from(days) * 24 * 3600 + 3600);
        self.0.not_after = date_time_ymd(1970, 1, 1) + now.unwrap() + left;
        self
    }

    pub fn self_signed(self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = self.0.self_signed(&key).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pems: vec![certificate.pem()],
            key,
        }
    }
}

/// A CA that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(Self::params(name), key).unwrap())
    }

    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let CertificateRequest(mut params) = CertificateRequest::named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn sign(&self, CertificateRequest(params): CertificateRequest) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pems: vec![certificate.pem()],
            key,
        }
    }

    /// Signs a certificate, with the CA's own certificate in the chain.
    pub fn sign_with_chain(&self, wanted: CertificateRequest) -> Identity {
        let mut identity = self.sign(wanted);
        identity.chain.push(self.der().clone());
        identity.pems.push(self.pem());
        identity
    }
}

/// A directory for the files of one test. It is removed when it is dropped, with its private keys.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(test: &str) -> Self {
        // Beside the test program, because libraries have no `CARGO_TARGET_TMPDIR`.
        let program = env::current_exe().unwrap();
        // Runs at the same time have one each.
        let path = program.with_file_name(format!("tls-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub fn write(&self, name: &str, contents: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
