//! Whom the platform trusts.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;

/// The platform's judge of certificates; `None` if it has none.
#[cfg(not(target_os = "android"))]
pub(super) fn verifier(provider: &Arc<CryptoProvider>) -> Option<Arc<dyn ServerCertVerifier>> {
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider)).ok()?;
    Some(Arc::new(verifier))
}

/// The platform's judge of certificates; `None` if it has none.
///
/// Android's own is Java's, and asking it takes the app's context and a class that the app must pack. The
/// certificates that it trusts are files that every app may read, so nothing has to be initialised. What an app's
/// network security configuration adds is not known here.
#[cfg(target_os = "android")]
pub(super) fn verifier(provider: &Arc<CryptoProvider>) -> Option<Arc<dyn ServerCertVerifier>> {
    /// Renewed with the system's modules since Android 14, and the image's own before.
    const STORES: [&str; 2] =
        ["/apex/com.android.conscrypt/cacerts", "/system/etc/security/cacerts"];
    let paths = STORES.map(std::path::Path::new);
    let roots = paths.into_iter().map(files::roots).find(|roots| !roots.is_empty())?;
    let roots = Arc::new(roots);
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
    Some(verifier.build().ok()?)
}

#[cfg(any(target_os = "android", test))]
mod files {
    use std::path::Path;

    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    /// The certificates of a folder, each in a file, as PEM among other text. What cannot be read is passed over:
    /// one odd file must not take the others' trust away.
    pub(super) fn roots(folder: &Path) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let Ok(entries) = std::fs::read_dir(folder) else { return roots };
        let mut passed_over = 0;
        for entry in entries.flatten() {
            let certificates: Vec<_> = match CertificateDer::pem_file_iter(entry.path()) {
                Ok(certificates) => certificates.filter_map(Result::ok).collect(),
                Err(_) => Vec::new(),
            };
            passed_over += usize::from(certificates.is_empty());
            let (_, refused) = roots.add_parsable_certificates(certificates);
            passed_over += refused;
        }
        if passed_over > 0 {
            tracing::debug!(passed_over, "the system's store has what is no root certificate");
        }
        roots
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn a_folder_of_files_is_trusted_and_what_is_odd_in_it_passed_over() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let store = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(store.path().join(name), text).unwrap();
        // As Android has them: the certificate, and what openssl prints of it.
        write(
            "00673b5b.0",
            &format!("{}Certificate:\n    Data:\n        Version: 3\n", root.pem()),
        );
        write("empty.0", "");
        write("odd.0", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        std::fs::write(store.path().join("binary.0"), [0xff; 100]).unwrap();
        std::fs::create_dir(store.path().join("folder")).unwrap();
        let roots = files::roots(store.path());
        assert_eq!(roots.len(), 1);
        assert!(files::roots(Path::new("/nowhere")).is_empty());

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let judge = judge.build().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["service.test".to_owned()]).unwrap();
        let trusted = params.signed_by(&key, &issuer).unwrap();
        let stranger = params.self_signed(&key).unwrap();
        let name = ServerName::try_from("service.test").unwrap();
        let verify = |certificate: &rcgen::Certificate| {
            judge.verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now())
        };
        assert!(verify(&trusted).is_ok() && verify(&stranger).is_err());
    }
}
