//! What a connection proves to be in its DTLS handshake.

use std::fmt;
use std::time::SystemTime;

use rtc::crypto::{SignatureScheme, default_provider};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};

use super::RtcError;

/// A self-signed certificate and its key, for one connection, or for several to the same remote.
#[derive(Clone)]
pub(crate) struct Certificate(RTCCertificate);

impl Certificate {
    /// A name for the crate's certificates; nobody reads it.
    const NAME: &str = "metered-realtime";

    pub(crate) fn new() -> Result<Self, RtcError> {
        const OPERATION: &str = "certificate";
        let provider = default_provider().map_err(|error| RtcError::new(OPERATION, &error))?;
        let params = CertificateParams::new(vec![Self::NAME.to_owned()])
            .map_err(|error| RtcError::new(OPERATION, &error))?;
        let scheme = SignatureScheme::EcdsaP256Sha256;
        let made = RTCCertificate::generate(provider.crypto(), scheme, params);
        made.map(Self).map_err(|error| RtcError::new(OPERATION, &error))
    }

    /// Whether a connection may still be made with it.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.expires > SystemTime::now()
    }

    pub(super) fn of_the_crate(&self) -> RTCCertificate {
        self.0.clone()
    }
}

// The key is nobody's business.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}
