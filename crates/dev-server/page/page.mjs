// A room, with the official SDK: what this page sends, who else is there, and what they say.

import { open } from "/source.mjs";
import { Tile } from "/tile.mjs";

const MAX_LINES = 200;
const $ = (id) => document.getElementById(id);
const settings = await (await fetch("/page.json")).json();
const secure = location.protocol === "https:";
const url = `${secure ? "wss" : "ws"}://${location.host}`;
const tiles = new Map();
let peer, own, ownTile;

/** As a shell takes it for one word. */
const word = (text) => (/^[\w.][\w.-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const hint = () => {
  $("command").textContent = `metered call ${word($("room").value)} --video test-pattern --audio tone --url ${url} --key ${settings.apiKey}`;
};
hint();
$("room").addEventListener("input", hint);
$("missing").hidden = settings.sdk;
$("join").hidden = $("hint").hidden = !settings.sdk;

function note(text, bad = false) {
  $("note").textContent = text;
  $("note").classList.toggle("bad", bad);
}

function log(who, text) {
  const line = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = who;
  line.append(name, text);
  if (!who) line.className = "dim";
  $("log").append(line);
  while ($("log").childElementCount > MAX_LINES) $("log").firstElementChild.remove();
  line.scrollIntoView({ block: "nearest" });
}

function show(state) {
  $("state").textContent = $("state").dataset.state = state;
  const inside = !["idle", "closed"].includes(state);
  $("enter").hidden = inside;
  $("leave").hidden = $("talk").hidden = !inside;
  $("room").disabled = $("source").disabled = inside;
}

function came(remote) {
  const tile = new Tile($("tiles"), remote.id);
  tiles.set(remote.id, tile);
  tile.state(remote.state);
  log("", `${remote.id} is here`);
  remote.on("state-change", ({ to }) => tile.state(to));
  remote.on("track", ({ track }) => tile.add(track));
  remote.on("stream-removed", ({ stream }) => stream.getTracks().forEach((track) => tile.remove(track)));
  for (const type of ["negotiation-error", "ice-candidate-error"]) {
    remote.on(type, ({ err }) => log("", `${remote.id}: ${err.message}`));
  }
  tile.watch(() => remote.pc);
}

function left(id) {
  tiles.get(id)?.close();
  if (tiles.delete(id)) log("", `${id} left`);
}

async function join(room, source) {
  const { MeteredPeer } = await import("/sdk.mjs");
  const { stream, words } = await open(source);
  own = stream;
  note(words);
  peer = new MeteredPeer({ url, apiKey: settings.apiKey });
  peer.on("state-change", ({ to }) => show(to));
  peer.on("peer-joined", ({ peer: remote }) => came(remote));
  peer.on("peer-left", ({ peer: remote }) => left(remote.id));
  peer.on("data", ({ senderPeerId, data }) => log(senderPeerId, typeof data === "string" ? data : JSON.stringify(data)));
  peer.on("error", ({ err }) => note(err?.message ?? "the SDK reports an error", true));
  if (stream) {
    ownTile = new Tile($("tiles"), "you", { muted: true });
    stream.getTracks().forEach((track) => ownTile.add(track));
    peer.addStream(stream, { from: "page" });
  }
  await peer.join(room);
  ownTile?.name(`you, ${peer.peerId}`);
}

async function leave() {
  const closing = peer;
  peer = undefined;
  await closing?.close();
  own?.getTracks().forEach((track) => track.stop());
  ownTile?.close();
  own = ownTile = undefined;
  [...tiles.keys()].forEach(left);
  show("idle");
}

$("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("enter").disabled = true;
  try {
    await join($("room").value.trim(), $("source").value);
  } catch (error) {
    await leave();
    note(error.message, true);
  } finally {
    $("enter").disabled = false;
  }
});
$("leave").addEventListener("click", () => leave());
$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  try {
    await peer.send(text);
    log("you", text);
    $("text").value = "";
  } catch (error) {
    note(error.message, true);
  }
});
addEventListener("pagehide", () => peer?.close());
document.documentElement.dataset.ready = "";
