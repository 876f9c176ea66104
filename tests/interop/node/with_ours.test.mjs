// The official JavaScript SDK and our client in one room.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Official, Ours, Server } from "./support.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

async function pair(channel) {
  const theirs = await server.token("theirs", { peerMetadata: { sdk: "js" } });
  const ourToken = await server.token("ours", { peerMetadata: { sdk: "rust" } });
  const official = new Official({ url: server.url, tokenProvider: async () => theirs });
  const ours = await Ours.create({ url: server.url, token: ourToken });
  await official.client.connect();
  await ours.call("signalling.connect");
  await official.client.subscribe(channel, { includeSenderMetadata: true });
  await ours.call("signalling.subscribe", { channel, includeSenderMetadata: true });
  return { official, ours };
}

async function end({ official, ours }) {
  await official.client.close();
  await ours.stop();
}

test("presence, messages, directs and metadata, both ways", async () => {
  const both = await pair("room");
  const { official, ours } = both;
  assert.deepEqual((await ours.next("presence")).joined, [{ peerId: "theirs", metadata: { sdk: "js" } }]);
  const joined = await official.next("presence", (p) => p.joined.length > 0);
  assert.deepEqual(joined.joined, [{ peerId: "ours", metadata: { sdk: "rust" } }]);

  await official.client.publish("room", { text: "hello ü", list: [1, 2] });
  assert.deepEqual(await ours.next("message"), {
    channel: "room", from: "theirs", data: { text: "hello ü", list: [1, 2] }, fromMetadata: { sdk: "js" },
  });
  await ours.call("signalling.publish", { channel: "room", data: { text: "servus", none: null } });
  assert.deepEqual(await official.next("message"), {
    channel: "room", from: "ours", data: { text: "servus", none: null }, fromMetadata: { sdk: "rust" },
  });

  await official.client.send("ours", [1]);
  assert.deepEqual(await ours.next("direct"), { from: "theirs", data: [1], fromMetadata: { sdk: "js" } });
  await ours.call("signalling.send", { peerId: "theirs", data: "psst" });
  assert.deepEqual(await official.next("direct"), { from: "ours", data: "psst", fromMetadata: { sdk: "rust" } });
  await end(both);
});

test("a thousand messages each way arrive in order", async () => {
  const both = await pair("busy");
  const { official, ours } = both;
  const count = 1_000;
  // The official SDK does not pace itself: it must stay below the server's rate.
  const paced = async () => {
    for (let n = 0; n < count; n += 1) {
      await official.client.publish("busy", n);
      if (n % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  const publishing = [paced()];
  for (let n = 0; n < count; n += 1) publishing.push(ours.call("signalling.publish", { channel: "busy", data: n }));
  for (let n = 0; n < count; n += 1) {
    const [a, b] = [await ours.next("message"), await official.next("message")];
    assert.deepEqual([a.data, b.data], [n, n]);
  }
  await Promise.all(publishing);
  await end(both);
});

test("a drop of either side", async () => {
  const both = await pair("room");
  const { official, ours } = both;
  await ours.next("presence");
  for (const [peerId, dropped, source] of [["ours", ours, "signalling"], ["theirs", official, undefined]]) {
    // What came before the drop is no sign that its subscription is there again.
    dropped.inbox.taken("presence", source);
    await server.fault("drop", { peerId });
    assert.equal((await dropped.next("disconnected")).code, 1006);
    await dropped.next("connected", (c) => c.isReconnect);
    await dropped.next("presence");
    await official.client.publish("room", `after ${peerId}`);
    assert.equal((await ours.next("message")).data, `after ${peerId}`);
    await ours.call("signalling.publish", { channel: "room", data: `back ${peerId}` });
    assert.equal((await official.next("message")).data, `back ${peerId}`);
  }
  await end(both);
});

test("each sees the other leave", async () => {
  const both = await pair("room");
  const { official, ours } = both;
  await official.next("presence", (p) => p.joined.length > 0);
  await ours.call("signalling.close");
  assert.deepEqual((await official.next("presence", (p) => p.left.length > 0)).left[0].peerId, "ours");
  assert.equal((await ours.next("disconnected")).willReconnect, false);
  await end(both);
});
