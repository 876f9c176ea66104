// Whole calls between the official JavaScript SDK in Firefox and our peer: pictures that count and tones are read at
// the far end, on the page's screen and out of our recordings.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bothMute, frames, inCall, level, loudest, more, pattern, received, recordedWhole, toneOf, tracks } from "../browser/call.mjs";
import { counted, heard, toneShare } from "../browser/ffmpeg.mjs";
import { Stage, channelOfOurs, channelOfPage, talk, until } from "../browser/support.mjs";
import { Call } from "../node/support.mjs";
import { TONE_HZ, firefox } from "./firefox.mjs";

describe("calls", () => {
  let stage, folder;
  before(async () => {
    stage = await Stage.start({ launch: firefox });
    folder = await mkdtemp(join(tmpdir(), "metered-firefox-"));
  });
  after(async () => {
    await stage.stop();
    await rm(folder, { recursive: true });
  });

  /** Both in a room. */
  const both = async (t) => {
    const room = stage.room(t);
    return { ...(await inCall(room)), dir: join(folder, room.name) };
  };

  for (const codec of ["VP8", "VP9", "AV1"]) {
    test(`a page that comes late shows our ${codec}, and plays our tone`, async (t) => {
      const room = stage.room(t);
      const peer = await room.ours("ours");
      await peer.call("peer.addTrack", toneOf(440));
      await peer.call("peer.addTrack", pattern(codec.toLowerCase(), { rotation: 90 }));
      const page = await room.page("page");
      // A turned picture is shown as it lies: Firefox takes no word of how it was held.
      const numbers = new Set();
      await until("it counts", async () => {
        const shown = await page.do("shown", 0);
        if (shown) assert.deepEqual([shown.width, shown.height], [320, 180]);
        if (shown) numbers.add(shown.number);
        return numbers.size >= 8;
      });
      await until("they are decoded", async () => (await frames(page)) >= 30);
      const [seen] = await page.do("decoded");
      assert.deepEqual([seen.codec, seen.width, seen.height, seen.lost], [`video/${codec}`, 320, 180, 0]);
      // A tone has -15 dB, its peaks -12.
      await until("the tone is heard", async () => Math.abs((await loudest(page)) + 13.5) < 2.5);
    });
  }

  test("what the page draws and plays is recorded whole", async (t) => {
    const { peer, page, theirs, dir } = await both(t);
    await peer.call("remote.record", { peerId: page.id, dir });
    await page.do("addPattern");
    const { video, audio } = await tracks(peer, theirs);
    const first = await peer.nextOf(`track:${video}`, "first-frame");
    assert.deepEqual([first.codec, first.keyFrame, first.width, first.height], ["video/VP8", true, 320, 180]);
    const stats = await received(peer, video, 60);
    await received(peer, audio, 150);
    const { picture, sound } = await recordedWhole(t, { peer, page }, { video, audio });
    const numbers = await counted(picture.file);
    assert.equal(numbers.length, picture.frames);
    const steps = numbers.slice(1).map((number, n) => (number - numbers[n] + 128) % 128);
    // A browser that is short of time leaves pictures out; none comes back.
    assert.ok(steps.every((step) => step < 40), numbers.join());
    assert.ok(new Set(numbers).size >= 40, numbers.join());
    const pcm = await heard(sound.file);
    assert.ok(pcm.length >= 2 * 48_000);
    const share = toneShare(pcm.slice(-36_000, -12_000), TONE_HZ);
    assert.ok(share > 0.9, `${share}`);
    t.diagnostic(`${picture.frames} pictures, ${stats.packetsLost} packets lost, tone ${share.toFixed(3)}`);
  });

  test("its camera and microphone are recorded whole, and channels open on that call", async (t) => {
    const { peer, page, theirs, dir } = await both(t);
    await peer.call("remote.record", { peerId: page.id, dir });
    await page.do("addMedia");
    const { video, audio } = await tracks(peer, theirs);
    // A channel that Firefox opens while a description is under way is not negotiated.
    await peer.nextOf(theirs, "state-change", ({ to }) => to === "connected");
    await talk(await channelOfPage(page, peer, "theirs"), "one");
    await talk(await channelOfOurs(peer, page, "ours"), "two");
    const addresses = await page.do("localAddresses");
    assert.ok(addresses.every((address) => !address.endsWith(".local")), addresses.join(" "));
    await received(peer, video, 40);
    await received(peer, audio, 150);
    const { picture, sound } = await recordedWhole(t, { peer, page }, { video, audio });
    assert.equal((await counted(picture.file)).length, picture.frames);
    const pcm = await heard(sound.file);
    assert.ok(pcm.length >= 2 * 48_000 && toneShare(pcm.slice(-36_000, -12_000), TONE_HZ) > 0.9);
    t.diagnostic(`${picture.frames} pictures, ${sound.frames} packets`);
  });

  test("both mute and go on", async (t) => {
    await bothMute(await both(t), -30);
  });

  test("both replace, remove and add again", async (t) => {
    const { peer, page, theirs } = await both(t);
    let { trackId } = await peer.call("peer.addTrack", { ...pattern("vp8"), streamId: "screen" });
    assert.equal((await page.next(`remote:${peer.id}`, "stream-added")).streamId, "screen");
    await more(page, "pictures are decoded");
    ({ trackId } = await peer.call("peer.replaceTrack", { trackId, source: pattern("vp8").source }));
    await more(page, "it goes on");
    await peer.call("peer.removeTrack", { trackId });
    await page.next(`remote:${peer.id}`, "stream-removed");
    await peer.call("peer.addTrack", { ...pattern("vp8"), streamId: "again" });
    assert.equal((await page.next(`remote:${peer.id}`, "stream-added")).streamId, "again");
    await until("it is seen again", async () => (await page.do("decoded")).some(({ frames }) => frames >= 20));

    await page.do("addPattern");
    const first = await tracks(peer, theirs);
    const { framesReceived } = await received(peer, first.video, 20);
    await page.do("replacePattern");
    await received(peer, first.video, framesReceived + 20);
    await level(peer, first.audio, (dbfs) => dbfs > -30);
    await page.do("removeMedia");
    await peer.nextOf(theirs, "stream-removed");
    await page.do("addPattern");
    const second = await tracks(peer, theirs);
    await received(peer, second.video, 20);
    await level(peer, second.audio, (dbfs) => dbfs > -30);
  });

  test("the page orders its codecs, which gives ours another number, and the call goes on", async (t) => {
    const { peer, page, theirs } = await both(t);
    await peer.call("peer.addTrack", pattern("vp8"));
    await more(page, "pictures are decoded");
    await page.do("addPattern", "video/VP8");
    const { video } = await tracks(peer, theirs);
    await more(page, "they are decoded under the new number");
    await received(peer, video, 20);
  });

  test("who comes late to a call of two has pictures of both at once", async (t) => {
    const { room, peer, page, theirs } = await both(t);
    await peer.call("peer.addTrack", pattern("vp8"));
    await page.do("addPattern");
    const { video } = await tracks(peer, theirs);
    await more(page, "the call goes on");
    const late = await room.ours("late");
    for (const from of [page, peer]) {
      let track = {};
      while (track.kind !== "video") track = await late.nextOf(`remote:${from.id}`, "track");
      const first = await late.nextOf(`track:${track.trackId}`, "first-frame");
      assert.ok(first.keyFrame);
      t.diagnostic(`of ${from === page ? "the page" : "ours"} after ${first.afterMs.toFixed(0)} ms`);
      await received(late, track.trackId, 20);
    }
    const { framesReceived } = await received(peer, video, 1);
    await received(peer, video, framesReceived + 20);
  });

  test("the page takes no H.264: metered call is told so, and is heard", async (t) => {
    const room = stage.room(t);
    const page = await room.page("page");
    if ((await page.do("codecs", "RTCRtpReceiver")).includes("video/H264")) return t.skip("this build has OpenH264");
    const call = Call.start(stage.server, room.name, "--video", "test-pattern:h264", "--audio", "tone");
    t.after(() => call.stop());
    const { peerId, message } = await call.next("problem", ({ code }) => code === "codec_not_supported");
    assert.equal(peerId, page.id);
    assert.match(message, /h\.?264/i);
    await until("the tone is heard", async () => (await loudest(page)) > -16);
    assert.ok((await page.do("decoded")).every(({ frames }) => !frames));
  });
});
