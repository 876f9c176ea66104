// What breaks between the official JavaScript SDK in Chromium and our peer mends itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, within } from "../node/support.mjs";
import { Browser, ours, talk } from "./support.mjs";

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await Browser.start();
});
after(async () => {
  await browser.stop();
  await server.stop();
});

/** A page and our peer, talking over a channel that ours opened. */
async function pair(room, options = {}) {
  const page = await browser.join(server, "page", { room });
  const peer = await ours(server, "ours", { room });
  await peer.nextOf("peer", "peer-joined");
  const { channelId } = await peer.call("remote.openDataChannel", { peerId: "page", label: "chat", ...options });
  const { id } = await page.next("remote:ours", "data-channel");
  await talk(page, id, peer, channelId, "before");
  return { page, peer, channelId, id };
}

async function end({ page, peer }) {
  await page.vanish();
  await peer.stop();
}

test("both open a channel at the same moment, ten times", async () => {
  for (let n = 0; n < 10; n += 1) {
    const room = `glare-${n}`;
    const names = n % 2 ? ["a-page", "b-ours"] : ["z-page", "b-ours"];
    const peer = await ours(server, names[1], { room });
    const page = await browser.join(server, names[0], { room, autoChannel: "theirs" });
    await peer.nextOf("peer", "peer-joined");
    const { channelId } = await peer.call("remote.openDataChannel", { peerId: names[0], label: "ours" });
    const { id } = await page.next(`remote:${names[1]}`, "data-channel");
    await talk(page, id, peer, channelId, "one");
    const theirs = await peer.nextOf(`remote:${names[0]}`, "data-channel");
    await talk(page, `${names[1]}/theirs`, peer, theirs.channelId, "two");
    await end({ page, peer });
  }
});

test("the page restarts ICE and the channel goes on", async () => {
  const both = await pair("restart-page");
  await both.page.do("restartIce");
  for (let n = 0; n < 20; n += 1) await talk(both.page, both.id, both.peer, both.channelId, `word ${n}`);
  await end(both);
});

test("ours changes the network and the channel goes on", async () => {
  const both = await pair("restart-ours");
  const { localCandidate: _, ...before } = await both.peer.call("remote.stats", { peerId: "page" });
  await both.peer.call("peer.networkChanged");
  for (let n = 0; n < 20; n += 1) await talk(both.page, both.id, both.peer, both.channelId, `word ${n}`);
  const moved = async () => {
    for (;;) {
      const now = await both.peer.call("remote.stats", { peerId: "page" });
      if (now.selectedPair?.local.port !== before.selectedPair.local.port) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await within(moved(), "another port");
  await talk(both.page, both.id, both.peer, both.channelId, "after");
  await end(both);
});

test("our socket drops and the pair talks again", async () => {
  const both = await pair("drop-ours", { durable: true });
  await server.fault("drop", { peerId: "ours" });
  await both.peer.nextOf("peer", "state-change", ({ to }) => to === "reconnecting");
  await both.peer.nextOf("peer", "state-change", ({ to }) => to === "joined");
  // The page saw us leave and come back, and closed its connection: a durable channel is there again.
  const { id } = await both.page.next("remote:ours", "data-channel");
  await talk(both.page, id, both.peer, both.channelId, "after");
  await end(both);
});

test("the page's socket drops and the pair talks again", async () => {
  const both = await pair("drop-page");
  await server.fault("drop", { peerId: "page" });
  await both.page.next("peer", "state-change");
  // To us the page left and came back under the same id.
  await both.peer.nextOf("peer", "peer-left");
  await both.peer.nextOf("peer", "peer-joined");
  const opened = async () => {
    for (;;) {
      try {
        return await both.peer.call("remote.openDataChannel", { peerId: "page", label: "again" });
      } catch (error) {
        if (error.data?.code !== "remote_gone") throw error;
      }
    }
  };
  const { channelId } = await opened();
  await both.peer.nextOf(`channel:${channelId}`, "open");
  const { id } = await both.page.next("remote:ours", "data-channel");
  await talk(both.page, id, both.peer, channelId, "after");
  await end(both);
});

test("a page that vanishes without goodbye leaves our room", async () => {
  const both = await pair("vanish");
  await both.page.vanish();
  assert.equal((await both.peer.nextOf("peer", "peer-left")).peer.id, "page");
  assert.deepEqual(await both.peer.call("peer.remotePeers"), []);
  await both.peer.stop();
});

test("a page with camera and microphone negotiates with ours, and the channel goes on", async () => {
  const both = await pair("media");
  await both.page.do("addMedia");
  const kinds = [];
  for (let n = 0; n < 2; n += 1) {
    const track = await both.peer.nextOf("remote:page", "track");
    kinds.push(track.kind);
    assert.deepEqual(track.metadata, { from: "page" });
  }
  assert.deepEqual(kinds.sort(), ["audio", "video"]);
  const received = async () => {
    for (;;) {
      const { tracks } = await both.peer.call("remote.stats", { peerId: "page" });
      if (tracks.length >= 2 && tracks.every((track) => track.direction !== "inbound" || track.packets > 10)) return tracks;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await within(received(), "packets of both tracks");
  await talk(both.page, both.id, both.peer, both.channelId, "after");
  await end(both);
});

test("three pages and two of ours, everyone talks with everyone", async () => {
  const room = "five";
  const peers = [await ours(server, "ours-1", { room }), await ours(server, "ours-2", { room })];
  const pages = [];
  for (const id of ["page-1", "page-2", "page-3"]) pages.push(await browser.join(server, id, { room, autoChannel: "mesh" }));
  // Whoever joins opens a channel to everyone that is there, and those open one to whoever joins.
  for (const [n, peer] of peers.entries()) {
    for (const page of pages) {
      const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
      await peer.call("channel.send", { channelId, text: `from ours-${n + 1}` });
      const { text } = await page.next(`channel:ours-${n + 1}/mesh`, "message");
      assert.equal(text, `from ours-${n + 1}`);
      await page.do("send", `ours-${n + 1}/mesh`, page.id);
      assert.equal((await peer.nextOf(`channel:${channelId}`, "message")).text, page.id);
    }
  }
  const { channelId } = await peers[0].call("remote.openDataChannel", { peerId: "ours-2", label: "mesh" });
  const other = await peers[1].nextOf("remote:ours-1", "data-channel");
  await peers[0].call("channel.send", { channelId, text: "between ours" });
  assert.equal((await peers[1].nextOf(`channel:${other.channelId}`, "message")).text, "between ours");
  for (const page of pages) await page.vanish();
  for (const peer of peers) await peer.stop();
});
