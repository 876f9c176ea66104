// From `networkChanged` to the next message through a data channel, on a path with a round trip of 50 ms.
//
//     node bench/peer/handover.mjs [TIMES]
//
// Two of our peers in namespaces (tests/network/lab.mjs), and 25 ms each way between the client that moves and
// everybody else, the service included. Its Wi-Fi goes, address and all, its cellular comes, the app is told and
// sends a message at once; the clock stops when the other side's app has it. Needs root.

import { Call, Lab } from "../../tests/network/lab.mjs";

const ONE_WAY_MS = 25;
const LIMIT_MS = 1_000;
const times = Number(process.argv[2] ?? 20);

const lab = await Lab.open();
const took = [];
try {
  for (const wire of ["wifi", "cell"]) await lab.set(wire, { delayMs: ONE_WAY_MS });
  lab.up("wifi");
  await lab.serve();
  const call = await Call.open(lab, "handover");
  await call.opened();
  await call.talk("before");
  for (let n = 0; n < times; n += 1) {
    const [from, to] = n % 2 ? ["cell", "wifi"] : ["wifi", "cell"];
    lab.up(to);
    lab.down(from);
    const start = performance.now();
    await call.a.call("peer.networkChanged");
    await call.there(`message ${n}`);
    took.push(performance.now() - start);
    await call.talk(`after ${n}`);
    // What the former network left is over by then.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
} finally {
  await lab.close();
}
took.sort((a, b) => a - b);
const percentile = (share) => took[Math.min(took.length - 1, Math.ceil(took.length * share) - 1)];
const shown = [["p50", 0.5], ["p95", 0.95], ["max", 1]].map(([name, share]) => `${name} ${percentile(share).toFixed(0)} ms`);
console.log(`network changed to next message, round trip ${2 * ONE_WAY_MS} ms, ${took.length} times: ${shown.join(", ")}`);
if (percentile(0.95) > LIMIT_MS) process.exitCode = 1;
