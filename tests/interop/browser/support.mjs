// Pages with the official SDK in Debian's Chromium, and our peer by `metered rpc`. Every wait is bounded.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { Ours, within } from "../node/support.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const file = (path) => new URL(path, import.meta.url);
const FILES = {
  "/": ["text/html", async () => "<!doctype html><title>room</title><script type=module src=/page.mjs></script>"],
  "/page.mjs": ["text/javascript", () => readFile(file("page.mjs"))],
  "/sdk.mjs": ["text/javascript", () => readFile(file("node_modules/@metered-ca/realtime/dist/index.mjs"))],
};

/** A browser and the server of its page. */
export class Browser {
  static async start({ hideLocalAddresses = false } = {}) {
    const self = new Browser();
    self.server = createServer(async (request, response) => {
      const [type, read] = FILES[request.url] ?? [];
      if (!read) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": type }).end(await read());
    });
    await new Promise((resolve) => self.server.listen(0, "127.0.0.1", resolve));
    self.url = `http://127.0.0.1:${self.server.address().port}/`;
    self.browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        ...(hideLocalAddresses ? [] : ["--use-fake-ui-for-media-stream", "--disable-features=WebRtcHideLocalIpsWithMdns"]),
      ],
    });
    return self;
  }

  /** A page in the room. */
  async join(server, id, options = {}) {
    const page = await Page.open(this, id);
    const token = await server.token(id, options.claims);
    await page.do("join", options.room ?? "room", { url: server.url, token, ...options });
    return page;
  }

  async stop() {
    await this.browser.close();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export class Page {
  static async open(browser, id) {
    const self = new Page();
    self.id = id;
    self.page = await browser.browser.newPage();
    self.page.on("pageerror", (error) => console.error(`${id}: ${error.message}`));
    await self.page.goto(browser.url);
    await within(self.page.waitForFunction(() => "room" in window), "the page's script");
    return self;
  }

  do(name, ...args) {
    return within(this.page.evaluate(([name, args]) => window.room[name](...args), [name, args]), `${this.id}: ${name}`);
  }

  /** The next event of this type, past or future, from this source if one is named. */
  async next(source, type) {
    try {
      return await this.do("next", source, type);
    } catch (error) {
      const history = await this.page.evaluate(() => window.room.history()).catch(() => []);
      throw new Error(`${error.message} (${source ?? ""} ${type})\n${history.join("\n")}`);
    }
  }

  /** Without goodbye: neither the SDK nor the connection is closed by us. */
  async vanish() {
    await this.page.close({ runBeforeUnload: false });
  }
}

/** Our peer in the room. */
export async function ours(server, id, options = {}) {
  const { room = "room", claims, ...rest } = options;
  const token = await server.token(id, claims);
  const peer = await Ours.peer({ url: server.url, token, ...rest });
  await peer.call("peer.join", { channel: room });
  return peer;
}

/** Both ways over a channel, text and bytes. */
export async function talk(page, pageChannel, peer, channelId, word) {
  await page.do("send", pageChannel, word);
  if ((await peer.nextOf(`channel:${channelId}`, "message")).text !== word) throw new Error("ours got another text");
  await peer.call("channel.send", { channelId, text: word });
  if ((await page.next(`channel:${pageChannel}`, "message")).text !== word) throw new Error("the page got another text");
}
