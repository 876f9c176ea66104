//! Asks a STUN or TURN server whether it serves.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::ms;
use super::error::SdkError;
use super::options::{IceServer, PeerOptions};
use super::runtime;
use super::token_provider::Asked;
use crate::credential::Credential;
use crate::peer::{self, CandidateType};

/// What a STUN or TURN server answered.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct IceServerAnswer {
    /// What it gave: `Srflx` is our address as a STUN server sees it, `Relay` an address of a TURN server that
    /// it relays for us.
    pub candidate_type: CandidateType,
    /// That address, as `address:port`; none if it is the one that the device has itself.
    pub address: Option<String>,
    /// From the beginning to the answer: name, connection, encryption and credentials included.
    pub took_ms: f64,
}

impl From<peer::IceServerAnswer> for IceServerAnswer {
    fn from(answer: peer::IceServerAnswer) -> Self {
        let peer::IceServerAnswer { candidate_type, address, took } = answer;
        let address = address.map(|address| address.to_string());
        Self { candidate_type, address, took_ms: ms(took) }
    }
}

/// Asks the first URL of a server for an address, over the network and with the TLS options of a peer. Takes
/// `limit_ms` at most; a server over UDP that does not answer is known after 5 s, one over TLS after 20 s at
/// the latest. Fails with `IceCandidateError`.
#[uniffi::export]
pub async fn ask_ice_server(
    options: PeerOptions,
    server: IceServer,
    limit_ms: u64,
) -> Result<IceServerAnswer, SdkError> {
    // The service takes no part, and so nobody is asked for a token.
    let credential = Credential::Provider(Arc::new(Asked(Arc::default())));
    let options = options.into_core(credential)?;
    let (server, limit) = (server.into(), Duration::from_millis(limit_ms));
    runtime::run(async move {
        peer::ask_ice_server(&options, &server, limit).await.map(IceServerAnswer::from)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_figures() {
        let made = IceServerAnswer::from(peer::IceServerAnswer {
            candidate_type: CandidateType::Relay,
            address: Some(([192, 0, 2, 1], 50_000).into()),
            took: Duration::from_millis(31),
        });
        let (candidate_type, address) = (CandidateType::Relay, Some("192.0.2.1:50000".into()));
        assert_eq!(made, IceServerAnswer { candidate_type, address, took_ms: 31.0 });
    }
}
