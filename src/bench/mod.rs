//! For `bench/peer` only (feature `bench`): the engine without rooms and signalling.
//!
//! The time from offer to open channel is the engine's; through the public API the service's round trips
//! would be in it. Nothing else may depend on this module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::rtc::RtcError;
use crate::rtc::crate_engine::CrateEngine;
use crate::rtc::engine::{
    ChannelEvent, ChannelInit, Connection, ConnectionConfig, ConnectionEvent, Engine,
};
use crate::rtc::runtime::NetworkContext;

/// A pair that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Side {
    connection: Arc<dyn Connection>,
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
}

impl Side {
    async fn new(engine: &CrateEngine) -> Result<Self, RtcError> {
        let (sender, events) = mpsc::unbounded_channel();
        let connection = engine.connect(&ConnectionConfig::default(), sender).await?;
        Ok(Self { connection, events })
    }

    /// The local description with every candidate in it.
    async fn description(&mut self) -> Outcome<crate::wire::SessionDescription> {
        while let Some(event) = self.events.recv().await {
            if matches!(event, ConnectionEvent::GatheringComplete) {
                break;
            }
        }
        Ok(self.connection.local_description().await.ok_or("no local description")?)
    }
}

/// Connects two ends in this process and returns the time from the call that makes the offer to the
/// offerer's open channel.
pub async fn offer_to_open() -> Outcome<Duration> {
    let engine = CrateEngine::new(Arc::new(NetworkContext::default()));
    let (mut one, mut two) = (Side::new(&engine).await?, Side::new(&engine).await?);
    let init = ChannelInit {
        label: "bench".into(),
        ordered: true,
        max_retransmits: None,
        max_packet_life_time_ms: None,
        protocol: String::new(),
        negotiated_id: None,
    };
    let channel = one.connection.open_channel(&init).await?;
    let began = Instant::now();
    let connecting = async {
        one.connection.offer(false).await?;
        two.connection.apply_remote(one.description().await?).await?;
        two.connection.answer().await?;
        one.connection.apply_remote(two.description().await?).await?;
        loop {
            match channel.next().await {
                Some(ChannelEvent::Open) => return Outcome::Ok(began.elapsed()),
                Some(_) => {}
                None => return Err("the channel ended".into()),
            }
        }
    };
    let result = tokio::time::timeout(PATIENCE, connecting).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
    result?
}
