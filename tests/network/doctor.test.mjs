// `metered doctor` in a namespace whose packet filter is the symptom: what it finds, and what it still calls well.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { METERED, Server, within } from "../interop/node/support.mjs";
import { Turn, atExit } from "./turn.mjs";

const NAME = `metered-${process.pid}-doctor`;
const PREFIX = ["ip", "netns", "exec", NAME];
const SECRET = "s3cr3t-0f-c0turn";
const run = (command, ...args) => execFileSync(command, args, { stdio: ["pipe", "pipe", "pipe"] });

let turn, server, remove;
before(async () => {
  run("ip", "netns", "add", NAME);
  remove = atExit(() => run("ip", "netns", "del", NAME));
  run("ip", "-n", NAME, "link", "set", "lo", "up");
  // Apart from a relay's own ports, which begin at 49152.
  run(...PREFIX, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 48000");
  turn = await Turn.start({ prefix: PREFIX, ports: [3478, 5349], secret: SECRET });
  const given = ["--turn-url", turn.url(), "--turn-secret", SECRET];
  server = await Server.startWith({ prefix: PREFIX }, ...given);
});
after(async () => {
  await turn?.stop();
  await server?.stop();
  remove?.();
});

/** What the doctor reports, under these rules for what comes in. */
async function examine(rules) {
  const input = `flush ruleset\ntable inet filter { chain in { type filter hook input priority 0; ${rules} }\n}\n`;
  execFileSync(PREFIX[0], [...PREFIX.slice(1), "nft", "-f", "-"], { input, stdio: ["pipe", "pipe", "pipe"] });
  const args = ["doctor", "--url", server.url, "--key", "pk_live_dev", "--local-address", "127.0.0.1", "--timeout", "8", "--json"];
  const child = spawn(PREFIX[0], [...PREFIX.slice(1), METERED, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  const [code] = await within(once(child, "close"), "the doctor's end", 120_000);
  const report = JSON.parse(said);
  assert.equal(code, report.ok ? 0 : 3, said);
  assert.ok(!said.includes(SECRET));
  const found = Object.fromEntries(report.checks.map((check) => [check.id, check]));
  return (id) => ({ status: found[id].status, code: found[id].code ?? null, because: found[id].because ?? null });
}

const ok = { status: "ok", code: null, because: null };
const failed = (code) => ({ status: "failed", code, because: null });

test("an open network: all is well", async () => {
  const check = await examine("");
  for (const id of ["ice-server", "udp", "relay", "direct", "picture"]) assert.deepEqual(check(id), ok, id);
});

test("a relay whose own ports are blocked gives addresses that carry nothing", async () => {
  const check = await examine("udp sport 49152-65535 udp dport 49152-65535 drop;");
  for (const id of ["ice-server", "udp", "direct", "picture"]) assert.deepEqual(check(id), ok, id);
  assert.deepEqual(check("relay"), failed("relay_carries_nothing"));
});

test("a device that lets no program hear another", async () => {
  const check = await examine("udp sport 32768-48000 udp dport 32768-48000 drop;");
  assert.deepEqual(check("relay"), ok);
  assert.deepEqual(check("direct"), failed("local_path_blocked"));
  assert.deepEqual(check("picture"), ok, "by the relay");
});

test("a network that lets no media through", async () => {
  // The first two bits of RTP and of RTCP (RFC 3550 section 5.1), plain and in a relay's ChannelData.
  const check = await examine("udp sport 32768-48000 @th,64,2 2 drop; udp dport 3478 @th,96,2 2 drop;");
  for (const id of ["relay", "direct"]) assert.deepEqual(check(id), ok, id);
  assert.deepEqual(check("picture"), failed("no_picture"));
});
