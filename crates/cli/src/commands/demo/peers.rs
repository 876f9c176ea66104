//! Three peers of one room, and what their connections survive.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metered_dev_server::{DevServerHandle, Target};
use metered_realtime::peer::{
    ChannelMessage, DataChannel, DataChannelEvent, DataChannelEvents, DataChannelOptions,
    LocalAddresses, MeteredPeer, PeerEvent, PeerEvents, PeerOptions, PeerState, RemoteEvent,
    RemotePeer, RemoteState, SocketBinder,
};
use metered_realtime::signalling::SignallingOptions;
use socket2::{SockRef, Socket};

use super::{Story, Told, within};
use crate::output::Failure;

/// A second address of this machine where the system has one; elsewhere a change brings other ports.
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Between two looks at figures that no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Keeps a second handle of each socket, to make it deaf.
#[derive(Default)]
struct Ears(Mutex<Vec<Socket>>);

impl SocketBinder for Ears {
    fn bind(&self, socket: &SockRef<'_>) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(socket.try_clone()?);
        Ok(())
    }
}

impl Ears {
    /// From now on the system hands these sockets nothing but what comes from a socket that is silent.
    fn close(&self) -> Result<(), String> {
        let silence = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(say)?;
        let nowhere = silence.local_addr().map_err(say)?.into();
        let sockets = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if sockets.is_empty() {
            return Err("there is no socket to make deaf".into());
        }
        sockets.iter().try_for_each(|socket| socket.connect(&nowhere)).map_err(say)
    }
}

/// A peer with a network that can change and die.
struct Member {
    peer: MeteredPeer,
    events: PeerEvents,
    address: Arc<Mutex<IpAddr>>,
    ears: Arc<Ears>,
}

impl Member {
    async fn join(server: &DevServerHandle, name: &str) -> Result<Self, String> {
        let token = server.token(name).map_err(say)?;
        let mut options = PeerOptions::new(SignallingOptions::with_token(token).map_err(say)?);
        options.signalling.url = server.url();
        let address = Arc::new(Mutex::new(IpAddr::from(Ipv4Addr::LOCALHOST)));
        let ears = Arc::<Ears>::default();
        let shared = Arc::clone(&address);
        let local = move || vec![*shared.lock().unwrap_or_else(PoisonError::into_inner)];
        options.local_addresses = Some(Arc::new(local) as Arc<dyn LocalAddresses>);
        options.socket_binder = Some(Arc::clone(&ears) as Arc<dyn SocketBinder>);
        let peer = MeteredPeer::new(options).map_err(say)?;
        let events = peer.events();
        peer.join("stage").await.map_err(say)?;
        Ok(Self { peer, events, address, ears })
    }

    async fn sees(&mut self, id: &str) -> Result<RemotePeer, String> {
        while let Some(event) = self.events.next().await {
            match event {
                PeerEvent::PeerJoined(remote) if remote.id() == id => return Ok(remote),
                _ => {}
            }
        }
        Err(format!("{id} did not come"))
    }

    async fn until(&mut self, wanted: PeerState) -> Result<(), String> {
        while let Some(event) = self.events.next().await {
            if matches!(event, PeerEvent::StateChange { to, .. } if to == wanted) {
                return Ok(());
            }
        }
        Err("the peer is gone".into())
    }
}

/// One end of a data channel.
struct End {
    remote: RemotePeer,
    channel: DataChannel,
    events: DataChannelEvents,
}

impl End {
    fn new(remote: RemotePeer, channel: DataChannel) -> Self {
        let events = channel.events();
        Self { remote, channel, events }
    }

    async fn hears(&mut self, wanted: &str) -> Result<(), String> {
        while let Some(event) = self.events.next().await {
            match event {
                DataChannelEvent::Message(ChannelMessage::Text(text)) if text == wanted => {
                    return Ok(());
                }
                DataChannelEvent::Close => break,
                _ => {}
            }
        }
        Err(format!("the channel closed before {wanted:?} came"))
    }
}

/// A data channel between two peers, both ends.
struct Line(End, End);

impl Line {
    async fn open(from: &mut Member, to: &mut Member) -> Result<Self, String> {
        let id = |member: &Member| member.peer.peer_id().unwrap_or_default();
        let (there, here) = (from.sees(&id(to)).await?, to.sees(&id(from)).await?);
        let mut events = here.events();
        let opened = there.open_data_channel("stage", DataChannelOptions::default()).await;
        let ours = opened.map_err(say)?;
        loop {
            match events.next().await {
                Some(RemoteEvent::DataChannel(theirs)) => {
                    return Ok(Self(End::new(there, ours), End::new(here, theirs)));
                }
                Some(_) => {}
                None => return Err("the remote left".into()),
            }
        }
    }

    /// A message each way.
    async fn talk(&mut self, word: &str) -> Result<(), String> {
        self.0.channel.send_text(word).await.map_err(say)?;
        self.1.hears(word).await?;
        self.1.channel.send_text(word).await.map_err(say)?;
        self.0.hears(word).await
    }
}

struct Stage {
    hal: Member,
    ida: Member,
    jon: Member,
    hal_ida: Line,
    hal_jon: Line,
    ida_jon: Line,
}

pub(super) async fn peers(server: &DevServerHandle, story: &mut Story) -> Result<(), Failure> {
    story.chapter("Peers")?;
    let title = "hal, ida and jon meet and are connected, each with each";
    match within(meet(server)).await {
        Err(error) => story.tell(title, Err(error)),
        Ok((mut stage, told)) => {
            story.tell(title, Ok(told))?;
            let away = within(lose_socket(server, &mut stage)).await;
            server.reset_faults();
            story.tell("hal's connection to the service is cut; his calls go on", away)?;
            let moved = within(change_network(&mut stage)).await;
            story.tell("ida walks into another network", moved)?;
            let healed = within(heal(&mut stage)).await;
            story.tell("jon's path dies, and nobody says so", healed)?;
            for member in [&stage.hal, &stage.ida, &stage.jon] {
                member.peer.close().await;
            }
            Ok(())
        }
    }
}

async fn meet(server: &DevServerHandle) -> Result<(Stage, String), String> {
    let mut hal = Member::join(server, "hal").await?;
    let mut ida = Member::join(server, "ida").await?;
    let began = Instant::now();
    let mut jon = Member::join(server, "jon").await?;
    let mut hal_ida = Line::open(&mut hal, &mut ida).await?;
    let mut hal_jon = Line::open(&mut hal, &mut jon).await?;
    let mut ida_jon = Line::open(&mut ida, &mut jon).await?;
    for line in [&mut hal_ida, &mut hal_jon, &mut ida_jon] {
        line.talk("hello").await?;
        for remote in [&line.0.remote, &line.1.remote] {
            let mut state = remote.watch_state();
            state.wait_for(|state| *state == RemoteState::Connected).await.map_err(say)?;
        }
    }
    let ms = began.elapsed().as_millis();
    let told = format!(
        "Three connections, and a word each way over each data channel, {ms} ms after the last one began to join."
    );
    Ok((Stage { hal, ida, jon, hal_ida, hal_jon, ida_jon }, told))
}

async fn lose_socket(server: &DevServerHandle, stage: &mut Stage) -> Told {
    // Kept away a little, so that there is time to talk.
    server.refuse_upgrades(1, 503, None, None);
    let cut = Instant::now();
    server.drop_connections(Target::peer("hal"));
    stage.hal.until(PeerState::Reconnecting).await?;
    stage.hal_ida.talk("still here?").await?;
    stage.hal_jon.talk("still here?").await?;
    let state = stage.hal.peer.state();
    if state != PeerState::Reconnecting {
        return Err(format!("hal is {state} already: nothing is proved"));
    }
    stage.hal.until(PeerState::Joined).await?;
    let ms = cut.elapsed().as_millis();
    stage.hal_ida.talk("and now?").await?;
    let ends = [&stage.hal_ida.0, &stage.hal_ida.1, &stage.hal_jon.0, &stage.hal_jon.1];
    for End { remote, .. } in ends {
        if remote.state() != RemoteState::Connected {
            return Err(format!("the connection to {} is {}", remote.id(), remote.state()));
        }
    }
    Ok(format!(
        "While he was away, words passed to ida and jon and back. He was in the room again after {ms} ms, with the same connections."
    ))
}

/// Where a connection is at home, as its statistics say.
async fn home(remote: &RemotePeer) -> Result<String, String> {
    let pair = remote.stats().await.map_err(say)?.selected_pair;
    Ok(pair.map_or_else(String::new, |pair| {
        format!("{}:{}", pair.local.address.unwrap_or_default(), pair.local.port)
    }))
}

/// Waits until a connection is at home elsewhere; answers where.
async fn moved(remote: &RemotePeer, before: &str) -> Result<String, String> {
    loop {
        let now = home(remote).await?;
        if !now.is_empty() && now != before {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn change_network(stage: &mut Stage) -> Told {
    let to_hal = stage.hal_ida.1.remote.clone();
    let to_jon = stage.ida_jon.0.remote.clone();
    let (before, before_jon) = (home(&to_hal).await?, home(&to_jon).await?);
    if UdpSocket::bind((OTHER_ADDRESS, 0)).is_ok() {
        let mut address = stage.ida.address.lock().unwrap_or_else(PoisonError::into_inner);
        *address = OTHER_ADDRESS.into();
    }
    let changed = Instant::now();
    stage.ida.peer.network_changed();
    let Line(hal, ida) = &mut stage.hal_ida;
    ida.channel.send_text("I have moved").await.map_err(say)?;
    hal.hears("I have moved").await?;
    let first = changed.elapsed().as_millis();
    hal.channel.send_text("so I see").await.map_err(say)?;
    ida.hears("so I see").await?;
    let answered = changed.elapsed().as_millis();
    let after = moved(&to_hal, &before).await?;
    moved(&to_jon, &before_jon).await?;
    stage.hal_ida.talk("this way").await?;
    stage.ida_jon.talk("this way").await?;
    Ok(format!(
        "The platform said network_changed; her next word arrived {first} ms after that, hal's answer after {answered} ms, on a path from {after} instead of {before}."
    ))
}

async fn heal(stage: &mut Stage) -> Told {
    let remote = stage.hal_jon.1.remote.clone();
    let mut state = remote.watch_state();
    let changes = remote.state_history().len();
    let began = Instant::now();
    stage.jon.ears.close()?;
    stage.hal_jon.0.channel.send_text("do you hear me?").await.map_err(say)?;
    state.wait_for(|state| *state == RemoteState::Reconnecting).await.map_err(say)?;
    let noticed = began.elapsed().as_millis();
    stage.hal_jon.1.hears("do you hear me?").await?;
    let healed = began.elapsed().as_millis();
    state.wait_for(|state| *state == RemoteState::Connected).await.map_err(say)?;
    stage.hal_jon.talk("now I do").await?;
    stage.ida_jon.talk("now I do").await?;
    if remote.state_history().len() == changes {
        return Err("the connection noticed nothing".into());
    }
    Ok(format!(
        "His sockets went deaf. It was noticed after {noticed} ms, a new path was looked for, and what hal had said meanwhile arrived {healed} ms after the loss, over the same channel."
    ))
}
