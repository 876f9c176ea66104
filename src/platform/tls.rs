//! Whom to trust: the platform's roots, the app's own, and pins.
//!
//! Certificates are verified by the platform (Keychain, the system's store), so that what an administrator trusts
//! or distrusts holds for us too; on Android by the certificates of its store. Extra roots are tried first; pins
//! are checked after either has accepted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::trust;
use crate::diagnosis::Diagnosis;

/// Whom to trust besides the platform, and whom alone.
///
/// ```
/// use metered_realtime::platform::tls::TlsOptions;
/// let options = TlsOptions {
///     pins: vec!["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()],
///     ..TlsOptions::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Further roots as PEM texts, each with one or more certificates; for test servers and company proxies. On
    /// Android also for what the user or the app's network security configuration trusts: only the system's
    /// certificates are known there.
    pub extra_roots_pem: Vec<String>,
    /// If not empty, a certificate of the presented chain must have one of these keys: `sha256/` and the
    /// base64 of the SHA-256 of its SubjectPublicKeyInfo, as in RFC 7469. Pin a backup key too.
    pub pins: Vec<String>,
}

/// TLS options that cannot be.
///
/// A client with such options is not made:
///
/// ```
/// use metered_realtime::platform::tls::{TlsConfigError, TlsOptions};
/// use metered_realtime::signalling::{OptionsError, SignallingClient, SignallingOptions, TargetError};
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// options.tls = TlsOptions { pins: vec!["sha1/AAAA".into()], ..TlsOptions::default() };
/// let refused = SignallingClient::new(options).unwrap_err();
/// let OptionsError::Target(TargetError::Tls(error)) = refused else { panic!() };
/// assert_eq!(error, TlsConfigError::BadPin { index: 0 });
/// println!("{}: {}", error.code(), error.diagnosis()); // with the command that makes a pin
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// An extra root is not PEM of certificates.
    #[error("extra root {index} is not PEM with a certificate in it")]
    BadRoot {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A pin is not `sha256/` and 44 characters of base64.
    #[error("pin {index} is not sha256/ and the base64 of 32 bytes")]
    BadPin {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// The platform gives no verifier.
    #[error("the platform's certificate verifier is not available")]
    NoPlatformVerifier,
}

impl TlsConfigError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRoot { .. } => "tls_bad_root",
            Self::BadPin { .. } => "tls_bad_pin",
            Self::NoPlatformVerifier => "tls_no_platform_verifier",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::BadRoot { .. } => Diagnosis::new(
                "An extra root is not a PEM text with a certificate in it.",
                "Give the text between and with BEGIN CERTIFICATE and END CERTIFICATE; a DER file must be converted.",
            ),
            Self::BadPin { .. } => Diagnosis::new(
                "A pin does not have the form sha256/BASE64 of a SHA-256.",
                "Make it with: openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
            ),
            Self::NoPlatformVerifier => Diagnosis::new(
                "The system has no store of trusted certificates that can be read.",
                "On Linux install ca-certificates; or give the service's root as an extra root.",
            ),
        }
    }
}

/// The name of a pin mismatch inside rustls' error.
pub(crate) const PIN_MISMATCH: &str = "no certificate of the chain has a pinned key";

/// Configurations in use, by their options: the roots take much memory, and clients share them.
static SHARED: Mutex<Vec<(TlsOptions, Weak<ClientConfig>)>> = Mutex::new(Vec::new());

/// The client's TLS configuration; clients with the same options share one.
pub(crate) fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.retain(|(_, config)| config.strong_count() > 0);
    let known = shared.iter().find(|(known, _)| known == options);
    if let Some(config) = known.and_then(|(_, config)| config.upgrade()) {
        return Ok(config);
    }
    let config = new_client_config(options)?;
    shared.push((options.clone(), Arc::downgrade(&config)));
    Ok(config)
}

/// HTTP/1.1 only, since the WebSocket upgrade needs it.
fn new_client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(options, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsConfigError::NoPlatformVerifier)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Extra roots, then the platform, then pins.
struct Verifier {
    extra: Option<(Arc<RootCertStore>, Arc<WebPkiServerVerifier>)>,
    platform: Option<Arc<dyn ServerCertVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("pins", &self.pins.len()).finish_non_exhaustive()
    }
}

impl Verifier {
    fn new(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<Self, TlsConfigError> {
        let extra = extra_roots(&options.extra_roots_pem)?
            .map(|roots| {
                let roots = Arc::new(roots);
                WebPkiServerVerifier::builder_with_provider(
                    Arc::clone(&roots),
                    Arc::clone(provider),
                )
                .build()
                .map(|verifier| (roots, verifier))
                .map_err(|_| TlsConfigError::BadRoot { index: 0 })
            })
            .transpose()?;
        let platform = trust::verifier(provider);
        if platform.is_none() && extra.is_none() {
            return Err(TlsConfigError::NoPlatformVerifier);
        }
        let pins = options.pins.iter().enumerate().map(|(index, pin)| {
            pin.strip_prefix("sha256/")
                .and_then(|pin| STANDARD.decode(pin).ok())
                .and_then(|pin| <[u8; 32]>::try_from(pin).ok())
                .ok_or(TlsConfigError::BadPin { index })
        });
        let pins = pins.collect::<Result<_, _>>()?;
        Ok(Self { extra, platform, pins, provider: Arc::clone(provider) })
    }

    fn trusted(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let mut refusal = rustls::Error::General("no roots at all".into());
        if let Some((roots, verifier)) = &self.extra {
            // The chain first: who does not come from an extra root is the platform's to judge.
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let chain = verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            );
            let verified =
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
            match verified {
                Ok(_) => return Ok(()),
                // From an extra root, and wrong in another way: the platform would only say "unknown".
                Err(error) if chain.is_ok() => return Err(error),
                Err(error) => refusal = error,
            }
        }
        match &self.platform {
            Some(platform) => platform
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
                .map(drop),
            None => Err(refusal),
        }
    }
}

/// A platform may ask the network about a certificate, for as long as it takes: meanwhile whatever else runs on this
/// thread goes on on another one. Where a runtime has a single thread for all there is none.
fn aside<T>(judge: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(judge),
        _ => judge(),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        aside(|| self.trusted(end_entity, intermediates, server_name, ocsp_response, now))?;
        if !self.pins.is_empty() {
            let mut chain = std::iter::once(end_entity).chain(intermediates);
            let pinned = chain.any(|certificate| {
                ParsedCertificate::try_from(certificate).is_ok_and(|parsed| {
                    let key: [u8; 32] = Sha256::digest(parsed.subject_public_key_info()).into();
                    self.pins.contains(&key)
                })
            });
            if !pinned {
                return Err(rustls::Error::General(PIN_MISMATCH.into()));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn extra_roots(pems: &[String]) -> Result<Option<RootCertStore>, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for (index, pem) in pems.iter().enumerate() {
        let bad = TlsConfigError::BadRoot { index };
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| bad.clone())?;
        if certificates.is_empty() {
            return Err(bad);
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| bad.clone())?;
        }
    }
    Ok((!roots.is_empty()).then_some(roots))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn error(options: &TlsOptions) -> TlsConfigError {
        client_config(options).unwrap_err()
    }

    #[test]
    fn equal_options_share_a_configuration() {
        let options = TlsOptions::default();
        let (one, two) = (client_config(&options).unwrap(), client_config(&options).unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        let pinned = TlsOptions {
            pins: vec!["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()],
            ..options
        };
        assert!(!Arc::ptr_eq(&one, &client_config(&pinned).unwrap()));
    }

    /// A platform that waits for something.
    #[derive(Debug)]
    struct Waits(Mutex<mpsc::Receiver<()>>);

    impl ServerCertVerifier for Waits {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            let patience = Duration::from_secs(10);
            let came = self.0.lock().unwrap().recv_timeout(patience);
            came.map(|()| ServerCertVerified::assertion())
                .map_err(|_| rustls::Error::General("nobody else could run".into()))
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            unreachable!("ours is asked")
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            unreachable!("ours is asked")
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            Vec::new()
        }
    }

    #[test]
    fn a_platform_that_judges_for_long_holds_nobody_up() {
        let (sender, receiver) = mpsc::channel();
        let verifier = Verifier {
            extra: None,
            platform: Some(Arc::new(Waits(Mutex::new(receiver)))),
            pins: Vec::new(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        };
        let judge = async move {
            let (certificate, name) = (CertificateDer::from(Vec::new()), "service.test");
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
        };
        // As the library for apps has it.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        runtime.unwrap().block_on(async {
            let judged = tokio::spawn(judge);
            let other = tokio::spawn(async move { sender.send(()) });
            assert!(judged.await.unwrap().is_ok());
            other.await.unwrap().unwrap();
        });
    }

    #[test]
    fn options_that_cannot_be_are_named() {
        let root = TlsOptions { extra_roots_pem: vec!["x".into()], ..TlsOptions::default() };
        assert_eq!(error(&root), TlsConfigError::BadRoot { index: 0 });
        let pin = TlsOptions { pins: vec!["sha1/x".into()], ..TlsOptions::default() };
        assert_eq!(error(&pin), TlsConfigError::BadPin { index: 0 });
    }
}
