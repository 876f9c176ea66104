// Runs in the page: the official SDK's peer, and an inbox of everything it tells. Functions of `room` are called
// by the tests; channels and remotes are named by strings because objects cannot leave the page.

import { MeteredPeer } from "/sdk.mjs";
import { counter, read, tone } from "/pattern.mjs";

const events = [];
const waiting = [];
const channels = new Map();
const connections = [];
const players = new Map();
const screens = new Map();
const stilled = [];
let peer;
let media;
let codec;
let taken;

const note = (source, type, payload) => {
  const entry = { source, type, payload };
  const at = waiting.findIndex((reader) => reader.fits(entry));
  if (at >= 0) waiting.splice(at, 1)[0].resolve(entry);
  else events.push(entry);
};

const matches = (source, type) => (entry) => (!source || entry.source === source) && entry.type === type;

// To look inside a remote's connection: the SDK keeps it to itself.
const Native = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
  constructor(...args) {
    super(...args);
    connections.push(this);
  }

  /** With pictures of the codec that a test wants first. */
  addTrack(track, ...streams) {
    const sender = super.addTrack(track, ...streams);
    if (codec && track.kind === "video") {
      const { codecs } = RTCRtpSender.getCapabilities("video");
      const first = codecs.filter(({ mimeType }) => mimeType === codec);
      const transceiver = this.getTransceivers().find((candidate) => candidate.sender === sender);
      transceiver.setCodecPreferences([...first, ...codecs.filter((other) => !first.includes(other))]);
    }
    return sender;
  }

  async setRemoteDescription(description) {
    await super.setRemoteDescription(description);
    limit(this);
  }
};

/** Only pictures of the codecs that a test wants are taken. */
function limit(connection) {
  const { codecs } = RTCRtpReceiver.getCapabilities("video");
  const wanted = codecs.filter(({ mimeType }) => [...(taken ?? []), "video/rtx"].includes(mimeType));
  const pictures = ({ receiver, stopped }) => receiver.track.kind === "video" && !stopped;
  if (taken) for (const transceiver of connection.getTransceivers().filter(pictures)) transceiver.setCodecPreferences(wanted);
}

function adopt(id, channel) {
  channels.set(id, channel);
  channel.binaryType = "arraybuffer";
  for (const type of ["open", "close"]) channel.addEventListener(type, () => note(`channel:${id}`, type, {}));
  channel.addEventListener("message", ({ data }) => {
    note(`channel:${id}`, "message", typeof data === "string" ? { text: data } : { bytes: data.byteLength, sum: sum(data) });
  });
}

// The other side may know of a channel before its opener knows that it is open.
async function opened(id) {
  const channel = channels.get(id);
  if (channel.readyState === "connecting") await new Promise((resolve) => channel.addEventListener("open", resolve, { once: true }));
  return channel;
}

const sum = (buffer) => new Uint8Array(buffer).reduce((total, byte) => (total * 31 + byte) % 65_521, 7);

function watch(remote) {
  const source = `remote:${remote.id}`;
  for (const type of ["state-change", "connection-reset"]) remote.on(type, (payload) => note(source, type, payload ?? {}));
  for (const type of ["negotiation-error", "ice-candidate-error"]) {
    remote.on(type, (payload) => note(source, type, { message: String(payload?.err?.message ?? payload?.message ?? payload) }));
  }
  remote.on("track", ({ track, metadata }) => note(source, "track", { kind: track.kind, metadata }));
  remote.on("stream-added", ({ stream, metadata }) => note(source, "stream-added", { streamId: stream.id, metadata }));
  remote.on("stream-removed", ({ stream }) => note(source, "stream-removed", { streamId: stream.id }));
  remote.on("data-channel", ({ channel }) => {
    const id = `${remote.id}/${channel.label}`;
    adopt(id, channel);
    const { label, protocol, ordered, maxRetransmits } = channel;
    note(source, "data-channel", { id, label, protocol, ordered, maxRetransmits });
  });
}

const live = () => connections.findLast((pc) => pc.connectionState !== "closed");
/** What its connection has and says of itself: nothing while there is none yet. */
const transceivers = () => live()?.getTransceivers() ?? [];
const receivers = () => transceivers().map(({ receiver }) => receiver);
const statistics = async () => [...((await live()?.getStats()) ?? new Map()).values()];

/** What left on the connection, by kind: pictures, how many of them began anew, and packets. */
async function sent() {
  const streams = (await statistics()).filter(({ type }) => type === "outbound-rtp");
  return Object.fromEntries(
    streams.map((stream) => [stream.kind, { frames: stream.framesSent, keyFrames: stream.keyFramesEncoded, packets: stream.packetsSent }]),
  );
}

const remote = (id) => {
  const found = [...peer.remotePeers].find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no remote ${id}`);
  return found;
};

window.room = {
  async join(channel, { url, token, iceServers, relay, autoChannel, takes }) {
    taken = takes;
    peer = new MeteredPeer({
      url,
      tokenProvider: async () => token,
      reconnect: { initialDelayMs: 50, maxDelayMs: 500 },
      rtcPeerConnectionFactory: (config) =>
        new RTCPeerConnection({
          ...config,
          ...(iceServers ? { iceServers } : {}),
          ...(relay ? { iceTransportPolicy: "relay" } : {}),
        }),
    });
    for (const type of ["joined", "left", "state-change", "data"]) peer.on(type, (payload) => note("peer", type, payload ?? {}));
    peer.on("error", ({ err, error }) => note("peer", "error", { name: (err ?? error)?.name }));
    peer.on("peer-joined", ({ peer: joined }) => {
      watch(joined);
      note("peer", "peer-joined", { id: joined.id, metadata: joined.metadata });
      if (!autoChannel) return;
      // As the SDK's guide has it: at the start, and after each reset.
      window.room.open(joined.id, autoChannel);
      joined.on("connection-reset", () => window.room.open(joined.id, autoChannel));
    });
    peer.on("peer-left", ({ peer: gone }) => note("peer", "peer-left", { id: gone.id }));
    await peer.join(channel);
  },
  open(id, label, options) {
    const name = `${id}/${label}`;
    adopt(name, remote(id).pc.createDataChannel(label, options));
    return name;
  },
  send: async (id, text) => (await opened(id)).send(text),
  sendBytes: async (id, length) => (await opened(id)).send(Uint8Array.from({ length }, (_, n) => n % 251)),
  /** Takes a file of so many bytes, sends it back, and says its SHA-256. */
  async returnFile(id, length) {
    const channel = await opened(id);
    const file = await new Promise((resolve) => {
      const parts = [];
      let taken = 0;
      channel.addEventListener("message", ({ data }) => {
        taken += parts.push(data) && data.byteLength;
        if (taken >= length) resolve(new Blob(parts).arrayBuffer());
      });
      note(`channel:${id}`, "ready", {});
    });
    const digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", file))];
    for (let at = 0; at < file.byteLength; at += 16_384) {
      while (channel.bufferedAmount > 1_048_576) await new Promise((resolve) => setTimeout(resolve, 5));
      channel.send(file.slice(at, at + 16_384));
    }
    return digest.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  closeChannel: (id) => channels.get(id).close(),
  state: (id) => remote(id).state,
  async addMedia() {
    media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
    peer.addStream(media, { from: "page" });
    return media.id;
  },
  removeMedia() {
    peer.removeStream(media);
    for (const sender of stilled.splice(0)) transceivers().find((candidate) => candidate.sender === sender).direction = "recvonly";
  },
  /** Sends no more of its tracks, without a word to the other side, and says what it sent when the last of it has left. */
  async still() {
    for (const sender of live().getSenders().filter(({ track }) => track)) {
      await sender.replaceTrack(null);
      // The SDK knows a sender by its track, and would remove none that has none.
      stilled.push(sender);
    }
    let [before, now] = [undefined, await sent()];
    while (JSON.stringify(before) !== JSON.stringify(now)) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      [before, now] = [now, await sent()];
    }
    return now;
  },
  /** Sends a picture that counts and a tone. */
  async addPattern(wanted, hz = 440) {
    codec = wanted;
    media = counter();
    media.addTrack(await tone(hz));
    peer.addStream(media, { from: "pattern" });
    return media.id;
  },
  mute(kind, muted) {
    for (const track of media.getTracks().filter((track) => track.kind === kind)) track.enabled = !muted;
  },
  /** Another counter and another tone under the same senders. */
  async replacePattern(hz) {
    const next = [counter(64).getVideoTracks()[0], await tone(hz)];
    for (const track of next) {
      const old = media.getTracks().find(({ kind }) => kind === track.kind);
      await peer.replaceTrack(old, track);
      media.removeTrack(old);
      media.addTrack(track);
      old.stop();
    }
  },
  /** From now on these; tells the remote by an offer. */
  take(codecs) {
    taken = codecs;
    limit(live());
    live().addTransceiver("video", { direction: "recvonly" });
    limit(live());
  },
  /** What the page's picture tracks say of themselves. */
  pictures: () =>
    transceivers()
      .filter(({ receiver }) => receiver.track.kind === "video")
      .map(({ currentDirection, receiver }) => ({ currentDirection, muted: receiver.track.muted })),
  codecs: (direction) => [...new Set(window[direction].getCapabilities("video").codecs.map(({ mimeType }) => mimeType))],
  /** Those of H.264 in several packets that the page takes, such as `42e01f`. */
  profiles: () => {
    const h264 = RTCRtpReceiver.getCapabilities("video").codecs.filter(({ mimeType, sdpFmtpLine }) => mimeType === "video/H264" && sdpFmtpLine.includes("packetization-mode=1"));
    return h264.map(({ sdpFmtpLine }) => /profile-level-id=(\w+)/.exec(sdpFmtpLine)?.[1] ?? "");
  },
  /** What is on a screen of the first picture track: its size, upright, and the number in it. */
  async shown(degrees) {
    const track = receivers().map((receiver) => receiver.track).find(({ kind, muted }) => kind === "video" && !muted);
    if (!track) return undefined;
    if (!screens.has(track)) {
      const screen = Object.assign(document.createElement("video"), { srcObject: new MediaStream([track]), muted: true });
      document.body.append(screen);
      screens.set(track, screen);
      await screen.play();
    }
    return read(screens.get(track), degrees);
  },
  /** What the browser decoded of each picture track. */
  async decoded() {
    const report = await statistics();
    const codec = (id) => report.find((entry) => entry.id === id)?.mimeType;
    return report
      .filter(({ type, kind }) => type === "inbound-rtp" && kind === "video")
      .map((entry) => ({
        frames: entry.framesDecoded,
        keyFrames: entry.keyFramesDecoded,
        width: entry.frameWidth,
        height: entry.frameHeight,
        lost: entry.packetsLost,
        codec: codec(entry.codecId),
      }));
  },
  /** How loud each sound track is now, in dB, as the browser plays it. */
  async heard() {
    const sounds = receivers().map(({ track }) => track).filter(({ kind, muted }) => kind === "audio" && !muted);
    // The browser decodes only what is played.
    for (const track of sounds) {
      if (!players.has(track)) players.set(track, Object.assign(new Audio(), { srcObject: new MediaStream([track]), autoplay: true }));
    }
    const levels = [];
    for (const { type, kind, audioLevel } of await statistics()) {
      if (type === "inbound-rtp" && kind === "audio" && audioLevel) levels.push(20 * Math.log10(audioLevel));
    }
    return levels;
  },
  connections: () => connections.filter((pc) => pc.connectionState !== "closed").length,
  restartIce: () => live().restartIce(),
  /** The user name fragments of the present descriptions: they change with each restart. */
  generation: () => [live().localDescription, live().remoteDescription].map(({ sdp }) => /a=ice-ufrag:(\S+)/.exec(sdp)[1]),
  localAddresses: () => [...live().localDescription.sdp.matchAll(/a=candidate:\S+ 1 udp \S+ (\S+)/gi)].map(([, address]) => address),
  close: () => peer.close(),
  next: (source, type) => {
    const at = events.findIndex(matches(source, type));
    if (at >= 0) return events.splice(at, 1)[0].payload;
    return new Promise((resolve) => waiting.push({ fits: matches(source, type), resolve: (entry) => resolve(entry.payload) }));
  },
  history: () => [
    ...events.map(({ source, type, payload }) => `${source} ${type} ${JSON.stringify(payload)}`),
    ...connections.map((pc) => `connection ${pc.signalingState} ${pc.iceGatheringState} ${pc.iceConnectionState} ${pc.connectionState}`),
  ],
};
