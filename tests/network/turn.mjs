// Debian's coturn on a port of its own, with its own certificates. Every wait is bounded.

import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { within } from "../interop/node/support.mjs";

const TURNSERVER = process.env.TURNSERVER ?? "turnserver";

const leftovers = new Set();
process.once("exit", () => {
  for (const remove of leftovers) remove();
});

/** What is undone with the process at the latest; the result undoes it now. */
export function atExit(undo) {
  leftovers.add(undo);
  return () => {
    leftovers.delete(undo);
    undo();
  };
}

/** A directory that is gone with the process. */
export function scratch() {
  const path = mkdtempSync(join(tmpdir(), "metered-network-"));
  atExit(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** An authority and a certificate of its for these addresses. */
export class Certificate {
  constructor(directory, name, addresses) {
    const path = (file) => join(directory, `${name}-${file}`);
    const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    Object.assign(this, { authority: path("ca.pem"), certificate: path("leaf.pem"), key: path("leaf.key") });
    openssl(
      "req", "-x509", ...key, "-subj", `/CN=${name} authority`, "-keyout", path("ca.key"), "-out", this.authority,
    );
    openssl("req", ...key.slice(0, -2), "-subj", `/CN=${name}`, "-keyout", this.key, "-out", path("leaf.csr"));
    const names = addresses.map((ip) => `IP:${ip}`).join(",");
    writeFileSync(path("leaf.ext"), `basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=${names}\n`);
    openssl(
      "x509", "-req", "-days", "2", "-in", path("leaf.csr"), "-CA", this.authority, "-CAkey", path("ca.key"),
      "-set_serial", String(Date.now()), "-extfile", path("leaf.ext"), "-out", this.certificate,
    );
  }
}

let nextPort = 20_000 + (process.pid % 100) * 100;

/** A port that is free over TCP and UDP, and below those that the system hands out: it stays free until it is used. */
export async function freePort(host = "127.0.0.1") {
  for (;;) {
    const port = nextPort++;
    if ((await isFree(createServer(), "listen", port, host)) && (await isFree(createSocket("udp4"), "bind", port, host))) return port;
  }
}

async function isFree(socket, take, port, host) {
  socket[take](port, host);
  try {
    await once(socket, "listening");
  } catch (error) {
    if (error.code === "EADDRINUSE") return false;
    throw error;
  }
  const closed = once(socket, "close");
  socket.close();
  await closed;
  return true;
}

export class Turn {
  /** `host` is where it listens and relays; `prefix` runs it elsewhere; `ports` are given where none can be tried. */
  static async start({ host = "127.0.0.1", prefix = [], ports, certificate, secret, username = "user", password = "correct-horse" } = {}) {
    const turn = Object.assign(new Turn(), { host, certificate, secret, username, password, directory: scratch() });
    [turn.port, turn.tlsPort] = ports ?? [await freePort(host), await freePort(host)];
    const file = join(turn.directory, "turnserver.conf");
    turn.log = join(turn.directory, "turnserver.log");
    const settings = {
      "listening-ip": host,
      "relay-ip": host,
      "listening-port": turn.port,
      "tls-listening-port": turn.tlsPort,
      realm: "example.org",
      userdb: join(turn.directory, "turndb"),
      pidfile: join(turn.directory, "turnserver.pid"),
      "log-file": turn.log,
      ...(secret ? { "static-auth-secret": secret } : { user: `${username}:${password}` }),
      ...(certificate ? { cert: certificate.certificate, pkey: certificate.key } : {}),
    };
    const flags = ["simple-log", "verbose", "no-cli", "no-dtls", "fingerprint", "allow-loopback-peers", "no-rfc5780"];
    flags.push(secret ? "use-auth-secret" : "lt-cred-mech", ...(certificate ? [] : ["no-tls"]));
    const lines = [...Object.entries(settings).map(([name, value]) => `${name}=${value}`), ...flags];
    writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
    const [command, ...rest] = [...prefix, TURNSERVER, "-c", file];
    turn.child = spawn(command, rest, { stdio: "ignore" });
    turn.child.once("exit", atExit(() => turn.child.kill("SIGKILL")));
    await turn.#ready(prefix.length === 0);
    return turn;
  }

  async #ready(reachable) {
    for (let n = 0; n < 100; n += 1) {
      if (this.child.exitCode !== null) throw new Error(`coturn ended\n${this.said()}`);
      if (reachable ? await connects(this.host, this.port) : this.said().includes("SQLite DB connection success")) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`coturn does not listen\n${this.said()}`);
  }

  /** Its log. */
  said() {
    try {
      return readFileSync(this.log, "utf8");
    } catch {
      return "";
    }
  }

  url(transport = "udp") {
    if (transport === "tls") return `turns:${this.host}:${this.tlsPort}?transport=tcp`;
    return `turn:${this.host}:${this.port}?transport=${transport}`;
  }

  /** An entry for `iceServers`. */
  server(transport, changes = {}) {
    return { urls: this.url(transport), username: this.username, credential: this.password, ...changes };
  }

  async stop() {
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await within(ended, "coturn's end");
  }
}

function connects(host, port) {
  return new Promise((resolve) => {
    const socket = new Socket();
    const done = (result) => (socket.destroy(), resolve(result));
    socket.once("connect", () => done(true)).once("error", () => done(false));
    socket.connect(port, host);
  });
}
