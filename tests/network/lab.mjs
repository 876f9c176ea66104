// Networks of namespaces: two clients behind routers, a server, and wires that can be spoilt.
//
//     a ── wifi ──┐                              ┌── lan ── b
//       ── cell ── ra (203.0.113.1) ── s ── (203.0.113.2) rb
//                                 203.0.113.9
//
// `wifi`, `cell` and `lan` are wires of wire.py. Everything has a name of its own, lives in namespaces alone, and
// is gone with the process at the latest. Every wait is bounded.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { METERED, Ours, Server, within } from "../interop/node/support.mjs";
import { Certificate, Turn, atExit, scratch } from "./turn.mjs";

export const SERVER = "203.0.113.9";
const WIRE = new URL("wire.py", import.meta.url).pathname;
const NAMES = ["wire", "a", "b", "ra", "rb", "s"];
const CELL = { interface: "cell", address: "10.1.2.2", router: "10.1.2.1", table: 12, metric: 200 };
const WIFI = { interface: "wifi", address: "10.1.1.2", router: "10.1.1.1", table: 11, metric: 100 };
const NETWORKS = { wifi: WIFI, cell: CELL };

const run = (command, ...args) => execFileSync(command, args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
let labs = 0;

export class Lab {
  #children = [];

  static async open() {
    const lab = new Lab();
    labs += 1;
    lab.tag = `metered-${process.pid}-${labs}`;
    lab.remove = atExit(() => lab.#remove());
    try {
      await lab.#build();
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  ns(name) {
    return `${this.tag}-${name}`;
  }

  prefix(name) {
    return ["ip", "netns", "exec", this.ns(name)];
  }

  /** Runs a command in a namespace. */
  exec(name, ...command) {
    return run(...this.prefix(name), ...command);
  }

  /** `ip` in a namespace, one command a line. */
  ip(name, lines) {
    for (const line of lines.trim().split("\n")) run("ip", "-n", this.ns(name), ...line.trim().split(/\s+/));
  }

  async #build() {
    for (const name of NAMES) {
      run("ip", "netns", "add", this.ns(name));
      this.ip(name, "link set lo up");
    }
    for (const router of ["ra", "rb"]) this.exec(router, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    const ends = [["wifi", "a", "ra"], ["cell", "a", "ra"], ["lan", "b", "rb"]];
    const made = [];
    for (const [wire] of ends) {
      for (const [side, other] of [["0", "near"], ["1", "far"]]) {
        this.ip("wire", `link add ${wire}${side} type veth peer name ${wire}-${other}`);
        made.push(`${wire}${side}`, `${wire}-${other}`);
      }
    }
    this.exec("wire", "python3", WIRE, "plain", ...made);
    for (const [wire, near, far] of ends) {
      this.ip("wire", `
        link set ${wire}0 up
        link set ${wire}1 up
        link set ${wire}-near netns ${this.ns(near)} name ${wire}
        link set ${wire}-far netns ${this.ns(far)} name ${wire}`);
    }
    this.ip("s", `
      link add wan type bridge
      link set wan up
      addr add ${SERVER}/24 dev wan
      link add to-ra type veth peer name wan netns ${this.ns("ra")}
      link add to-rb type veth peer name wan netns ${this.ns("rb")}
      link set to-ra master wan up
      link set to-rb master wan up
      route add 10.1.0.0/16 via 203.0.113.1
      route add 10.2.0.0/16 via 203.0.113.2`);
    this.ip("ra", `
      addr add 203.0.113.1/24 dev wan
      link set wan up
      addr add ${WIFI.router}/24 dev wifi
      link set wifi up
      addr add ${CELL.router}/24 dev cell
      link set cell up
      route add 10.2.0.0/16 via 203.0.113.2`);
    this.ip("rb", `
      addr add 203.0.113.2/24 dev wan
      link set wan up
      addr add 10.2.1.1/24 dev lan
      link set lan up
      route add 10.1.0.0/16 via 203.0.113.1`);
    this.ip("b", `
      addr add 10.2.1.2/24 dev lan
      link set lan up
      route add default via 10.2.1.1`);
    const wires = ends.map(([wire]) => `${wire}=${wire}0,${wire}1`);
    this.wire = spawn(...this.#command("wire", "python3", WIRE, "run", ...wires), { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(this.wire);
    this.said = createInterface({ input: this.wire.stdout });
    await within(once(this.said, "line"), "the wires");
  }

  #command(name, ...command) {
    const [first, ...rest] = [...this.prefix(name), ...command];
    return [first, rest];
  }

  /** Sets a wire; what is left out is off. */
  async set(wire, properties = {}) {
    const done = once(this.said, "line");
    this.wire.stdin.write(`${JSON.stringify({ wire, ...properties })}\n`);
    await within(done, `the wire ${wire}`);
  }

  /** Client a gets this network, with a route of its own as phones have it. */
  up(network) {
    const { interface: link, address, router, table, metric } = NETWORKS[network];
    this.ip("a", `
      link set ${link} up
      addr replace ${address}/24 dev ${link}
      route replace default via ${router} dev ${link} metric ${metric}
      route replace default via ${router} dev ${link} table ${table}
      rule add from ${address} table ${table}`);
  }

  /** Client a loses it, address and all. */
  down(network) {
    const { interface: link, address, table } = NETWORKS[network];
    this.ip("a", `
      rule del from ${address} table ${table}
      addr flush dev ${link}
      link set ${link} down`);
  }

  /** Rules of a router, replacing what was there. */
  rules(router, text) {
    execFileSync(...this.#command(router, "nft", "-f", "-"), { input: `flush ruleset\n${text}`, stdio: ["pipe", "pipe", "pipe"] });
  }

  /** Both routers hide their clients: another port for every destination, nothing in that was not asked for. */
  hide() {
    this.ip("ra", "route del 10.2.0.0/16");
    this.ip("rb", "route del 10.1.0.0/16");
    for (const router of ["ra", "rb"]) {
      this.rules(router, `table ip nat {
        chain out { type nat hook postrouting priority 100; oifname "wan" masquerade random,fully-random; }
        chain through {
          type filter hook forward priority 0; policy drop;
          ct state established,related accept
          iifname != "wan" accept
        }
      }`);
    }
  }

  /** The service and a relay on the server. */
  async serve() {
    this.certificate = new Certificate(scratch(), "lab", [SERVER]);
    const { certificate: cert, key } = this.certificate;
    const prefix = this.prefix("s");
    this.turn = await Turn.start({ host: SERVER, prefix, ports: [3478, 443], certificate: this.certificate });
    const listen = ["--host", SERVER, "--tls-cert", cert, "--tls-key", key];
    this.server = await Server.startWith({ prefix }, ...listen);
    this.#children.push(this.turn.child, this.server.child);
  }

  /** Our peer on client a or b, in the room. */
  async peer(id, room, options = {}, how = {}) {
    const token = run(METERED, "mint", id, "--strict").trim();
    const given = { url: this.server.url, token, extraRoots: [this.certificate.authority], ...options };
    const ours = await Ours.peer(given, { prefix: this.prefix(id), ...how });
    this.#children.push(ours.child);
    await ours.call("peer.join", { channel: room });
    return Object.assign(ours, { id });
  }

  async close() {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await within(ended, "a child's end");
    }
    this.remove();
  }

  #remove() {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const name of NAMES) {
      try {
        run("ip", "netns", "del", this.ns(name));
      } catch {
        // It was not made, or is gone.
      }
    }
  }
}

/** A channel from a to b and the other way round, with what is sent over it. */
export class Call {
  static async open(lab, room, options = {}, channel = {}) {
    const call = new Call();
    call.a = await lab.peer("a", room, options);
    call.b = await lab.peer("b", room, options);
    await call.a.nextOf("peer", "peer-joined");
    call.started = performance.now();
    const opened = await call.a.call("remote.openDataChannel", { peerId: "b", label: "chat", ...channel });
    call.channelId = opened.channelId;
    return call;
  }

  /** Until b has it, too. */
  async opened(limit) {
    await this.a.nextOf(`channel:${this.channelId}`, "open", undefined, limit);
    this.took = performance.now() - this.started;
    this.far ??= (await this.b.nextOf("remote:a", "data-channel")).channelId;
  }

  send(text, limit) {
    return this.a.call("channel.send", { channelId: this.channelId, text }, limit);
  }

  sendBack(text, limit) {
    return this.b.call("channel.send", { channelId: this.far, text }, limit);
  }

  /** The next message from a. */
  heard(limit) {
    return this.b.nextOf(`channel:${this.far}`, "message", undefined, limit);
  }

  /** The next message from b. */
  heardBack(limit) {
    return this.a.nextOf(`channel:${this.channelId}`, "message", undefined, limit);
  }

  /** A message there. */
  async there(text, limit) {
    await this.send(text, limit);
    assert.equal((await this.heard(limit)).text, text);
  }

  async back(text, limit) {
    await this.sendBack(text, limit);
    assert.equal((await this.heardBack(limit)).text, text);
  }

  async talk(word, limit) {
    await this.there(`${word} there`, limit);
    await this.back(`${word} back`, limit);
  }

  /** The pair that a uses. */
  async pair() {
    return (await this.a.call("remote.stats", { peerId: "b" })).selectedPair;
  }
}
