// The official JavaScript SDK in Chromium and our peer find each other and talk.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk, until } from "./support.mjs";

for (const hideLocalAddresses of [false, true]) {
  describe(`the page's local addresses are ${hideLocalAddresses ? "hidden" : "shown"}`, () => {
    let stage;
    before(async () => (stage = await Stage.start({ hideLocalAddresses })));
    after(() => stage.stop());

    const addressesAreAsAsked = async (page) => {
      const addresses = await page.do("localAddresses");
      const hidden = addresses.filter((address) => address.endsWith(".local"));
      assert.equal(hidden.length > 0, hideLocalAddresses, addresses.join(" "));
    };

    test("ours joins first, the page opens the channel", async (t) => {
      const room = stage.room(t);
      const peer = await room.ours("ours");
      const page = await room.page("page", { claims: { peerMetadata: { sdk: "js" } } });
      const { peer: seen } = await peer.nextOf("peer", "peer-joined");
      assert.deepEqual(seen, { id: page.id, metadata: { sdk: "js" } });
      await page.next("peer", "peer-joined");
      await talk(await channelOfPage(page, peer, "chat"), "grüß dich");
      await addressesAreAsAsked(page);
      // A channel may be open before either side has said that the connection is.
      await until("the page says connected", async () => (await page.do("state", peer.id)) === "connected");
      await peer.nextOf(`remote:${page.id}`, "state-change", ({ to }) => to === "connected");
      const [remote] = await peer.call("peer.remotePeers");
      assert.equal(remote.state, "connected");
      await page.do("close");
      assert.equal((await peer.nextOf("peer", "peer-left")).peer.id, page.id);
    });

    test("the page joins first, ours opens the channel", async (t) => {
      const room = stage.room(t);
      const page = await room.page("page");
      const peer = await room.ours("ours", { claims: { peerMetadata: { sdk: "rust" } } });
      assert.deepEqual(await page.next("peer", "peer-joined"), { id: peer.id, metadata: { sdk: "rust" } });
      await peer.nextOf("peer", "peer-joined");
      const both = await channelOfOurs(peer, page, "game");
      await peer.nextOf(`channel:${both.channelId}`, "open");
      await talk(both, "e4");
      await addressesAreAsAsked(page);
      await peer.call("peer.close");
      assert.deepEqual(await page.next("peer", "peer-left"), { id: peer.id });
    });

    test("each opens a channel once they are connected", async (t) => {
      const both = await pair(stage.room(t));
      await talk(await channelOfPage(both.page, both.peer, "theirs"), "one");
      await talk(await channelOfOurs(both.peer, both.page, "ours"), "two");
      await talk(both, "three");
    });
  });
}
