// Pictures and sound between the official JavaScript SDK in Chromium and our peer.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Stage, until } from "./support.mjs";

const clip = (name) => new URL(`clips/${name}`, import.meta.url).pathname;

describe("media", () => {
  let stage;
  before(async () => (stage = await Stage.start()));
  after(() => stage.stop());

  for (const [codec, file] of [["VP8", "pattern-vp8.ivf"], ["H264", "pattern.h264"], ["VP9", "pattern-vp9.ivf"]]) {
    test(`the page decodes our ${codec}`, async (t) => {
      const room = stage.room(t);
      const page = await room.page("page");
      const peer = await room.ours("ours");
      const source = { file: clip(file), loop: true };
      const { trackId } = await peer.call("peer.addTrack", { kind: "video", source, streamId: "screen", metadata: { codec } });
      const added = await page.next(`remote:${peer.id}`, "stream-added");
      assert.deepEqual(added, { streamId: "screen", metadata: { codec } });
      let seen;
      await until("frames are decoded", async () => {
        [seen] = await page.do("decoded");
        return seen?.frames >= 40;
      });
      assert.equal(seen.codec, `video/${codec}`);
      assert.deepEqual([seen.width, seen.height], [320, 240]);
      await peer.call("peer.replaceTrack", { trackId, source });
      await until("it goes on", async () => (await page.do("decoded"))[0].frames >= seen.frames + 40);
    });
  }

  test("a page that comes late begins at once, and sees the stream go", async (t) => {
    const room = stage.room(t);
    const peer = await room.ours("ours");
    const source = { file: clip("pattern.h264"), loop: true };
    const { trackId } = await peer.call("peer.addTrack", { kind: "video", source, streamId: "screen" });
    const page = await room.page("late");
    await until("frames are decoded", async () => (await page.do("decoded"))[0]?.frames >= 10);
    await peer.call("peer.removeTrack", { trackId });
    assert.deepEqual(await page.next(`remote:${peer.id}`, "stream-removed"), { streamId: "screen" });
  });

  test("we receive its camera and microphone, and see them go and come", async (t) => {
    const room = stage.room(t);
    const peer = await room.ours("ours");
    const page = await room.page("page");
    await page.next("peer", "peer-joined");
    const source = `remote:${page.id}`;
    const receive = async () => {
      const streamId = await page.do("addMedia");
      assert.deepEqual(await peer.nextOf(source, "stream-added"), { streamId, metadata: { from: "page" } });
      const tracks = [await peer.nextOf(source, "track"), await peer.nextOf(source, "track")];
      assert.deepEqual(tracks.map(({ kind }) => kind).sort(), ["audio", "video"]);
      for (const { trackId, kind, streamIds } of tracks) {
        assert.deepEqual(streamIds, [streamId]);
        let stats = { framesReceived: 0 };
        while (stats.framesReceived < (kind === "video" ? 20 : 100)) stats = await peer.nextOf(`track:${trackId}`, "stats");
        if (kind === "video") assert.ok(stats.keyFramesReceived >= 1 && stats.packetsLost === 0, JSON.stringify(stats));
      }
      return streamId;
    };
    const streamId = await receive();
    await page.do("removeMedia");
    assert.deepEqual(await peer.nextOf(source, "stream-removed"), { streamId });
    await receive();
  });
});
