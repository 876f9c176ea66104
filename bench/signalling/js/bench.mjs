// One figure of the official JavaScript SDK, as one line of JSON: `node bench.mjs URL FIGURE`.
// The same numbers as src/main.rs.

import { SignallingClient } from "@metered-ca/realtime";
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";

const CONNECTS = 200;
const ACKS = 5_000;
const MESSAGES = 50_000;
const WINDOW = 64;
// A tenth of ours: the SDK is compared by the client, and five thousand would take minutes.
const IDLE_CLIENTS = 500;

const [url, figure] = process.argv.slice(2);

const client = () =>
  new SignallingClient({ url, apiKey: "pk_live_dev", webSocketFactory: (u) => new WebSocket(u, { perMessageDeflate: false }) });

const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];

async function connect() {
  const times = [];
  for (let n = 0; n < CONNECTS; n += 1) {
    const one = client();
    const began = performance.now();
    await one.connect();
    times.push(performance.now() - began);
    await one.close();
  }
  return { connectMs: median(times) };
}

async function ack() {
  const one = client();
  await one.connect();
  const data = "x".repeat(100);
  const times = [];
  for (let n = 0; n < ACKS; n += 1) {
    const began = performance.now();
    await one.publish("c", data);
    times.push(performance.now() - began);
  }
  await one.close();
  return { ackMs: median(times) };
}

async function throughput() {
  const [publisher, subscriber] = [client(), client()];
  await publisher.connect();
  await subscriber.connect();
  await subscriber.subscribe("c");
  const data = "x".repeat(100);
  const began = performance.now();
  const cpu = process.cpuUsage();
  let count = 0;
  const all = new Promise((resolve) => {
    subscriber.on("message", () => {
      count += 1;
      if (count === MESSAGES) resolve();
    });
  });
  let next = 0;
  const lane = async () => {
    while (next < MESSAGES) {
      next += 1;
      await publisher.publish("c", data);
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
  await all;
  const seconds = (performance.now() - began) / 1e3;
  const used = process.cpuUsage(cpu);
  await publisher.close();
  await subscriber.close();
  return { messagesPerSecond: MESSAGES / seconds, cpuMicrosPerMessage: (used.user + used.system) / MESSAGES };
}

function residentKib() {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}

async function idle() {
  const warm = client();
  await warm.connect();
  globalThis.gc?.();
  const before = residentKib();
  const clients = [];
  for (let n = 0; n < IDLE_CLIENTS; n += 1) {
    const one = client();
    await one.connect();
    await one.subscribe("c");
    await one.unsubscribe("c");
    clients.push(one);
  }
  globalThis.gc?.();
  const grown = residentKib() - before;
  for (const one of [warm, ...clients]) await one.close();
  return { idleKib: grown / IDLE_CLIENTS };
}

console.log(JSON.stringify(await { connect, ack, throughput, idle }[figure]()));
