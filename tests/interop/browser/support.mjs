// Pages with the official SDK in a browser, Debian's Chromium if none is named, and our peer by `metered rpc`. Every wait is bounded.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { chromium as playwright } from "playwright-core";
import { Ours, Server, within } from "../node/support.mjs";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const file = (path) => new URL(path, import.meta.url);
const FILES = {
  "/": ["text/html", async () => "<!doctype html><title>room</title><script type=module src=/page.mjs></script>"],
  "/page.mjs": ["text/javascript", () => readFile(file("page.mjs"))],
  "/pattern.mjs": ["text/javascript", () => readFile(file("pattern.mjs"))],
  "/sdk.mjs": ["text/javascript", () => readFile(file("node_modules/@metered-ca/realtime/dist/index.mjs"))],
};

/** What `Stage` uses of a browser and of its pages has the same shape in playwright and in puppeteer. */
function chromium({ hideLocalAddresses }) {
  return playwright.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--use-fake-device-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      ...(hideLocalAddresses ? [] : ["--use-fake-ui-for-media-stream", "--disable-features=WebRtcHideLocalIpsWithMdns"]),
    ],
  });
}

/** A dev server, a browser, and the server of its page. */
export class Stage {
  #rooms = 0;

  static async start({ launch = chromium, hideLocalAddresses = false } = {}) {
    const self = new Stage();
    self.server = await Server.start();
    self.files = createServer(async (request, response) => {
      const [type, read] = FILES[request.url] ?? [];
      if (!read) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": type }).end(await read());
    });
    await new Promise((resolve) => self.files.listen(0, "127.0.0.1", resolve));
    self.url = `http://127.0.0.1:${self.files.address().port}/`;
    self.browser = await launch({ hideLocalAddresses });
    return self;
  }

  async stop() {
    await this.browser.close();
    await new Promise((resolve) => this.files.close(resolve));
    await this.server.stop();
  }

  /** A room of its own for one test; whoever is still in it when the test ends is put out. */
  room(t) {
    this.#rooms += 1;
    const room = new Room(this, `room-${this.#rooms}`);
    t.after(() => room.clear());
    return room;
  }
}

export class Room {
  #members = [];

  constructor(stage, name) {
    Object.assign(this, { stage, server: stage.server, name });
  }

  /** Ids are of one test only: whoever a failed one left behind shall not answer in its place. */
  #id(prefix) {
    return `${prefix}-${this.name}`;
  }

  /** A page in the room. */
  async page(prefix, options = {}) {
    const page = Object.assign(await Page.open(this.stage, this.#id(prefix)), { room: this });
    this.#members.push(page);
    const token = await this.server.token(page.id, options.claims);
    await page.do("join", this.name, { url: this.server.url, token, ...options });
    return page;
  }

  /** Our peer in the room. */
  async ours(prefix, { claims, ...options } = {}) {
    const id = this.#id(prefix);
    const token = await this.server.token(id, claims);
    const peer = Object.assign(await Ours.peer({ url: this.server.url, token, ...options }), { id });
    this.#members.push(peer);
    await peer.call("peer.join", { channel: this.name });
    return peer;
  }

  async clear() {
    for (const member of this.#members) await member.stop();
  }

  /** Descriptions that the server was sent, as `from:kind`. */
  async descriptions() {
    const lines = (await (await fetch(`${this.server.httpUrl}/_dev/log`)).text()).split("\n").filter(Boolean);
    return lines.map((line) => JSON.parse(line)).flatMap(({ event, peerId, text }) => {
      const kind = event === "in" && peerId?.endsWith(`-${this.name}`) && JSON.parse(text).data?.description?.type;
      return kind ? [`${peerId}:${kind}`] : [];
    });
  }
}

export class Page {
  static async open(stage, id) {
    const self = new Page();
    self.id = id;
    self.page = await stage.browser.newPage();
    self.page.on("pageerror", (error) => console.error(`${id}: ${error.message}`));
    await self.page.goto(stage.url);
    await within(self.page.waitForFunction(() => "room" in window), "the page's script");
    return self;
  }

  do(name, ...args) {
    return within(this.page.evaluate(([name, args]) => window.room[name](...args), [name, args]), `${this.id}: ${name}`);
  }

  /** The next event of this type, past or future, from this source. */
  async next(source, type) {
    try {
      return await this.do("next", source, type);
    } catch (error) {
      const history = await this.page.evaluate(() => window.room.history()).catch(() => []);
      const seen = [...history, ...(await this.room.descriptions())];
      throw new Error(`${error.message} (${source} ${type})\n${seen.join("\n")}`);
    }
  }

  async hears(channel, word) {
    const { text } = await this.next(`channel:${channel}`, "message");
    if (text !== word) throw new Error(`${this.id} got ${text} instead of ${word}`);
  }

  /** Ends the page without goodbye: neither the SDK nor the connection is closed by it. */
  async stop() {
    if (!this.page.isClosed()) await this.page.close({ runBeforeUnload: false });
  }
}

async function hears(peer, channelId, word) {
  const { text } = await peer.nextOf(`channel:${channelId}`, "message");
  if (text !== word) throw new Error(`${peer.id} got ${text} instead of ${word}`);
}

/** Both ways over a channel. */
export async function talk({ page, id, peer, channelId }, word) {
  await page.do("send", id, word);
  await hears(peer, channelId, word);
  await peer.call("channel.send", { channelId, text: word });
  await page.hears(id, word);
}

/** A channel that ours opens, on both sides. */
export async function channelOfOurs(peer, page, label, options = {}) {
  const { channelId } = await peer.call("remote.openDataChannel", { peerId: page.id, label, ...options });
  const { id } = await page.next(`remote:${peer.id}`, "data-channel");
  return { page, peer, channelId, id };
}

/** A channel that the page opens, on both sides. */
export async function channelOfPage(page, peer, label, options) {
  const id = await page.do("open", peer.id, label, options);
  const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
  return { page, peer, channelId, id };
}

/** A page and our peer that talk over a channel of ours. The lower id is the polite one. */
export async function pair(room, { names = ["page", "ours"], ...options } = {}) {
  const page = await room.page(names[0]);
  const peer = await room.ours(names[1]);
  await peer.nextOf("peer", "peer-joined");
  await page.next("peer", "peer-joined");
  const both = await channelOfOurs(peer, page, "chat", options);
  await talk(both, "before");
  return both;
}

/** Until something is so. */
export async function until(what, holds) {
  const search = async () => {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await within(search(), what);
}
