//! A connection of the crate behind [`Connection`].
//!
//! Dropping a connection of the crate leaves its task and its socket behind: whoever owns a
//! [`CrateConnection`] closes it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::transport::RTCIceCandidatePair;
use tokio::sync::{OnceCell, watch};
use webrtc::peer_connection::{
    PeerConnection, RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceCandidateType,
    RTCIceTransportPolicy, RTCSdpType, RTCSessionDescription, StatsSelector,
};

use super::channel::{self, CrateChannel, UNUSED_STREAM};
use super::congestion::Feedback;
use super::convoys::Convoys;
use super::handler::Handler;
use super::senders::{self, CrateSender};
use super::stats;
use crate::rtc::RtcError;
use crate::rtc::engine::{
    Channel, ChannelInit, Connection, MediaKind, NO_SUCH_CODEC, SenderInit, TrackSender,
    TransportFeedback,
};
use crate::rtc::h264;
use crate::rtc::runtime::ConnectionRuntime;
use crate::rtc::sdp::{self, Directions};
use crate::rtc::stats::ConnectionStats;
use crate::wire::{DescriptionKind, IceCandidate, IceServer, SessionDescription};

type CrateError = webrtc::error::Error;

pub(super) struct CrateConnection {
    connection: Arc<dyn PeerConnection>,
    runtime: Arc<ConnectionRuntime>,
    handler: Arc<Handler>,
    feedback: Arc<Feedback>,
    convoys: Arc<Convoys>,
    /// Whether it was closed.
    closed: watch::Sender<bool>,
    policy: RTCIceTransportPolicy,
    /// Whether we open the DTLS handshake if the remote leaves it to us.
    answers_actively: bool,
    /// Whether we open it; the first description of the remote decides.
    opens_dtls: OnceLock<bool>,
    /// Set once our offers have an m-line for data channels.
    offers_data: OnceCell<()>,
    /// The codecs that the remote's last description takes.
    remote_takes: Mutex<BTreeSet<String>>,
    /// Of the remote's last offer.
    offered: Mutex<Directions>,
    /// Whether the remote has described an m-line for sound, and for pictures.
    described: [AtomicBool; 2],
}

/// What a connection is made of.
type Parts =
    (Arc<dyn PeerConnection>, Arc<ConnectionRuntime>, Arc<Handler>, Arc<Feedback>, Arc<Convoys>);

impl fmt::Debug for CrateConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateConnection").finish_non_exhaustive()
    }
}

impl CrateConnection {
    pub(super) fn new(parts: Parts, policy: RTCIceTransportPolicy, answers_actively: bool) -> Self {
        let (connection, runtime, handler, feedback, convoys) = parts;
        let (opens_dtls, closed) = (OnceLock::new(), watch::Sender::new(false));
        let offers_data = OnceCell::new();
        Self {
            connection,
            runtime,
            handler,
            feedback,
            convoys,
            closed,
            policy,
            answers_actively,
            opens_dtls,
            offers_data,
            remote_takes: Mutex::default(),
            offered: Mutex::default(),
            described: Default::default(),
        }
    }
}

impl CrateConnection {
    /// Every offer has an m-line for data channels. The crate begins the handshake of an association at the end
    /// of that of DTLS and never again: where only tracks were agreed on by then, two of ours would both wait
    /// for the other to begin it. That m-line comes with a channel only, so one is made that nobody uses.
    async fn offer_data(&self) -> Result<(), RtcError> {
        if self.connection.sctp().await.is_some() {
            return Ok(());
        }
        let make = async || {
            let init =
                ChannelInit { negotiated_id: Some(UNUSED_STREAM), ..ChannelInit::reliable("") };
            let unused = channel::open(&*self.connection, &init).await?;
            self.handler.ignore_channel(unused.id());
            Ok(())
        };
        self.offers_data.get_or_try_init(make).await.copied()
    }

    fn has_described(&self, kind: MediaKind) -> bool {
        self.described[usize::from(kind == MediaKind::Video)].load(Ordering::Relaxed)
    }

    /// What leaves of a local description.
    fn outgoing(&self, description: RTCSessionDescription) -> Option<SessionDescription> {
        let (kind, sdp) = match description.sdp_type {
            RTCSdpType::Offer => (DescriptionKind::Offer, description.sdp),
            // The crate always answers as it is set, and keeps the role that it has: an answer that says
            // otherwise than the transport does is refused by browsers (RFC 8842 section 5.3).
            RTCSdpType::Answer => {
                let (says, is) = match self.opens_dtls.get() {
                    Some(true) => ("a=setup:passive", "a=setup:active"),
                    _ => ("a=setup:active", "a=setup:passive"),
                };
                let sdp = description.sdp.replace(says, is);
                let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
                let sdp = self.feedback.numbers().as_described(&offered.allowed(&sdp));
                (DescriptionKind::Answer, sdp)
            }
            _ => return None,
        };
        Some(SessionDescription { kind, sdp })
    }

    /// From the transport: the report knows no remote candidate that came inside a description.
    async fn selected_pair(&self) -> Option<RTCIceCandidatePair> {
        let dtls = match self.connection.sctp().await {
            Some(sctp) => sctp.transport(),
            None => self.connection.get_receivers().await.first()?.transport().await.ok()??,
        };
        dtls.ice_transport().get_selected_candidate_pair().await.ok()?
    }
}

/// The two ends of a path, ours as its socket is bound; `None` by way of a relay of ours, whose datagrams the
/// crate wraps.
fn direct_path(pair: &RTCIceCandidatePair) -> Option<(SocketAddr, SocketAddr)> {
    let (local, remote) = (pair.local(), pair.remote());
    let base = match local.typ {
        RTCIceCandidateType::Relay => return None,
        RTCIceCandidateType::Host => SocketAddr::new(local.address.parse().ok()?, local.port),
        _ => SocketAddr::new(local.related_address.parse().ok()?, local.related_port),
    };
    Some((base, SocketAddr::new(remote.address.parse().ok()?, remote.port)))
}

#[async_trait]
impl Connection for CrateConnection {
    async fn offer(&self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        let fail = |error| RtcError::new("offer", &error);
        self.runtime.pace().brisk();
        self.offer_data().await?;
        if ice_restart {
            self.handler.association.path.lost();
        }
        // Not `restart_ice()`: that binds new sockets before the offer exists, and gathers twice.
        let options = ice_restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.connection.create_offer(options).await.map_err(fail)?;
        self.connection.set_local_description(offer.clone()).await.map_err(fail)?;
        self.outgoing(offer).ok_or_else(|| RtcError::of("offer", "NotAnOffer"))
    }

    async fn answer(&self) -> Result<SessionDescription, RtcError> {
        let fail = |error| RtcError::new("answer", &error);
        let answer = self.connection.create_answer(None).await.map_err(fail)?;
        self.connection.set_local_description(answer.clone()).await.map_err(fail)?;
        let of_the_crate = answer.sdp.clone();
        let sent = self.outgoing(answer).ok_or_else(|| RtcError::of("answer", "NotAnAnswer"))?;
        self.feedback.silenced().answered(&of_the_crate, &sent.sdp);
        Ok(sent)
    }

    async fn roll_back(&self) -> Result<(), RtcError> {
        let fail = |error| RtcError::new("roll_back", &error);
        let description = RTCSessionDescription::rollback(None).map_err(fail)?;
        self.connection.set_local_description(description).await.map_err(fail)
    }

    async fn apply_remote(&self, description: SessionDescription) -> Result<(), RtcError> {
        let fail = |error| RtcError::new("apply_remote", &error);
        self.runtime.pace().brisk();
        // An offer may leave it open.
        let remote_opens = sdp::opens_dtls(&description.sdp).unwrap_or(!self.answers_actively);
        let sections = sdp::media_sections(&description.sdp);
        let takes = sdp::codecs_taken(&description.sdp);
        let payload_types = sdp::payload_types(&description.sdp);
        let offered =
            (description.kind == DescriptionKind::Offer).then(|| Directions::of(&description.sdp));
        let is_answer = description.kind == DescriptionKind::Answer;
        let read = h264::as_browsers_spell(&description.sdp);
        let description = match description.kind {
            DescriptionKind::Offer => RTCSessionDescription::offer(read),
            DescriptionKind::Answer => RTCSessionDescription::answer(read),
        };
        self.connection.set_remote_description(description.map_err(fail)?).await.map_err(fail)?;
        self.opens_dtls.get_or_init(|| !remote_opens);
        self.feedback.numbers().described(payload_types);
        if is_answer {
            self.feedback.silenced().was_answered();
        }
        *self.remote_takes.lock().unwrap_or_else(PoisonError::into_inner) = takes;
        if let Some(offered) = offered {
            *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = offered;
        }
        for section in &sections {
            self.described[usize::from(section.kind == MediaKind::Video)]
                .store(true, Ordering::Relaxed);
        }
        self.handler.tracks.described(sections).await;
        Ok(())
    }

    async fn add_candidate(&self, candidate: IceCandidate) -> Result<(), RtcError> {
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index,
            username_fragment: candidate.username_fragment,
            url: None,
        };
        let result = self.connection.add_ice_candidate(init).await;
        result.map_err(|error| RtcError::new("add_candidate", &error))
    }

    async fn local_description(&self) -> Option<SessionDescription> {
        self.connection.local_description().await.and_then(|local| self.outgoing(local))
    }

    async fn set_ice_servers(&self, servers: &[IceServer]) -> Result<(), RtcError> {
        let servers = self.runtime.set_servers(servers);
        let config = RTCConfigurationBuilder::new()
            .with_ice_servers(servers)
            .with_ice_transport_policy(self.policy)
            .build();
        let result = self.connection.set_configuration(config).await;
        result.map_err(|error| RtcError::new("set_ice_servers", &error))
    }

    async fn open_channel(&self, init: &ChannelInit) -> Result<Arc<dyn Channel>, RtcError> {
        let association = Arc::clone(&self.handler.association);
        if association.is_under_way().await {
            return Ok(Arc::new(CrateChannel::later(init.clone(), association)));
        }
        let at_once = init.negotiated_id.is_some() && association.stands().await;
        let channel = channel::open(&*self.connection, init).await?;
        // It may be set already.
        drop(self.offers_data.set(()));
        let channel = CrateChannel::new(channel, init.clone(), association);
        Ok(Arc::new(if at_once { channel.open() } else { channel }))
    }

    async fn add_sender(&self, init: &SenderInit) -> Result<Arc<dyn TrackSender>, RtcError> {
        let described = self.has_described(init.kind);
        let parts = (&self.convoys, &self.feedback);
        let sender = CrateSender::add(&*self.connection, init, described, parts).await;
        let sender = sender.map_err(|error| match error {
            CrateError::ErrRTPTransceiverCodecUnsupported => {
                RtcError::of("add_sender", NO_SUCH_CODEC)
            }
            error => RtcError::new("add_sender", &error),
        })?;
        self.feedback.name(sender.stream(), sender.id());
        Ok(Arc::new(sender))
    }

    async fn remove_sender(&self, sender: &dyn TrackSender) -> Result<(), RtcError> {
        self.feedback.forget(sender.stream());
        let removed = senders::remove(&*self.connection, sender.id()).await;
        removed.map_err(|error| RtcError::new("remove_sender", &error))
    }

    fn remote_takes(&self, mime_type: &str) -> bool {
        let takes = self.remote_takes.lock().unwrap_or_else(PoisonError::into_inner);
        takes.contains(&mime_type.to_ascii_lowercase())
    }

    fn hurry(&self) {
        self.runtime.pace().brisk();
    }

    fn relax(&self) {
        self.runtime.pace().economical();
    }

    async fn path_found(&self) {
        let Some(pair) = self.selected_pair().await else { return };
        let direct = direct_path(&pair);
        self.handler.association.path.is_repeated(direct.is_some());
        if let Some((local, remote)) = direct {
            self.runtime.repeat_recent(local, remote).await;
        }
    }

    fn received(&self) -> u64 {
        self.runtime.received()
    }

    async fn feedback(&self) -> Option<TransportFeedback> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => None,
            feedback = self.feedback.next() => Some(feedback),
        }
    }

    async fn stats(&self) -> ConnectionStats {
        let now = webrtc::runtime::Runtime::now(&*self.runtime);
        let report = self.connection.get_stats(now, StatsSelector::None).await;
        let mut stats = stats::read(&report, &self.feedback);
        if let Some(pair) = self.selected_pair().await {
            stats.selected_pair = Some(stats::read_pair(&pair, &report, &self.runtime));
        }
        stats
    }

    async fn close(&self, goodbye: bool) {
        self.closed.send_replace(true);
        self.handler.association.transport_closed();
        self.handler.association.path.settled();
        if !goodbye {
            self.runtime.closing();
        }
        if let Err(error) = self.connection.close().await {
            tracing::debug!(error = %RtcError::new("close", &error), "a connection did not close cleanly");
        }
        self.handler.tracks.close().await;
        self.runtime.shutdown().await;
    }
}
