// The official JavaScript SDK in Chromium and our peer find each other and talk.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server } from "../node/support.mjs";
import { Browser, ours, talk } from "./support.mjs";

for (const hideLocalAddresses of [false, true]) {
  const how = hideLocalAddresses ? "hidden" : "shown";
  let server, browser;
  before(async () => {
    server = await Server.start();
    browser = await Browser.start({ hideLocalAddresses });
  });
  after(async () => {
    await browser.stop();
    await server.stop();
  });

  test(`local addresses ${how}: ours first, the page opens the channel`, async () => {
    const peer = await ours(server, "ours");
    const page = await browser.join(server, "page", { claims: { peerMetadata: { sdk: "js" } }, autoChannel: "chat" });
    const { peer: seen } = await peer.nextOf("peer", "peer-joined");
    assert.deepEqual(seen, { id: "page", metadata: { sdk: "js" } });
    const { channelId } = await peer.nextOf("remote:page", "data-channel");
    await page.next("channel:ours/chat", "open");
    await talk(page, "ours/chat", peer, channelId, "grüß dich");
    assert.equal(await page.do("state", "ours"), "connected");
    const [remote] = await peer.call("peer.remotePeers");
    assert.equal(remote.state, "connected");
    await page.do("close");
    assert.deepEqual((await peer.nextOf("peer", "peer-left")).peer.id, "page");
    await page.vanish();
    await peer.stop();
  });

  test(`local addresses ${how}: the page first, ours opens the channel`, async () => {
    const page = await browser.join(server, "page");
    const peer = await ours(server, "ours", { claims: { peerMetadata: { sdk: "rust" } } });
    assert.deepEqual(await page.next("peer", "peer-joined"), { id: "ours", metadata: { sdk: "rust" } });
    await peer.nextOf("peer", "peer-joined");
    const { channelId } = await peer.call("remote.openDataChannel", {
      peerId: "page", label: "game", ordered: false, maxRetransmits: 0, protocol: "moves",
    });
    const seen = await page.next("remote:ours", "data-channel");
    assert.deepEqual(seen, { id: "ours/game", label: "game", protocol: "moves", ordered: false, maxRetransmits: 0 });
    await peer.nextOf(`channel:${channelId}`, "open");
    await talk(page, "ours/game", peer, channelId, "e4");
    await peer.stop();
    assert.deepEqual(await page.next("peer", "peer-left"), { id: "ours" });
    await page.vanish();
  });
}
