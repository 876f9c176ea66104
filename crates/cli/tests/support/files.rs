//! A room on a local server, the two commands in it, and peers that misbehave.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use metered_dev_server::{DevServer, DevServerHandle};
use metered_realtime::peer::{
    ChannelMessage, DataChannel, DataChannelEvent, DataChannelOptions, MeteredPeer, PeerEvent,
    PeerOptions,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{LIMIT, channel_of, is};

pub(crate) const MIB: usize = 1024 * 1024;

pub(crate) struct World {
    pub(crate) server: DevServerHandle,
    runtime: Runtime,
    folder: TempDir,
}

/// Bytes that differ from place to place.
pub(crate) fn content(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(DevServer::builder().start()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        Self { server, runtime, folder }
    }

    pub(crate) fn inbox(&self) -> PathBuf {
        self.folder.path().join("in")
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn received(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.inbox().join(name)).unwrap()
    }

    /// Names in the inbox.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.inbox()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// A command in the room, as a peer with a token if it has a name, else with a key.
    pub(crate) fn start(&self, args: &[&str], name: Option<&str>) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metered"));
        command.args(args).args(["--room", "r", "--local-address", "127.0.0.1", "--url"]);
        command.arg(self.server.url()).env_remove("METERED_API_KEY").env_remove("METERED_TOKEN");
        match name {
            Some(name) => command.env("METERED_TOKEN", self.server.token(name).unwrap()),
            None => command.env("METERED_API_KEY", "pk_live_dev"),
        };
        Process::start(command)
    }

    pub(crate) fn send_as(&self, name: &str, file: &Path, more: &[&str]) -> Process {
        self.start(&[&["send", file.to_str().unwrap(), "--json"], more].concat(), Some(name))
    }

    pub(crate) fn receive_as(&self, name: &str, more: &[&str]) -> Process {
        let inbox = self.inbox();
        self.start(&[&["receive", inbox.to_str().unwrap(), "--json"], more].concat(), Some(name))
    }

    pub(crate) fn send(&self, file: &Path, more: &[&str]) -> Process {
        self.start(&[&["send", file.to_str().unwrap(), "--json"], more].concat(), None)
    }

    pub(crate) fn receive(&self, more: &[&str]) -> Process {
        let inbox = self.inbox();
        self.start(&[&["receive", inbox.to_str().unwrap(), "--json"], more].concat(), None)
    }
}

pub(crate) struct Process {
    child: Child,
    incoming: Receiver<String>,
    seen: Vec<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, incoming, seen: Vec::new() }
    }

    fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = match self.incoming.recv_timeout(LIMIT) {
                Ok(line) => line,
                Err(error) => panic!("{error}; {:?}", self.seen),
            };
            self.seen.push(line.clone());
            if let Ok(value) = serde_json::from_str(&line)
                && fits(&value)
            {
                return value;
            }
        }
    }

    /// The next line of this type.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        self.find(|line| is(line, kind))
    }

    /// Waits until so many bytes have moved.
    pub(crate) fn until_bytes(&mut self, bytes: u64) {
        self.find(|line| is(line, "progress") && line["bytes"].as_u64().unwrap() >= bytes);
    }

    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = Value> {
        let values = self.seen.iter().filter_map(|line| serde_json::from_str(line).ok());
        values.filter(move |line| is(line, kind))
    }

    pub(crate) fn saw(&self, kind: &str) -> bool {
        self.all(kind).next().is_some()
    }

    pub(crate) fn lines(&self) -> String {
        self.seen.join("\n")
    }

    /// Ends it without a farewell.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    }

    /// Waits for its end: the exit code, and what standard error says.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.incoming.recv_timeout(LIMIT) {
            self.seen.push(line);
        }
        let code = match self.child.try_wait().unwrap() {
            Some(status) => status.code(),
            None => self.child.wait().unwrap().code(),
        };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, said)
    }
}

/// A peer of another make, in this process.
pub(crate) struct Stranger<'a> {
    world: &'a World,
    peer: MeteredPeer,
    channel: Option<DataChannel>,
    events: tokio::sync::Mutex<Option<metered_realtime::peer::DataChannelEvents>>,
}

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        self.world.runtime.block_on(self.peer.close());
    }
}

impl<'a> Stranger<'a> {
    fn new(world: &'a World) -> (Self, metered_realtime::peer::PeerEvents) {
        let _runtime = world.runtime.enter();
        let mut options = PeerOptions::with_api_key("pk_live_dev").unwrap();
        options.signalling.url = world.server.url();
        options.local_addresses = Some(Arc::new(|| vec![[127, 0, 0, 1].into()]));
        let peer = MeteredPeer::new(options).unwrap();
        let events = peer.events();
        (Self { world, peer, channel: None, events: tokio::sync::Mutex::new(None) }, events)
    }

    fn within<T>(&self, what: impl Future<Output = T>) -> T {
        let bounded = async { tokio::time::timeout(LIMIT, what).await.expect("in time") };
        self.world.runtime.block_on(bounded)
    }

    /// In the room, and deaf.
    pub(crate) fn silent(world: &'a World) -> Self {
        let (this, _) = Self::new(world);
        this.within(this.peer.join("r")).unwrap();
        this
    }

    /// Opens a channel as a sender does and says this.
    pub(crate) fn offering(world: &'a World, first: &str) -> Self {
        let (mut this, mut events) = Self::new(world);
        let channel = this.within(async {
            this.peer.join("r").await.unwrap();
            let remote = loop {
                if let PeerEvent::PeerJoined(remote) = events.next().await.unwrap() {
                    break remote;
                }
            };
            let protocol = "metered-file-1".to_owned();
            let options = DataChannelOptions { protocol, ..Default::default() };
            let channel = remote.open_data_channel("x", options).await.unwrap();
            channel.send_text(first).await.unwrap();
            channel
        });
        this.events = tokio::sync::Mutex::new(Some(channel.events()));
        this.channel = Some(channel);
        this
    }

    /// Answers each channel with these texts, the next one whenever something came.
    pub(crate) fn answering(world: &'a World, answers: &'static [&'static str]) -> Self {
        let (this, mut events) = Self::new(world);
        this.within(this.peer.join("r")).unwrap();
        world.runtime.spawn(async move {
            while let Some(event) = events.next().await {
                let PeerEvent::PeerJoined(remote) = event else { continue };
                let mut events = remote.events();
                tokio::spawn(async move {
                    while let Some(event) = events.next().await {
                        let Some(channel) = channel_of(event) else { continue };
                        let mut events = channel.events();
                        let mut answers = answers.iter();
                        while let Some(event) = events.next().await {
                            let answer = match event {
                                DataChannelEvent::Message(_) => answers.next(),
                                _ => None,
                            };
                            if let Some(answer) = answer {
                                channel.send_text(*answer).await.unwrap();
                            }
                        }
                    }
                });
            }
        });
        this
    }

    pub(crate) fn say(&self, text: &str) {
        self.within(self.channel.as_ref().unwrap().send_text(text)).unwrap();
    }

    pub(crate) fn bytes(&self, bytes: &'static [u8]) {
        self.within(self.channel.as_ref().unwrap().send_bytes(bytes)).unwrap();
    }

    fn next(&self) -> Option<String> {
        self.within(async {
            let mut events = self.events.lock().await;
            loop {
                match events.as_mut().unwrap().next().await {
                    Some(DataChannelEvent::Message(ChannelMessage::Text(text))) => {
                        return Some(text);
                    }
                    Some(DataChannelEvent::Close) | None => return None,
                    _ => {}
                }
            }
        })
    }

    /// The next text that came.
    pub(crate) fn text(&self) -> Value {
        serde_json::from_str(&self.next().expect("a text")).unwrap()
    }

    /// Waits until the other side has closed the channel.
    pub(crate) fn closed(&self) {
        assert_eq!(self.next(), None);
    }
}
