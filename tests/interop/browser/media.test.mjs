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

  const screen = { kind: "video", source: { file: clip("pattern-vp8.ivf"), loop: true }, streamId: "screen", metadata: { seat: 3 } };

  const meet = async (room, names) => {
    const peer = await room.ours(names[1]);
    const page = await room.page(names[0]);
    await page.next("peer", "peer-joined");
    return { peer, page };
  };

  /** A call with pictures both ways; who offers first is left to chance. */
  const call = async (room, names) => {
    const { peer, page } = await meet(room, names);
    const [, streamId] = await Promise.all([peer.call("peer.addTrack", screen), page.do("addMedia")]);
    return { peer, page, streamId };
  };

  /** The page sees our stream: its id, and what was said of it. */
  const seesOurs = ({ peer, page }) => page.next(`remote:${peer.id}`, "stream-added");
  /** We see the page's. */
  const oursSees = ({ peer, page }) => peer.nextOf(`remote:${page.id}`, "stream-added");

  /**
   * Each sees the other's stream, under the same id on every connection. Of metadata nothing is promised here: the
   * SDK knows it by the browser's id of a track alone, and where both send over one m-line Chromium mints one.
   */
  const bothSee = async (both) => {
    assert.equal((await seesOurs(both)).streamId, screen.streamId);
    assert.equal((await oursSees(both)).streamId, both.streamId);
  };

  /** Drops a socket, and waits until the page has said that its connection is another, or that we left and came back. */
  const drop = async ({ peer, page }, whose) => {
    await stage.server.fault("drop", { peerId: whose.id });
    if (whose === page) return page.next(`remote:${peer.id}`, "connection-reset");
    await peer.nextOf("peer", "state-change", ({ to }) => to === "joined");
    await page.next("peer", "peer-left");
    return page.next("peer", "peer-joined");
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
      await bothSee(both);
      await flows(both);
      await flows(both);
    });

    test(`our socket drops as the page begins to send (${names})`, async (t) => {
      const { peer, page } = await meet(stage.room(t), names);
      await page.do("addMedia");
      await drop({ peer, page }, peer);
      await until("pictures of the page", async () => {
        const { tracks } = await peer.call("remote.stats", { peerId: page.id });
        return tracks.some(({ direction, kind, packets }) => direction === "inbound" && kind === "video" && packets > 20);
      });
    });

    for (const whose of ["page", "peer"]) {
      const socket = whose === "page" ? "the page's socket" : "our socket";
      test(`${socket} drops in a call (${names})`, async (t) => {
        const both = await call(stage.room(t), names);
        await bothSee(both);
        await flows(both);
        await drop(both, both[whose]);
        await bothSee(both);
        await flows(both);
      });

      test(`${socket} drops: our stream comes again as it was (${names})`, async (t) => {
        const both = await meet(stage.room(t), names);
        const { streamId, metadata } = screen;
        await both.peer.call("peer.addTrack", screen);
        assert.deepEqual(await seesOurs(both), { streamId, metadata });
        await drop(both, both[whose]);
        assert.deepEqual(await seesOurs(both), { streamId, metadata });
        await until("frames are decoded", async () => (await both.page.do("decoded"))[0]?.frames >= 20);
      });

      test(`${socket} drops: the page's stream comes again as it was (${names})`, async (t) => {
        const both = await meet(stage.room(t), names);
        const theirs = { streamId: await both.page.do("addMedia"), metadata: { from: "page" } };
        assert.deepEqual(await oursSees(both), theirs);
        await drop(both, both[whose]);
        assert.deepEqual(await oursSees(both), theirs);
      });
    }
  }
});
