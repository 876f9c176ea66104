// Pages that do not take our codec: we say so, once, and the page is not left with a black picture.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Call } from "../node/support.mjs";
import { hasCodec } from "./call.mjs";
import { encoded } from "./ffmpeg.mjs";
import { Stage, until } from "./support.mjs";

/** Longer than an offer and its answer take. */
const SETTLED_MS = 1_500;
const settled = () => new Promise((resolve) => setTimeout(resolve, SETTLED_MS));

describe("a page that takes VP8 alone", () => {
  let stage;
  before(async () => (stage = await Stage.start()));
  after(() => stage.stop());

  const refusals = (call) => {
    const problems = call.inbox.taken("problem").filter(({ code }) => code === "codec_not_supported");
    return problems.map(({ peerId }) => peerId);
  };

  /** No m-line of the page expects pictures, and none came. */
  const sees = async (page) => {
    const pictures = await page.do("pictures");
    const expected = pictures.some(({ currentDirection }) => currentDirection?.includes("recv"));
    return expected || (await page.do("decoded")).some(({ frames }) => frames > 0);
  };

  for (const codec of ["h264", "av1"]) {
    test(`hears metered call with ${codec} and sees nothing, and another page decodes it`, async (t) => {
      const room = stage.room(t);
      const page = await room.page("narrow", { takes: ["video/VP8"] });
      if (!(await hasCodec(page, "RTCRtpReceiver", codec.toUpperCase()))) return t.skip(`no ${codec} in this build`);
      const call = Call.start(stage.server, room.name, "--video", `test-pattern:${codec}`, "--audio", "tone");
      t.after(() => call.stop());
      const { peerId, message } = await call.next("problem", ({ code }) => code === "codec_not_supported");
      assert.equal(peerId, page.id);
      assert.ok(message.toLowerCase().includes(codec), message);
      await until("the tone is heard", async () => (await page.do("heard")).length > 0);
      await until("the page expects no picture", async () => !(await sees(page)));
      await settled();
      assert.equal(await sees(page), false);

      // It says that it takes it now. What a connection agreed on first stays: nothing new, and nothing black.
      await page.do("take", ["video/VP8", `video/${codec.toUpperCase()}`]);
      await settled();
      assert.deepEqual(await page.do("decoded"), []);
      assert.deepEqual(refusals(call), []);

      const wide = await room.page("wide");
      await until("another page decodes it", async () => ((await wide.do("decoded"))[0]?.frames ?? 0) >= 20);
      assert.equal((await wide.do("decoded"))[0].codec, `video/${codec.toUpperCase()}`);
      assert.deepEqual(refusals(call), []);
    });
  }
});

test("metered rpc tells which remote takes none of which track, with cause and fix", async (t) => {
  const stage = await Stage.start();
  t.after(() => stage.stop());
  const room = stage.room(t);
  const page = await room.page("narrow", { takes: ["video/VP8"] });
  const peer = await room.ours("ours");
  const { trackId } = await peer.call("peer.addTrack", { kind: "video", source: { testPattern: { codec: "vp9" } } });
  const { peerId, codec, error } = await peer.nextOf(`track:${trackId}`, "codec-not-supported");
  assert.deepEqual([peerId, codec, error.code], [page.id, "video/VP9", "codec_not_supported"]);
  assert.match(error.fix, /VP8/);
  await peer.call("peer.addTrack", { kind: "video", source: { testPattern: { codec: "vp8" } } });
  await until("what it takes is decoded", async () => (await page.do("decoded")).some(({ frames }) => frames >= 20));
  assert.equal(peer.inbox.has("codec-not-supported"), false);
});

describe("a page that takes H.264, but not every profile of it", () => {
  let stage;
  before(async () => (stage = await Stage.start()));
  after(() => stage.stop());

  for (const [profile, taken] of [["main", true], ["high", false]]) {
    test(`${taken ? "decodes" : "gets none of"} ${profile}`, async (t) => {
      const room = stage.room(t);
      const page = await room.page("page");
      const profiles = await page.do("profiles");
      if (!profiles.some((id) => id.startsWith("4d00")) || profiles.some((id) => id.startsWith("64"))) return t.skip(`this build takes ${profiles}`);
      const folder = await mkdtemp(join(tmpdir(), "profiles-"));
      t.after(() => rm(folder, { recursive: true }));
      const file = join(folder, "clip.h264");
      await encoded(file, profile);
      const call = Call.start(stage.server, room.name, "--video", file);
      t.after(() => call.stop());
      await call.next("state", ({ state }) => state === "connected");
      if (taken) {
        await until("it is decoded", async () => (await page.do("decoded")).some(({ frames }) => frames >= 20));
        assert.deepEqual(call.inbox.taken("problem"), []);
      } else {
        const { peerId, message } = await call.next("problem", ({ code }) => code === "codec_not_supported");
        assert.equal(peerId, page.id);
        assert.match(message, /video\/H264/);
        await settled();
        assert.equal((await page.do("decoded")).some(({ frames }) => frames > 0), false);
      }
    });
  }
});
