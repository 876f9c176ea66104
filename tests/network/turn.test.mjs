// Relays: our peers over Debian's coturn, and what they say of servers that do not serve.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { Ours, Server, within } from "../interop/node/support.mjs";
import { blackhole } from "./blackhole.mjs";
import { Certificate, Turn, freePort, scratch } from "./turn.mjs";

const PASSWORD = "pass-4c1f0a77";
const SECRET = "secret-9be2d610";

let server, turn, certificate;
before(async () => {
  certificate = new Certificate(scratch(), "turn", ["127.0.0.1"]);
  turn = await Turn.start({ certificate, password: PASSWORD });
  server = await Server.start();
});
after(async () => {
  await turn?.stop();
  await server?.stop();
});

const running = new Set();
afterEach(() => {
  // What a failed test left.
  for (const ours of running) ours.child.kill("SIGKILL");
  running.clear();
});

async function peer(id, options, { at = server, log } = {}) {
  const token = await at.token(id);
  const given = { url: at.url, token, iceTransportPolicy: "relay", localAddresses: ["127.0.0.1"], ...options };
  const ours = Object.assign(await Ours.peer(given, { log }), { id });
  running.add(ours);
  return ours;
}

/** Ends with the test, however it ends. */
function closing(t, thing) {
  t.after(() => thing.stop());
  return thing;
}

/** Two peers in a room of their own, the first one's channel to the second, and what it took. */
async function pair(room, options, how = {}) {
  const [one, two] = [await peer(`one-${room}`, options, how), await peer(`two-${room}`, options, how)];
  await one.call("peer.join", { channel: room });
  await two.call("peer.join", { channel: room });
  await one.nextOf("peer", "peer-joined");
  const start = performance.now();
  const { channelId } = await one.call("remote.openDataChannel", { peerId: two.id, label: "chat" });
  const far = two.nextOf(`remote:${one.id}`, "data-channel");
  // Whether it comes is the test's matter.
  far.catch(() => {});
  return { one, two, channelId, far, start };
}

async function talk({ one, two, channelId, far }, word) {
  const { channelId: other } = await far;
  await one.call("channel.send", { channelId, text: `${word} there` });
  assert.equal((await two.nextOf(`channel:${other}`, "message")).text, `${word} there`);
  await two.call("channel.send", { channelId: other, text: `${word} back` });
  assert.equal((await one.nextOf(`channel:${channelId}`, "message")).text, `${word} back`);
}

function stats(ours, { id }) {
  return ours.call("remote.stats", { peerId: id });
}

async function opened({ one, channelId, start }) {
  await one.nextOf(`channel:${channelId}`, "open");
  return performance.now() - start;
}

async function end({ one, two }) {
  for (const ours of [one, two]) {
    await ours.stop();
    running.delete(ours);
  }
}

/** The failure of a server as an event, complete for people and programs. */
async function failure(ours, { id }, code, url) {
  const { error } = await ours.nextOf(`remote:${id}`, "ice-candidate-error", ({ error }) => error.url === url);
  assert.equal(error.name, "IceCandidateError");
  assert.equal(error.code, code);
  assert.ok(error.cause.length > 20 && error.fix.length > 20 && error.message, JSON.stringify(error));
  return error;
}

for (const transport of ["udp", "tcp", "tls"]) {
  test(`relay only over ${transport}`, async () => {
    const both = await pair(`relay-${transport}`, {
      iceServers: [turn.server(transport)],
      extraRoots: [certificate.authority],
    });
    await opened(both);
    await talk(both, "hello");
    for (const [ours, other] of [[both.one, both.two], [both.two, both.one]]) {
      const { selectedPair } = await stats(ours, other);
      assert.equal(selectedPair.local.candidateType, "relay");
      assert.equal(selectedPair.local.relayUrl, turn.url(transport));
    }
    await end(both);
  });
}

test("a message of 256 KiB passes the relay whole", async () => {
  const both = await pair("large", { iceServers: [turn.server("udp")] });
  await opened(both);
  const base64 = Buffer.alloc(262_144, "x").toString("base64");
  await both.one.call("channel.send", { channelId: both.channelId, base64 });
  const { channelId } = await both.far;
  assert.equal((await both.two.nextOf(`channel:${channelId}`, "message")).base64, base64);
  await end(both);
});

test("an untrusted certificate is named as such", async () => {
  const both = await pair("untrusted", { iceServers: [turn.server("tls")] });
  const error = await failure(both.one, both.two, "turn_tls", turn.url("tls"));
  assert.equal(error.errorCode, 701);
  await end(both);
});

test("a wrong password is named as such and is in no log", async () => {
  const log = [];
  const servers = [turn.server("udp", { credential: "wrong-5b7d" })];
  const both = await pair("password", { iceServers: servers, logLevel: "trace" }, { log });
  for (const [ours, other] of [[both.one, both.two], [both.two, both.one]]) {
    assert.equal((await failure(ours, other, "turn_unauthorized", turn.url("udp"))).errorCode, 401);
  }
  await end(both);
  const said = log.join("") + both.one.inbox.history().join("") + both.two.inbox.history().join("");
  assert.ok(log.join("").includes("DEBUG"));
  assert.ok(!said.includes("wrong-5b7d"));
});

test("servers that cannot be reached are named, each with its reason", async (t) => {
  const hole = closing(t, await blackhole());
  const refused = await freePort();
  const options = { username: "user", credential: PASSWORD };
  const urls = {
    refusedTcp: `turn:127.0.0.1:${refused}?transport=tcp`,
    refusedUdp: `turn:127.0.0.1:${refused}?transport=udp`,
    silentUdp: `turn:127.0.0.1:${hole.port}?transport=udp`,
    silentTls: `turns:127.0.0.1:${hole.port}?transport=tcp`,
    nowhere: "turn:turn.nowhere.invalid:3478?transport=udp",
    nowhereTls: "turns:turn.nowhere.invalid:443?transport=tcp",
  };
  const both = await pair("unreachable", { iceServers: Object.values(urls).map((url) => ({ urls: url, ...options })) });
  const codes = {
    refusedTcp: "turn_unreachable",
    refusedUdp: "ice_server_timeout",
    silentUdp: "ice_server_timeout",
    silentTls: "turn_tls",
    nowhere: "ice_server_unresolved",
    nowhereTls: "ice_server_unresolved",
  };
  for (const [name, code] of Object.entries(codes)) {
    assert.equal((await failure(both.one, both.two, code, urls[name])).errorCode, 701, name);
  }
  await end(both);
});

test("of several servers the one that works carries the call, without a wait for the others", async (t) => {
  const hole = closing(t, await blackhole());
  const refused = await freePort();
  const options = { username: "user", credential: PASSWORD };
  const dead = [
    `turn:127.0.0.1:${hole.port}?transport=udp`,
    `turn:127.0.0.1:${hole.port}?transport=tcp`,
    `turns:127.0.0.1:${hole.port}?transport=tcp`,
    `turn:127.0.0.1:${refused}?transport=tcp`,
    "turn:turn.nowhere.invalid:3478?transport=udp",
  ];
  const servers = [...dead.map((urls) => ({ urls, ...options })), turn.server("udp", { credential: "wrong-5b7d" }), turn.server("tcp")];
  const both = await pair("several", { iceServers: servers });
  const took = await opened(both);
  t.diagnostic(`open after ${took.toFixed(0)} ms`);
  // A wait for one of the dead takes five seconds at least.
  assert.ok(took < 4_000, `${took} ms`);
  await talk(both, "hello");
  const { selectedPair } = await stats(both.one, both.two);
  assert.equal(selectedPair.local.relayUrl, turn.url("tcp"));
  await failure(both.one, both.two, "turn_unreachable", dead[3]);
  await failure(both.one, both.two, "turn_unauthorized", turn.url("udp"));
  await end(both);
});

test("relay only without a server that could be one is refused at once", async () => {
  await assert.rejects(
    pair("none", {}),
    ({ data }) => data.code === "no_turn_server" && data.cause.length > 20 && data.fix.length > 20,
  );
});

test("calls that end give their relays back", async (t) => {
  const other = closing(t, await Turn.start({ password: PASSWORD }));
  for (let n = 0; n < 4; n += 1) {
    const both = await pair(`given-back-${n}`, { iceServers: [other.server("udp")] });
    await opened(both);
    if (n % 2) {
      // So does a restart with those that it leaves.
      await both.one.call("peer.networkChanged");
      await talk(both, "moved");
    }
    await end(both);
  }
  const count = (pattern) => other.said().match(pattern)?.length ?? 0;
  const balanced = async () => {
    while (count(/: new, realm/g) !== count(/refreshed, .*lifetime=0/g)) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  // What is not given back lives for ten minutes.
  await within(balanced(), "the end of every allocation");
  assert.ok(count(/: new, realm/g) >= 8);
});

test("a new welcome's credentials carry a call beyond the end of the first ones", async (t) => {
  const timed = closing(t, await Turn.start({ secret: SECRET }));
  const config = join(timed.directory, "serve.toml");
  writeFileSync(config, `[turn]\nurls = ["${timed.url("udp")}"]\nshared_secret = "${SECRET}"\nttl_seconds = 6\n`);
  const service = closing(t, await Server.start("--config", config));
  const log = [];
  const both = await pair("expiry", { logLevel: "trace" }, { at: service, log });
  await opened(both);
  await talk(both, "first");
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  // Both lose the service at once, and neither misses the other: the call stays as it is.
  for (const { id } of [both.one, both.two]) {
    await service.fault("ghost", { channel: "expiry", peerId: id, ms: 60_000 });
  }
  await service.fault("drop");
  for (const ours of [both.one, both.two]) {
    await ours.nextOf("peer", "state-change", ({ from, to }) => from === "reconnecting" && to === "joined");
  }
  await talk(both, "renewed");
  // Now those from the beginning are refused, and a restart allocates anew.
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, 6_500 - (performance.now() - began))));
  const port = async () => (await stats(both.one, both.two)).selectedPair?.local.port;
  const before = await port();
  await both.one.call("peer.networkChanged");
  const moved = async () => {
    for (;;) {
      const now = await port();
      if (now && now !== before) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await within(moved(), "another relay");
  await talk(both, "after");
  for (const ours of [both.one, both.two]) {
    assert.ok(!ours.inbox.has("ice-candidate-error"), ours.inbox.history().join("\n"));
    assert.ok(!ours.inbox.has("connection-reset"), ours.inbox.history().join("\n"));
  }
  await end(both);
  const said = log.join("");
  assert.ok(said.includes("DEBUG"));
  assert.ok(!said.includes(SECRET));
});
