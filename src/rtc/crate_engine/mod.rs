//! The engine on top of the `webrtc` crate (0.21.1), and what it takes to use it well.
//!
//! Defaults that are changed, and why: messages up to 256 KiB (64 KiB); checks of candidate pairs every
//! 20 ms (200 ms) and short waits before a worse pair is taken (up to 2 s), for the time to connect; a path
//! counts as lost after 3 s of silence and as failed after 6 s (5 s and 30 s); sockets are bound anew at an
//! ICE restart (kept), or a changed network is never noticed; no multicast DNS (a socket on port 5353 per
//! connection, and on iOS an entitlement): a browser that hides its address reaches ours instead; who answers an
//! offer without data channels waits for the DTLS handshake (opens it), because who opens it also opens the
//! data channels' association, and the crate does so right after the handshake or never: a browser that calls
//! first and opens a data channel later would wait for ever.

mod association;
mod channel;
mod codecs;
pub(super) mod congestion;
mod connection;
mod convoys;
mod handler;
mod numbers;
mod path;
mod requests;
mod senders;
mod silenced;
mod stats;
#[cfg(test)]
mod tests;
mod tracks;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceTransportPolicy,
    SettingEngine, SettingEngineBuilder,
};

use self::connection::CrateConnection;
use self::convoys::Convoys;
use self::handler::Handler;
use self::path::Path;
use super::engine::{Connection, ConnectionConfig, ConnectionEvent, Engine, IceTransportPolicy};
use super::runtime::{ConnectionRuntime, KEEPALIVE, NetworkContext};
use super::{Certificate, RtcError};

/// Bytes of a message that we accept (the crate's ceiling).
pub(crate) const MAX_MESSAGE_BYTES: u32 = 262_144;
/// Silence after which a path counts as lost.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(3);
/// Further silence after which it counts as failed.
const FAILED_AFTER: Duration = Duration::from_secs(3);
/// Pause between checks of candidate pairs (RFC 8445 section 14.2 allows no less than 5 ms).
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Checks of one pair before it is given up: four seconds of them.
const CHECKS_PER_PAIR: u16 = 200;
/// How long a better pair is waited for before one through a NAT is taken. Not for a remote address that was
/// learned from its check: that is where a browser on the same network is that hides its address.
const REFLEXIVE_WAIT: Duration = Duration::from_millis(50);
/// The same for a relay, which costs latency and money for the whole call.
const RELAY_WAIT: Duration = Duration::from_millis(400);

/// Makes connections with the `webrtc` crate.
#[derive(Debug)]
pub(crate) struct CrateEngine {
    network: Arc<NetworkContext>,
    paths: Mutex<Vec<Weak<Path>>>,
}

impl CrateEngine {
    pub(crate) fn new(network: Arc<NetworkContext>) -> Self {
        Self { network, paths: Mutex::default() }
    }
}

#[async_trait]
impl Engine for CrateEngine {
    async fn connect(
        &self,
        config: &ConnectionConfig,
        events: mpsc::UnboundedSender<ConnectionEvent>,
    ) -> Result<Arc<dyn Connection>, RtcError> {
        const OPERATION: &str = "connect";
        let fail = |error| RtcError::new(OPERATION, &error);
        let (errors, ends) = (events.clone(), events.clone());
        // Without a reader the connection is being closed.
        let on_error = move |error| drop(errors.send(ConnectionEvent::IceServerError(error)));
        let on_end = move || drop(ends.send(ConnectionEvent::TransportClosed));
        let runtime = ConnectionRuntime::new(&self.network, on_error, on_end);
        let servers = runtime.set_servers(&config.ice_servers);
        let relay_only = config.ice_transport_policy == IceTransportPolicy::Relay;
        let policy = match relay_only && !servers.is_empty() {
            true => RTCIceTransportPolicy::Relay,
            // The crate refuses "relay" without a relay; then no candidate may leave at all.
            false => RTCIceTransportPolicy::All,
        };
        if relay_only && servers.is_empty() {
            return Err(RtcError::of(OPERATION, "NoTurnServer"));
        }
        let feedback = congestion::Feedback::new();
        let selection = Arc::clone(runtime.selection());
        let handler = Arc::new(Handler::new(events, selection, Arc::clone(&feedback)));
        {
            let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            paths.retain(|path| path.strong_count() > 0);
            paths.push(Arc::downgrade(&handler.association.path));
        }
        let path = Arc::clone(&handler.association.path);
        runtime.when_heard(move || path.heard());
        let convoys = Arc::<Convoys>::default();
        let (media, registry) = codecs::media(&feedback, &convoys).map_err(fail)?;
        let certificate = config.certificate.as_ref().map(Certificate::of_the_crate);
        let building = PeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new()
                    .with_ice_servers(servers)
                    .with_ice_transport_policy(policy)
                    .with_certificates(certificate.into_iter().collect())
                    .build(),
            )
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings(relay_only, config.answers_actively))
            .with_runtime(Arc::clone(&runtime) as _)
            .with_handler(Arc::clone(&handler) as _)
            .with_udp_addrs(vec![runtime.local_addresses()])
            .build();
        // It is some KiB large; on the heap it does not weigh on every future around it.
        let built = Box::pin(building).await.map_err(|error| match runtime.why_no_socket() {
            Some(refused) => RtcError::io(OPERATION, &refused),
            None => fail(error),
        });
        let connection: Arc<dyn PeerConnection> = Arc::new(built?);
        handler.association.belongs_to(Arc::downgrade(&connection));
        handler.tracks.belongs_to(Arc::downgrade(&connection));
        let active = config.answers_actively;
        let parts = (connection, runtime, handler, feedback, convoys);
        Ok(Arc::new(CrateConnection::new(parts, policy, active)))
    }

    fn network_changed(&self) {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().filter_map(Weak::upgrade).for_each(|path| path.doubted());
    }
}

fn settings(relay_only: bool, answers_actively: bool) -> SettingEngine {
    use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
    use rtc::peer_connection::transport::RTCDtlsRole;
    let no_wait = Some(Duration::ZERO);
    let role = if answers_actively { RTCDtlsRole::Client } else { RTCDtlsRole::Server };
    let relay_wait = if relay_only { Duration::ZERO } else { RELAY_WAIT };
    SettingEngineBuilder::new()
        .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEPALIVE))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS_PER_PAIR))
        .with_host_acceptance_min_wait(no_wait)
        .with_srflx_acceptance_min_wait(Some(REFLEXIVE_WAIT))
        .with_prflx_acceptance_min_wait(no_wait)
        .with_relay_acceptance_min_wait(Some(relay_wait))
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_discard_local_candidates_during_ice_restart(true)
        .with_include_loopback_candidate(true)
        .with_answering_dtls_role(role)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_BYTES))
        .build()
}
