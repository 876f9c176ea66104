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

  test("two streams at once: the page sees and hears both, and loses one", async (t) => {
    const room = stage.room(t);
    const page = await room.page("page");
    const peer = await room.ours("ours");
    for (const [streamId, codec, hz] of [["kitchen", "vp8", 440], ["workshop", "h264", 880]]) {
      const tracks = [{ kind: "video", source: { testPattern: { codec } } }, { kind: "audio", source: { tone: { hz } } }];
      await peer.call("peer.addStream", { streamId, tracks, metadata: { streamId } });
      assert.deepEqual(await page.next(`remote:${peer.id}`, "stream-added"), { streamId, metadata: { streamId } });
    }
    await until("both are decoded and heard", async () => {
      const [seen, heard] = [await page.do("decoded"), await page.do("heard")];
      return seen.length === 2 && seen.every(({ frames }) => frames >= 40) && heard.filter((level) => level > -16).length === 2;
    });
    await peer.call("peer.removeStream", { streamId: "kitchen" });
    assert.deepEqual(await page.next(`remote:${peer.id}`, "stream-removed"), { streamId: "kitchen" });
  });

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

  test("a page that comes after a replacement hears what was said of the track, which has no stream", async (t) => {
    const room = stage.room(t);
    const peer = await room.ours("ours");
    const metadata = { seat: 1 };
    const heard = async (page) => {
      assert.deepEqual(await page.next(`remote:${peer.id}`, "track"), { kind: "video", metadata });
      await until("frames are decoded", async () => (await page.do("decoded"))[0]?.frames >= 20);
    };
    const picture = (codec) => ({ kind: "video", source: { testPattern: { codec } } });
    const { trackId } = await peer.call("peer.addTrack", { ...picture("vp8"), metadata });
    const first = await room.page("first");
    await heard(first);
    const replaced = await peer.call("peer.replaceTrack", { trackId, source: picture("vp8").source });
    assert.notEqual(replaced.trackId, trackId);
    await first.stop();
    await peer.nextOf("peer", "peer-left");
    await heard(await room.page("late"));
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

  /** A call with pictures both ways; who offers first is left to chance. */
  const call = async (room, names) => {
    const peer = await room.ours(names[1]);
    const page = await room.page(names[0]);
    await page.next("peer", "peer-joined");
    const source = { file: clip("pattern-vp8.ivf"), loop: true };
    const [{ trackId }] = await Promise.all([
      peer.call("peer.addTrack", { kind: "video", source, streamId: "screen" }),
      page.do("addMedia"),
    ]);
    return { peer, page, trackId };
  };

  /** New pictures both ways, whatever was before. */
  const flows = async ({ peer, page }) => {
    const before = (await page.do("decoded").catch(() => []))[0]?.frames ?? 0;
    let goal = before + 20;
    await until("the page decodes more", async () => {
      const frames = (await page.do("decoded").catch(() => []))[0]?.frames ?? 0;
      // A new connection counts anew.
      if (frames < before) goal = 20;
      return frames >= goal;
    });
    await until("pictures of the page", async () => {
      const { tracks } = await peer.call("remote.stats", { peerId: page.id });
      return tracks.some(({ direction, kind, packets }) => direction === "inbound" && kind === "video" && packets > 20);
    });
  };

  for (const names of [["a-page", "b-ours"], ["b-page", "a-ours"]]) {
    test(`both begin to send at the same moment (${names})`, async (t) => {
      const both = await call(stage.room(t), names);
      await flows(both);
      await flows(both);
    });

    test(`the page's socket drops in a call (${names})`, async (t) => {
      const both = await call(stage.room(t), names);
      await flows(both);
      await stage.server.fault("drop", { peerId: both.page.id });
      await both.page.next(`remote:${both.peer.id}`, "connection-reset");
      await flows(both);
    });

    test(`our socket drops in a call (${names})`, async (t) => {
      const both = await call(stage.room(t), names);
      await flows(both);
      await stage.server.fault("drop", { peerId: both.peer.id });
      await both.peer.nextOf("peer", "state-change", ({ to }) => to === "joined");
      await both.page.next("peer", "peer-left");
      await both.page.next("peer", "peer-joined");
      await flows(both);
    });
  }
});
