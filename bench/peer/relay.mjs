// Calls over a relay: how soon a channel is open, and what it carries. Debian's coturn on 127.0.0.1, relay only on
// both sides.
//
//     cargo build --release -p metered-bench-peer && (cd bench/peer/js && npm ci)
//     node bench/peer/relay.mjs [TIMES] [ROUNDS]
//
// Time: from `join` to the open channel that the peer who was there opens at once, by `metered rpc`. Throughput: ours
// to ours in one process, and between two pages in Chromium, one after the other in each round.

import { execFileSync } from "node:child_process";
import { Ours, Server } from "../../tests/interop/node/support.mjs";
import { Turn } from "../../tests/network/turn.mjs";

const LIMIT_MS = 1_000;
const times = Number(process.argv[2] ?? 20);
const rounds = Number(process.argv[3] ?? 3);
const here = (path) => new URL(path, import.meta.url).pathname;
const target = process.env.CARGO_TARGET_DIR ?? here("../../target");

const turn = await Turn.start();
const server = await Server.start("--config", here("../signalling/unlimited.toml"));
let missed = false;

async function call(room, transport) {
  const relayed = { iceServers: [turn.server(transport)], iceTransportPolicy: "relay" };
  const create = async (id) => {
    const options = transport === "direct" ? {} : relayed;
    return Ours.peer({ url: server.url, token: await server.token(id), localAddresses: ["127.0.0.1"], ...options });
  };
  const [one, two] = [await create(`one-${room}`), await create(`two-${room}`)];
  await one.call("peer.join", { channel: room });
  const start = performance.now();
  const joined = two.call("peer.join", { channel: room });
  await one.nextOf("peer", "peer-joined");
  const { channelId } = await one.call("remote.openDataChannel", { peerId: `two-${room}`, label: "bench" });
  await one.nextOf(`channel:${channelId}`, "open");
  const took = performance.now() - start;
  await joined;
  const far = await two.nextOf(`remote:one-${room}`, "data-channel");
  return { one, two, channelId, far: far.channelId, took };
}

async function end({ one, two }) {
  await one.stop();
  await two.stop();
}

/** What a contender printed. */
function figures(command, args, env = {}) {
  return JSON.parse(execFileSync(command, args, { env: { ...process.env, ...env }, timeout: 300_000 }));
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

function throughput(transport) {
  const relay = JSON.stringify(turn.server(transport));
  const contenders = {
    ours: () => figures(`${target}/release/bench-peer`, ["throughput", server.url], { BENCH_RELAY: relay }),
    Chromium: () => figures("node", [here("js/relay.mjs"), relay]),
  };
  const seen = { ours: [], Chromium: [] };
  for (let round = 0; round < rounds; round += 1) {
    const names = Object.keys(contenders);
    for (const name of round % 2 ? names.reverse() : names) seen[name].push(contenders[name]());
  }
  for (const size of ["throughput16", "throughput64"]) {
    const [ours, theirs] = ["ours", "Chromium"].map((name) => median(seen[name].map((figure) => figure[size])));
    const met = ours >= theirs;
    missed ||= !met;
    const label = `${size.replace("throughput", "")} KiB messages`;
    console.log(`${transport}: ${label} ours ${ours.toFixed(1)} MB/s, Chromium ${theirs.toFixed(1)}, ratio ${(ours / theirs).toFixed(2)} ${met ? "met" : "MISSED"}`);
  }
}

async function roundTrip({ one, two, channelId, far }) {
  const took = [];
  for (let n = 0; n < 50; n += 1) {
    const start = performance.now();
    await one.call("channel.send", { channelId, text: `ping ${n}` });
    await two.nextOf(`channel:${far}`, "message");
    await two.call("channel.send", { channelId: far, text: `pong ${n}` });
    await one.nextOf(`channel:${channelId}`, "message");
    took.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return took.sort((a, b) => a - b)[25];
}

for (const transport of ["udp", "tcp", "direct"]) {
  const took = [];
  for (let n = 0; n < times; n += 1) {
    const one = await call(`${transport}-${n}`, transport);
    took.push(one.took);
    await end(one);
  }
  took.sort((a, b) => a - b);
  const p50 = took[Math.ceil(took.length / 2) - 1];
  missed ||= p50 > LIMIT_MS;
  const open = await call(`${transport}-round-trip`, transport);
  const lines = [`join to open p50 ${p50.toFixed(0)} ms, max ${took.at(-1).toFixed(0)} ms (${took.length} times)`];
  lines.push(`round trip p50 ${(await roundTrip(open)).toFixed(1)} ms`);
  console.log(`${transport}: ${lines.join(", ")}`);
  await end(open);
}
for (const transport of ["udp", "tcp"]) throughput(transport);
await server.stop();
await turn.stop();
if (missed) process.exitCode = 1;
