// Offers of the official JavaScript SDK in Chromium and of our peer: at the same moment, again, with media.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk, until } from "./support.mjs";

let stage;
before(async () => (stage = await Stage.start()));
after(() => stage.stop());

/** Longer than it takes either side to make an offer and to gather, a browser on busy cores included. */
const CROSSING_MS = 1_500;
/** The same for restarts: with the network's change our peer probes the service, and waits 2 s for its answer. */
const RESTARTING_MS = 600;

/** Both offer before either has heard of the other's offer. */
async function crossing(room, action) {
  await room.server.fault("delay-frames", { ms: CROSSING_MS });
  await action();
  await until("both offers", async () => {
    const seen = await room.descriptions();
    return new Set(seen.filter((line) => line.endsWith(":offer"))).size === 2;
  });
  await room.server.fault("delay-frames", { ms: 0 });
}

for (const [names, who] of [[["a-page", "b-ours"], "the page"], [["b-page", "a-ours"], "ours"]]) {
  test(`both offer at the same moment, and ${who} is polite`, async (t) => {
    const room = stage.room(t);
    const page = await room.page(names[0]);
    const peer = await room.ours(names[1]);
    await peer.nextOf("peer", "peer-joined");
    await page.next("peer", "peer-joined");
    let theirs, ours;
    await crossing(room, async () => {
      [theirs, ours] = await Promise.all([
        page.do("open", peer.id, "theirs"),
        peer.call("remote.openDataChannel", { peerId: page.id, label: "ours" }),
      ]);
    });
    const { id } = await page.next(`remote:${peer.id}`, "data-channel");
    await talk({ page, id, peer, channelId: ours.channelId }, "one");
    const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
    await talk({ page, id: theirs, peer, channelId }, "two");
  });
}

test("whoever joins and opens a channel whenever, both channels open, ten times", async (t) => {
  for (let n = 0; n < 10; n += 1) {
    const room = stage.room(t);
    const names = n % 2 ? ["a-page", "b-ours"] : ["z-page", "b-ours"];
    const peer = await room.ours(names[1]);
    const page = await room.page(names[0], { autoChannel: "theirs" });
    await peer.nextOf("peer", "peer-joined");
    await talk(await channelOfOurs(peer, page, "ours"), "one");
    const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
    await talk({ page, id: `${peer.id}/theirs`, peer, channelId }, "two");
    await room.clear();
  }
});

test("the page restarts ICE and the channel goes on", async (t) => {
  const both = await pair(stage.room(t));
  const [before] = await both.page.do("generation");
  await both.page.do("restartIce");
  for (let n = 0; n < 20; n += 1) await talk(both, `word ${n}`);
  await until("another generation", async () => (await both.page.do("generation"))[0] !== before);
  await talk(both, "after");
});

test("ours changes the network and the channel goes on from another port", async (t) => {
  const both = await pair(stage.room(t));
  const port = async () => (await both.peer.call("remote.stats", { peerId: both.page.id })).selectedPair?.local.port;
  const before = await port();
  await both.peer.call("peer.networkChanged");
  for (let n = 0; n < 20; n += 1) await talk(both, `word ${n}`);
  await until("another port", async () => ![undefined, before].includes(await port()));
  await talk(both, "after");
});

test("both restart at the same moment and the channel goes on", async (t) => {
  const room = stage.room(t);
  const both = await pair(room);
  const before = await both.page.do("generation");
  await room.server.fault("delay-frames", { ms: RESTARTING_MS });
  await Promise.all([both.page.do("restartIce"), both.peer.call("peer.networkChanged")]);
  await new Promise((resolve) => setTimeout(resolve, RESTARTING_MS / 2));
  await room.server.fault("delay-frames", { ms: 0 });
  await until("another generation of both", async () => {
    const now = await both.page.do("generation");
    return now.every((fragment, n) => fragment !== before[n]);
  });
  await talk(both, "after");
});

test("a page with camera and microphone negotiates with ours, and the channel goes on", async (t) => {
  const both = await pair(stage.room(t));
  await both.page.do("addMedia");
  const kinds = [];
  for (let n = 0; n < 2; n += 1) {
    const track = await both.peer.nextOf(`remote:${both.page.id}`, "track");
    kinds.push(track.kind);
    assert.deepEqual(track.metadata, { from: "page" });
  }
  assert.deepEqual(kinds.sort(), ["audio", "video"]);
  await until("packets of both tracks", async () => {
    const { tracks } = await both.peer.call("remote.stats", { peerId: both.page.id });
    return tracks.filter((track) => track.direction === "inbound" && track.packets > 10).length >= 2;
  });
  await talk(both, "after");
});

test("a page with media before it has a channel", async (t) => {
  const room = stage.room(t);
  const peer = await room.ours("ours");
  const page = await room.page("page");
  await page.next("peer", "peer-joined");
  await page.do("addMedia");
  for (let n = 0; n < 2; n += 1) await peer.nextOf(`remote:${page.id}`, "track");
  await talk(await channelOfPage(page, peer, "theirs"), "one");
  await talk(await channelOfOurs(peer, page, "ours"), "two");
});

test("three pages and two of ours, everyone talks with everyone", async (t) => {
  const room = stage.room(t);
  const peers = [await room.ours("ours-1"), await room.ours("ours-2")];
  const pages = [];
  for (const name of ["page-1", "page-2", "page-3"]) pages.push(await room.page(name, { autoChannel: "mesh" }));
  for (const peer of peers) {
    for (const page of pages) {
      const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
      await talk({ page, id: `${peer.id}/mesh`, peer, channelId }, `${peer.id} and ${page.id}`);
    }
  }
  // Each page opens one to everyone whom it sees, so two pages have two.
  for (const one of pages) {
    for (const other of pages.filter((page) => page !== one)) {
      await one.next(`remote:${other.id}`, "data-channel");
    }
  }
  const { channelId } = await peers[0].call("remote.openDataChannel", { peerId: peers[1].id, label: "mesh" });
  const other = await peers[1].nextOf(`remote:${peers[0].id}`, "data-channel");
  await peers[0].call("channel.send", { channelId, text: "between ours" });
  assert.equal((await peers[1].nextOf(`channel:${other.channelId}`, "message")).text, "between ours");
});
