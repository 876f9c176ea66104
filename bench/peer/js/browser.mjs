// From `join` to an open channel, by who joins and who is there already: `node browser.mjs URL HTTP_URL OURS`.
//
// OURS is the bench of our side; pages run the official SDK in Chromium, as it comes: local addresses hidden
// behind multicast DNS. Prints one line of JSON: times by pair, and the signalling messages of a pair.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const ROOMS = 20;
const COUNTED_ROOMS = 3;
/** Late candidates belong to a pair's messages. */
const LATE_MS = 1_000;
const PATIENCE_MS = 30_000;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const [url, httpUrl, oursPath] = process.argv.slice(2);

const file = (path) => readFile(new URL(path, import.meta.url));
const FILES = {
  "/": ["text/html", async () => "<!doctype html><title>bench</title><script type=module src=/page.mjs></script>"],
  "/page.mjs": ["text/javascript", () => file("page.mjs")],
  "/sdk.mjs": ["text/javascript", () => file("node_modules/@metered-ca/realtime/dist/index.mjs")],
};

const percentile = (times, percent) => times.sort((a, b) => a - b)[Math.floor(((times.length - 1) * percent) / 100)];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${PATIENCE_MS} ms: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Ours {
  constructor() {
    this.child = spawn(oursPath, ["join", url], { stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.child.stdout });
  }

  async tell(line) {
    this.child.stdin.write(`${line}\n`);
    return (await once(this.lines, "line"))[0];
  }

  wait = (room) => this.tell(`wait ${room}`);
  join = async (room) => Number(await this.tell(`join ${room}`));
  leave = () => this.tell("leave");
}

class Page {
  constructor(page) {
    this.page = page;
  }

  call = (name, ...args) => this.page.evaluate(([name, args]) => window.bench[name](...args), [name, args]);
  wait = (room) => this.call("wait", url, room);
  join = (room) => this.call("join", url, room);
  leave = () => this.call("leave");
}

/** Frames from one peer to another that the server has seen since a time of its own. */
async function signals(since) {
  const text = await (await fetch(`${httpUrl}/_dev/log`)).text();
  const entries = text.trim().split("\n").map((line) => JSON.parse(line));
  const found = entries.filter(({ t, event, text }) => t > since && event === "in" && JSON.parse(text).type === "send");
  return { count: found.length, last: entries.at(-1).t };
}

const server = createServer(async (request, response) => {
  const [type, read] = FILES[request.url] ?? [];
  if (!read) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": type }).end(await read());
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  // Both pages work as if they were in front.
  args: ["--no-sandbox", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"],
});
const page = async () => {
  const one = await (await browser.newContext()).newPage();
  await one.goto(`http://127.0.0.1:${server.address().port}/`);
  await within(one.waitForFunction(() => "bench" in window), "the page's script");
  return new Page(one);
};
const [one, two, oneOfOurs, anotherOfOurs] = [await page(), await page(), new Ours(), new Ours()];
/** Who joins whom. */
const pairs = {
  oursToPage: [oneOfOurs, one],
  pageToOurs: [one, oneOfOurs],
  pageToPage: [one, two],
  oursToOurs: [oneOfOurs, anotherOfOurs],
};
const times = Object.fromEntries(Object.keys(pairs).map((name) => [name, []]));
const figures = {};

async function meet(name, n) {
  const [joiner, waiter] = pairs[name];
  const room = `${name}-${n}`;
  await within(waiter.wait(room), `${name}: the first in the room`);
  return within(joiner.join(room), `${name}: an open channel`);
}

async function part(name) {
  for (const side of pairs[name]) await within(side.leave(), `${name}: leaving`);
}

for (let n = 0; n < ROOMS; n += 1) {
  for (const name of Object.keys(pairs)) {
    times[name].push(await meet(name, n));
    await part(name);
  }
}
for (const name of Object.keys(pairs)) {
  const counts = [];
  for (let n = 0; n < COUNTED_ROOMS; n += 1) {
    const { last } = await signals(Infinity);
    await meet(name, `counted-${n}`);
    await sleep(LATE_MS);
    counts.push((await signals(last)).count);
    await part(name);
  }
  figures[`${name}Ms`] = percentile(times[name], 50);
  figures[`${name}P95Ms`] = percentile(times[name], 95);
  figures[`${name}Signals`] = Math.max(...counts);
}
for (const ours of [oneOfOurs, anotherOfOurs]) ours.child.stdin.end();
await browser.close();
server.close();
console.log(JSON.stringify(figures));
