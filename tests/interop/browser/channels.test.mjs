// What data channels between the official JavaScript SDK in Chromium and our peer carry.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk } from "./support.mjs";

let stage;
before(async () => (stage = await Stage.start()));
after(() => stage.stop());

const pattern = (length) => Buffer.from(Uint8Array.from({ length }, (_, n) => n % 251));
const sum = (bytes) => bytes.reduce((total, byte) => (total * 31 + byte) % 65_521, 7);

async function toThePage({ peer, channelId, page, id }, bytes) {
  await peer.call("channel.send", { channelId, base64: bytes.toString("base64") });
  const seen = await page.next(`channel:${id}`, "message");
  assert.deepEqual(seen, { bytes: bytes.length, sum: sum(bytes) });
}

async function toOurs({ peer, channelId, page, id }, length) {
  await page.do("sendBytes", id, length);
  const { base64 } = await peer.nextOf(`channel:${channelId}`, "message");
  assert.ok(Buffer.from(base64, "base64").equals(pattern(length)), `${length} bytes arrived otherwise`);
}

// 64 KiB is what everyone takes; Chromium's description allows 256 KiB, and ours does.
for (const length of [1, 1_200, 65_536, 200_000]) {
  test(`${length} bytes in one message, both ways, whoever opened the channel`, async (t) => {
    const both = await pair(stage.room(t));
    for (const channel of [both, await channelOfPage(both.page, both.peer, "theirs")]) {
      await toThePage(channel, pattern(length));
      await toOurs(channel, length);
    }
  });
}

test("messages beyond what the page allows are refused before they leave", async (t) => {
  const both = await pair(stage.room(t));
  const refused = await both.peer
    .call("channel.send", { channelId: both.channelId, base64: pattern(262_145).toString("base64") })
    .then(() => assert.fail("it was taken"), (error) => error);
  assert.deepEqual([refused.data.size, refused.data.cap], [262_145, 262_144]);
  await talk(both, "and the channel lives");
});

test("empty messages and text of every plane keep their kind", async (t) => {
  const both = await pair(stage.room(t));
  for (const text of ["", "grüß dich", "日本語 🦀", "x".repeat(60_000)]) await talk(both, text);
});

test("the page sees the properties of a channel of ours", async (t) => {
  const both = await pair(stage.room(t));
  const options = { ordered: false, maxRetransmits: 0, protocol: "moves" };
  await both.peer.call("remote.openDataChannel", { peerId: both.page.id, label: "game", ...options });
  const seen = await both.page.next(`remote:${both.peer.id}`, "data-channel");
  assert.deepEqual(seen, { id: `${both.peer.id}/game`, label: "game", ...options });
});

test("a thousand messages each way stay in order", async (t) => {
  const both = await pair(stage.room(t));
  const other = await channelOfPage(both.page, both.peer, "theirs");
  const fromOurs = async () => {
    for (let n = 0; n < 1_000; n += 1) await both.peer.call("channel.send", { channelId: both.channelId, text: `${n}` });
  };
  const fromThePage = async () => {
    for (let n = 0; n < 1_000; n += 1) await both.page.do("send", other.id, `${n}`);
  };
  const atThePage = async () => {
    for (let n = 0; n < 1_000; n += 1) await both.page.hears(both.id, `${n}`);
  };
  const atOurs = async () => {
    for (let n = 0; n < 1_000; n += 1) {
      assert.equal((await both.peer.nextOf(`channel:${other.channelId}`, "message")).text, `${n}`);
    }
  };
  await Promise.all([fromOurs(), fromThePage(), atThePage(), atOurs()]);
});

test("a channel closed by either side closes on the other, and the connection stays", async (t) => {
  const both = await pair(stage.room(t));
  const one = await channelOfOurs(both.peer, both.page, "one");
  await talk(one, "one");
  await both.page.do("closeChannel", one.id);
  await both.peer.nextOf(`channel:${one.channelId}`, "close");
  const two = await channelOfPage(both.page, both.peer, "two");
  await talk(two, "two");
  await both.peer.call("channel.close", { channelId: two.channelId });
  await both.page.next(`channel:${two.id}`, "close");
  await talk(both, "still here");
  assert.equal(await both.page.do("state", both.peer.id), "connected");
});

for (const names of [["a", "z"], ["z", "a"]]) {
  for (const caller of ["ours", "page"]) {
    test(`channels open on a call that ${caller} (${names.join(" and ")}) began with tracks alone`, async (t) => {
      const room = stage.room(t);
      const page = await room.page(names[0]);
      const peer = await room.ours(names[1]);
      await peer.nextOf("peer", "peer-joined");
      await page.next("peer", "peer-joined");
      if (caller === "page") await page.do("addPattern");
      else await peer.call("peer.addTrack", { kind: "audio", source: { tone: { hz: 440 } }, streamId: "call" });
      await peer.nextOf(`remote:${page.id}`, "state-change", ({ to }) => to === "connected");
      await talk(await channelOfOurs(peer, page, "ours"), "from ours");
      await talk(await channelOfPage(page, peer, "theirs"), "from the page");
    });
  }
}
