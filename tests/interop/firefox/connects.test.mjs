// The official JavaScript SDK in Firefox and our peer find each other. Firefox hides its local addresses here, as it
// does for everybody whom the user gave no camera to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk, until } from "../browser/support.mjs";
import { firefox } from "./firefox.mjs";

let stage;
before(async () => (stage = await Stage.start({ launch: firefox, hideLocalAddresses: true })));
after(() => stage.stop());

const hidesItsAddresses = async (page) => {
  const addresses = await page.do("localAddresses");
  assert.ok(addresses.length > 0 && addresses.every((address) => address.endsWith(".local")), addresses.join(" "));
};

test("ours joins first, the page opens the channel", async (t) => {
  const room = stage.room(t);
  const peer = await room.ours("ours");
  const page = await room.page("page", { claims: { peerMetadata: { sdk: "js" } } });
  const { peer: seen } = await peer.nextOf("peer", "peer-joined");
  assert.deepEqual(seen, { id: page.id, metadata: { sdk: "js" } });
  await page.next("peer", "peer-joined");
  await talk(await channelOfPage(page, peer, "theirs"), "grüß dich");
  await talk(await channelOfOurs(peer, page, "ours"), "日本語 🦀");
  await hidesItsAddresses(page);
  await page.do("close");
  assert.equal((await peer.nextOf("peer", "peer-left")).peer.id, page.id);
});

test("the page joins first, ours opens the channel", async (t) => {
  const room = stage.room(t);
  const page = await room.page("page");
  const peer = await room.ours("ours", { claims: { peerMetadata: { sdk: "rust" } } });
  assert.deepEqual(await page.next("peer", "peer-joined"), { id: peer.id, metadata: { sdk: "rust" } });
  await peer.nextOf("peer", "peer-joined");
  await talk(await channelOfOurs(peer, page, "ours"), "one");
  await talk(await channelOfPage(page, peer, "theirs"), "two");
  await hidesItsAddresses(page);
  await peer.call("peer.close");
  assert.deepEqual(await page.next("peer", "peer-left"), { id: peer.id });
});

test("whoever opens a channel whenever, both open", async (t) => {
  for (const name of ["a-page", "z-page"]) {
    const room = stage.room(t);
    const peer = await room.ours("m-ours");
    const page = await room.page(name, { autoChannel: "theirs" });
    await peer.nextOf("peer", "peer-joined");
    await talk(await channelOfOurs(peer, page, "ours"), "one");
    const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
    await talk({ page, id: `${peer.id}/theirs`, peer, channelId }, "two");
  }
});

test("256 KiB in one message pass both ways, and properties of a channel are seen", async (t) => {
  const both = await pair(stage.room(t));
  const bytes = Buffer.from(Uint8Array.from({ length: 262_144 }, (_, n) => n % 251));
  await both.peer.call("channel.send", { channelId: both.channelId, base64: bytes.toString("base64") });
  const sum = bytes.reduce((total, byte) => (total * 31 + byte) % 65_521, 7);
  assert.deepEqual(await both.page.next(`channel:${both.id}`, "message"), { bytes: bytes.length, sum });
  await both.page.do("sendBytes", both.id, bytes.length);
  const { base64 } = await both.peer.nextOf(`channel:${both.channelId}`, "message");
  assert.ok(Buffer.from(base64, "base64").equals(bytes));

  const options = { ordered: false, maxRetransmits: 0, protocol: "moves" };
  await both.peer.call("remote.openDataChannel", { peerId: both.page.id, label: "game", ...options });
  const seen = await both.page.next(`remote:${both.peer.id}`, "data-channel");
  assert.deepEqual(seen, { id: `${both.peer.id}/game`, label: "game", ...options });
  const one = await channelOfOurs(both.peer, both.page, "one");
  await talk(one, "one");
  await both.page.do("closeChannel", one.id);
  await both.peer.nextOf(`channel:${one.channelId}`, "close");
  const two = await channelOfPage(both.page, both.peer, "two");
  await talk(two, "two");
  await both.peer.call("channel.close", { channelId: two.channelId });
  await both.page.next(`channel:${two.id}`, "close");
  await talk(both, "still here");
});

test("the page restarts ICE, ours changes the network, and the channel goes on", async (t) => {
  const both = await pair(stage.room(t));
  const [before] = await both.page.do("generation");
  await both.page.do("restartIce");
  for (let n = 0; n < 20; n += 1) await talk(both, `word ${n}`);
  await until("another generation", async () => (await both.page.do("generation"))[0] !== before);

  const port = async () => (await both.peer.call("remote.stats", { peerId: both.page.id })).selectedPair?.local.port;
  const old = await port();
  await both.peer.call("peer.networkChanged");
  for (let n = 0; n < 20; n += 1) await talk(both, `word ${n}`);
  await until("another port", async () => ![undefined, old].includes(await port()));
  await talk(both, "after");
});

test("a page that is closed without goodbye leaves our room, and is met anew under its id", async (t) => {
  const room = stage.room(t);
  const both = await pair(room);
  await both.page.stop();
  assert.equal((await both.peer.nextOf("peer", "peer-left")).peer.id, both.page.id);
  await both.peer.nextOf(`channel:${both.channelId}`, "close");
  const page = await room.page("page");
  await both.peer.nextOf("peer", "peer-joined");
  await page.next("peer", "peer-joined");
  await talk(await channelOfPage(page, both.peer, "chat"), "again");
});

test("ours is killed without goodbye and leaves the page's room", async (t) => {
  const both = await pair(stage.room(t));
  both.peer.kill();
  assert.equal((await both.page.next("peer", "peer-left")).id, both.peer.id);
});
