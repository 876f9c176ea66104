// A dev server, the official SDK, and our client as child processes. Every wait is bounded.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { SignallingClient } from "@metered-ca/realtime";
import { WebSocket } from "ws";

const LIMIT_MS = 20_000;
/** The command under test. */
export const METERED = process.env.METERED_BIN ?? new URL("../../../target/debug/metered", import.meta.url).pathname;

/** Fails with a name instead of waiting for ever. */
export function within(promise, what, ms = LIMIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A command's output lines, one JSON value each. `prefix` is a command that runs it, `log` gets its standard error. */
function start(args, { prefix = [], log } = {}) {
  const [command, ...rest] = [...prefix, METERED, ...args];
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", log ? "pipe" : "inherit"] });
  if (log) child.stderr.setEncoding("utf8").on("data", (text) => log.push(text));
  const lines = createInterface({ input: child.stdout });
  return { child, lines };
}

export class Server {
  static start(...args) {
    return Server.startWith({}, ...args);
  }

  static async startWith(how, ...args) {
    const { child, lines } = start(["serve", "--json", "--port", "0", "--exit-with-stdin", "--record", ...args], how);
    const [line] = await within(once(lines, "line"), "the server's address");
    return Object.assign(new Server(), JSON.parse(line), { child });
  }

  async fault(name, fields = {}) {
    const response = await fetch(`${this.httpUrl}/_dev/${name}`, { method: "POST", body: JSON.stringify(fields) });
    if (!response.ok) throw new Error(`${name}: ${response.status} ${await response.text()}`);
    return (await response.json()).connections;
  }

  async state() {
    return (await fetch(`${this.httpUrl}/_dev/state`)).json();
  }

  rest(method, path, body, bearer = `${this.secretId}:${this.secret}`) {
    return fetch(`${this.httpUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  async token(peerId, claims = {}) {
    const response = await this.rest("POST", "/v1/tokens", { peerId, ...claims });
    const answer = await response.json();
    if (!response.ok) throw new Error(`tokens: ${JSON.stringify(answer)}`);
    return answer.token;
  }

  async stop() {
    const ended = once(this.child, "exit");
    this.child.stdin.end();
    const [code] = await within(ended, "the server's end");
    if (code !== 0) throw new Error(`the server ended with ${code}`);
  }
}

/** Events of the official client, kept in order until somebody waits for them. */
export class Official {
  static names = [
    "connected", "disconnected", "state-change", "message", "direct", "presence", "server-error", "going-away",
    "token-provider-error",
  ];

  constructor(options) {
    this.client = new SignallingClient({
      webSocketFactory: (url) => new WebSocket(url),
      reconnect: { initialDelayMs: 50, maxDelayMs: 500 },
      ...options,
    });
    this.inbox = new Inbox();
    for (const name of Official.names) this.client.on(name, (payload) => this.inbox.put(name, payload));
  }

  next(type, fits) {
    return this.inbox.next(type, fits);
  }
}

export class Inbox {
  #waiting = [];
  #readers = [];

  put(type, payload, source) {
    const reader = this.#readers.findIndex((r) => r.type === type && r.fits(payload, source));
    if (reader >= 0) return this.#readers.splice(reader, 1)[0].resolve(payload);
    this.#waiting.push({ type, payload, source });
  }

  /** The first event of this type that fits, past or future; it is taken out. */
  next(type, fits = () => true, ms = LIMIT_MS) {
    const at = this.#waiting.findIndex((entry) => entry.type === type && fits(entry.payload, entry.source));
    if (at >= 0) return Promise.resolve(this.#waiting.splice(at, 1)[0].payload);
    return within(new Promise((resolve) => this.#readers.push({ type, fits, resolve })), type, ms);
  }

  /** Takes out all events of this type from this source that have come. */
  taken(type, source) {
    const fits = (entry) => entry.type === type && entry.source === source;
    const taken = this.#waiting.filter(fits);
    this.#waiting = this.#waiting.filter((entry) => !fits(entry));
    return taken.map(({ payload }) => payload);
  }

  history() {
    return this.#waiting.map(({ source, type, payload }) => `${source} ${type} ${JSON.stringify(payload)}`);
  }

  has(type) {
    return this.#waiting.some((entry) => entry.type === type);
  }
}

/** Our client, by `metered rpc`. */
export class Ours {
  #next = 1;
  #pending = new Map();
  inbox = new Inbox();

  static create(options) {
    return Ours.#start("signalling.create", options);
  }

  /** A peer instead of a signalling client. */
  static peer(options, how) {
    return Ours.#start("peer.create", options, how);
  }

  static async #start(method, options, how) {
    const ours = new Ours();
    const { child, lines } = start(["rpc"], how);
    ours.child = child;
    lines.on("line", (line) => ours.#line(JSON.parse(line)));
    await ours.call(method, { reconnect: { initialDelayMs: 50, maxDelayMs: 500 }, ...options });
    return ours;
  }

  #line(message) {
    if (message.method === "event") {
      const { source, type, payload } = message.params;
      this.inbox.put(type, payload, source);
      return;
    }
    const { resolve, reject } = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ("error" in message) reject(Object.assign(new Error(message.error.message), message.error));
    else resolve(message.result);
  }

  call(method, params = {}, ms = LIMIT_MS) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    return within(answer, method, ms);
  }

  next(type, fits) {
    return this.inbox.next(type, fits);
  }

  /** The next event of one source, with what else came if it does not. */
  async nextOf(source, type, fits = () => true, ms = LIMIT_MS) {
    try {
      return await this.inbox.next(type, (payload, from) => from === source && fits(payload), ms);
    } catch (error) {
      throw new Error(`${error.message} of ${source}\n${this.inbox.history().join("\n")}`);
    }
  }

  /** Without goodbye. */
  kill() {
    this.child.kill("SIGKILL");
  }

  /** Ends it, unless it has ended. */
  async stop() {
    if (this.child.killed || this.child.exitCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.stdin.end();
    const [code] = await within(ended, "our client's end");
    if (code !== 0) throw new Error(`our client ended with ${code}`);
  }
}

/** `metered call` in a room; ended by Ctrl-C, as people do. */
export class Call {
  inbox = new Inbox();

  static start(server, room, ...args) {
    const call = new Call();
    const where = ["--url", server.url, "--key", server.apiKey];
    const { child, lines } = start(["call", room, "--json", ...where, ...args]);
    call.child = child;
    lines.on("line", (line) => {
      const { type, ...payload } = JSON.parse(line);
      call.inbox.put(type, payload);
    });
    return call;
  }

  next(type, fits) {
    return this.inbox.next(type, fits);
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGINT");
    const [code] = await within(ended, "the call's end");
    if (code !== 0) throw new Error(`the call ended with ${code}`);
  }
}
