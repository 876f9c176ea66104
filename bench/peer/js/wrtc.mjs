// One figure of libwebrtc in Node, both ends in this process, as one line of JSON: `node wrtc.mjs FIGURE`.
// The same numbers as src/.

import { readFileSync } from "node:fs";
import wrtc from "@roamhq/wrtc";

const CONNECTS = 30;
const BYTES = 64 * 1024 * 1024;
const SIZES = { 16: 16 * 1024, 64: 64 * 1024 };
// As the SDKs bound what waits in the transport.
const MAX_BUFFERED = 1_048_576;
const PINGS = 5_000;
const WARM_UP = 500;
const PING_BYTES = 100;
const PAIRS = 100;
const SETTLE_MS = 12_000;
const WATCH_MS = 10_000;
const OF_CONNECTIONS = 100;
const PATIENCE_MS = 120_000;

const [figure] = process.argv.slice(2);

const percentile = (times, percent) => times.sort((a, b) => a - b)[Math.floor(((times.length - 1) * percent) / 100)];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Two ends, and the channel at both once it is open. */
async function pair() {
  const [one, two] = [new wrtc.RTCPeerConnection(), new wrtc.RTCPeerConnection()];
  // Candidates are handed over as soon as the other end can take them.
  for (const [from, to] of [[one, two], [two, one]]) {
    const early = [];
    // One that comes after the end of a quick pair is refused.
    const add = (candidate) => to.addIceCandidate(candidate).catch(() => {});
    from.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      if (to.remoteDescription) add(candidate);
      else early.push(candidate);
    };
    to.release = () => early.splice(0).forEach(add);
  }
  const near = one.createDataChannel("bench");
  const far = new Promise((resolve) => (two.ondatachannel = ({ channel }) => resolve(channel)));
  const open = new Promise((resolve) => (near.onopen = resolve));
  const began = performance.now();
  const offer = await one.createOffer();
  await one.setLocalDescription(offer);
  await two.setRemoteDescription(offer);
  two.release();
  const answer = await two.createAnswer();
  await two.setLocalDescription(answer);
  await one.setRemoteDescription(answer);
  one.release();
  await open;
  const ms = performance.now() - began;
  return { ms, near, far: await far, close: () => [one, two].forEach((end) => end.close()) };
}

async function open() {
  const times = [];
  for (let n = 0; n < CONNECTS; n += 1) {
    const both = await pair();
    times.push(both.ms);
    both.close();
  }
  return { openMs: percentile(times, 50), openP95Ms: percentile(times, 95) };
}

async function throughput() {
  const figures = {};
  for (const [name, size] of Object.entries(SIZES)) {
    const both = await pair();
    const payload = new Uint8Array(size).fill(7);
    let [sent, received] = [0, 0];
    const fill = () => {
      while (sent < BYTES && both.near.bufferedAmount + size <= MAX_BUFFERED) {
        both.near.send(payload);
        sent += size;
      }
    };
    const all = new Promise((resolve) => {
      both.far.onmessage = ({ data }) => {
        received += data.byteLength;
        if (received >= BYTES) resolve();
        // This build never fires `bufferedamountlow`; an arrival is the earliest sign of room.
        else fill();
      };
    });
    const began = performance.now();
    const cpu = process.cpuUsage();
    fill();
    await all;
    figures[`throughput${name}`] = BYTES / 1e3 / (performance.now() - began);
    const { user, system } = process.cpuUsage(cpu);
    figures[`cpuMsPerMb${name}`] = ((user + system) * 1e3) / BYTES;
    both.close();
  }
  return figures;
}

async function rtt() {
  const both = await pair();
  const payload = new Uint8Array(PING_BYTES).fill(7);
  both.far.onmessage = () => both.far.send(payload);
  const times = [];
  for (let n = 0; n < WARM_UP + PINGS; n += 1) {
    const answer = new Promise((resolve) => (both.near.onmessage = resolve));
    const began = performance.now();
    both.near.send(payload);
    await answer;
    if (n >= WARM_UP) times.push(performance.now() - began);
  }
  both.close();
  return { rttMs: percentile(times, 50), rttP99Ms: percentile(times, 99) };
}

function residentKib() {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}

async function idle() {
  const pairs = [await pair()];
  globalThis.gc?.();
  const before = residentKib();
  for (let n = 0; n < PAIRS; n += 1) pairs.push(await pair());
  await sleep(SETTLE_MS);
  globalThis.gc?.();
  const grown = residentKib() - before;
  const cpu = process.cpuUsage();
  await sleep(WATCH_MS);
  const { user, system } = process.cpuUsage(cpu);
  pairs.forEach((both) => both.close());
  const ends = 2 * PAIRS;
  return {
    idleKib: grown / ends,
    idleCpuPercent: (((user + system) / 1e3 / WATCH_MS) * 100 * OF_CONNECTIONS) / ends,
  };
}

setTimeout(() => {
  console.error(`${figure}: not within ${PATIENCE_MS} ms`);
  process.exit(1);
}, PATIENCE_MS).unref();
console.log(JSON.stringify(await { open, throughput, rtt, idle }[figure]()));
// Its threads would outlive the script.
process.exit(0);
