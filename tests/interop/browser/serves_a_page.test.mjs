// The page of `metered serve` in Chromium, and `metered call` in the same room.

import assert from "node:assert/strict";
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Call, Server } from "../node/support.mjs";
import { CHROMIUM, until } from "./support.mjs";

const SDK = new URL(".", import.meta.url).pathname;

/** Without a complaint; answers how many pictures or packets there are. */
async function decoded(file) {
  const { stderr } = await promisify(execFile)("ffmpeg", ["-nostdin", "-v", "error", "-xerror", "-i", file, "-f", "null", "-"]);
  // The null muxer rounds times to a frame rate, and says so.
  assert.deepEqual(stderr.split("\n").filter((line) => line && !line.includes("dts to muxer")), []);
  const probe = ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", file];
  return Number.parseInt((await promisify(execFile)("ffprobe", probe)).stdout, 10);
}

describe("the page of metered serve", () => {
  let server, browser, folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "metered-page-"));
    server = await Server.start("--sdk", SDK);
    const args = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
  });
  after(async () => {
    await browser.close();
    await server.stop();
  });

  /** The page, in a room. */
  const enter = async (room, source) => {
    const page = await browser.newPage({ viewport: { width: 1080, height: 760 } });
    page.on("pageerror", (error) => console.error(error.message));
    page.on("console", (message) => message.type() === "error" && console.error(message.text()));
    await page.goto(server.httpUrl);
    await page.waitForSelector("html[data-ready]");
    await page.fill("#room", room);
    await page.selectOption("#source", source);
    await page.click("#enter");
    await page.waitForSelector("#state[data-state=joined]");
    return page;
  };

  const tile = async (page, id) => page.$eval(`.tile[data-peer="${id}"]`, (element) => ({ ...element.dataset }));

  for (const [source, codec, size] of [["devices", "h264", "640x360"], ["pattern", "vp8", "640x360"]]) {
    test(`sends ${source} to metered call, and shows its ${codec} and tone`, async () => {
      const page = await enter(source, source);
      const record = join(folder, source);
      const call = Call.start(server, source, "--video", `test-pattern:${codec}`, "--audio", "tone", "--record", record);
      try {
        const { peerId } = await call.next("joined");
        await page.waitForSelector(`.tile[data-peer="${peerId}"] .status[data-state=connected]`);
        await until("the page decodes and hears", async () => {
          const { frames, level } = await tile(page, peerId);
          // A tone has -15 dB, its peaks -12.
          return frames >= 60 && level > -16 && level < -10;
        });
        const seen = await tile(page, peerId);
        assert.deepEqual([seen.size, seen.codec.toLowerCase()], ["320x180", codec]);
        const figures = await call.next("remote", ({ video: [video], audio: [audio] }) => {
          const heard = audio && audio.levelDbfs > -60;
          return video?.frames >= 60 && `${video.width}x${video.height}` === size && heard;
        });
        assert.equal(figures.path.way, "direct");
        await page.fill("#text", "hello <b>you</b>");
        await page.press("#text", "Enter");
        await until("it is in the log", async () => (await page.textContent("#log")).includes("hello <b>you</b>"));
        const screenshot = join(folder, `${source}.png`);
        await page.screenshot({ path: screenshot });
        console.log(`screenshot: ${screenshot}`);
      } catch (error) {
        const tiles = await page.$$eval(".tile", (all) => all.map(({ innerText }) => innerText));
        throw new Error(`${error.message}\n${[...tiles, await page.textContent("#log"), ...call.inbox.history()].join("\n")}`);
      } finally {
        await call.stop();
      }
      for (const file of await readdir(record)) assert.ok((await decoded(join(record, file))) > 60, file);
      assert.equal((await readdir(record)).length, 2);
      await page.click("#leave");
      await page.waitForSelector("#state[data-state=idle]");
      await page.close();
    });
  }

  test("says how to install the SDK where there is none", async () => {
    const bare = await Server.start("--sdk", folder);
    try {
      const page = await browser.newPage();
      await page.goto(bare.httpUrl);
      await page.waitForSelector("html[data-ready]");
      assert.match(await page.textContent("#missing"), /npm install @metered-ca\/realtime/);
      assert.ok(!(await page.isVisible("#join")));
      assert.equal((await fetch(`${bare.httpUrl}/sdk.mjs`)).status, 404);
      await page.close();
    } finally {
      await bare.stop();
    }
  });
});
