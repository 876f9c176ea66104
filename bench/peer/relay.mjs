// Calls over a relay: how soon a channel is open, and what it carries. Debian's coturn on 127.0.0.1, ours to ours,
// relay only on both sides.
//
//     node bench/peer/relay.mjs [TIMES] [MEGABYTES]
//
// Time: from `join` to the open channel that the peer who was there opens at once. Throughput goes through
// `metered rpc` on both sides, which encodes each message as base64 in a line of JSON; the same without a relay
// is beside it.

import { Ours, Server } from "../../tests/interop/node/support.mjs";
import { Turn } from "../../tests/network/turn.mjs";

const LIMIT_MS = 1_000;
const IN_FLIGHT = 16;
const times = Number(process.argv[2] ?? 20);
const bytes = Number(process.argv[3] ?? 16) * 1e6;

const turn = await Turn.start();
const server = await Server.start();
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

async function megabytesPerSecond({ one, two, channelId, far }, size) {
  const count = Math.ceil(bytes / size);
  const base64 = Buffer.alloc(size, 7).toString("base64");
  const start = performance.now();
  const received = (async () => {
    for (let n = 0; n < count; n += 1) await two.nextOf(`channel:${far}`, "message", undefined, 60_000);
  })();
  const flying = new Set();
  for (let n = 0; n < count; n += 1) {
    const sent = one.call("channel.send", { channelId, base64 }, 60_000);
    flying.add(sent);
    sent.finally(() => flying.delete(sent));
    if (flying.size >= IN_FLIGHT) await Promise.race(flying);
  }
  await received;
  return (count * size) / 1e3 / (performance.now() - start);
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
  const open = await call(`${transport}-throughput`, transport);
  const figures = [`join to open p50 ${p50.toFixed(0)} ms, max ${took.at(-1).toFixed(0)} ms (${took.length} times)`];
  figures.push(`round trip p50 ${(await roundTrip(open)).toFixed(1)} ms`);
  for (const size of [16_384, 65_536]) {
    figures.push(`${size / 1024} KiB messages ${(await megabytesPerSecond(open, size)).toFixed(1)} MB/s`);
  }
  console.log(`${transport}: ${figures.join(", ")}`);
  await end(open);
}
await server.stop();
await turn.stop();
if (missed) process.exitCode = 1;
