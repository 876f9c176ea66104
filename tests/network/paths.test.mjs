// Our peers on networks that change, break, lose and hide, in namespaces of their own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { within } from "../interop/node/support.mjs";
import { Call, Lab } from "./lab.mjs";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A test in a lab of its own, with the Wi-Fi up. */
function inLab(name, body) {
  test(name, async (t) => {
    const lab = await Lab.open();
    t.after(() => lab.close());
    lab.up("wifi");
    await lab.serve();
    await body(lab, t);
  });
}

async function state(ours, source, to, limit) {
  await ours.nextOf(source, "state-change", (change) => change.to === to, limit);
}

async function connected(lab, options, channel) {
  const call = await Call.open(lab, "room", options, channel);
  await call.opened();
  await state(call.a, "remote:b", "connected");
  await state(call.b, "remote:a", "connected");
  await call.talk("before");
  return call;
}

/** The lab's relay, as an option of a peer. */
function relays(lab, ...transports) {
  return { iceServers: transports.map((transport) => lab.turn.server(transport)) };
}

inLab("from Wi-Fi to cellular with the platform's hint", async (lab, t) => {
  await lab.set("lan", { delayMs: 25 });
  const call = await connected(lab);
  assert.equal((await call.pair()).local.address, "10.1.1.2");
  lab.up("cell");
  lab.down("wifi");
  const start = performance.now();
  await call.a.call("peer.networkChanged");
  await call.there("moved");
  t.diagnostic(`a message is there after ${(performance.now() - start).toFixed(0)} ms`);
  await call.talk("after");
  assert.equal((await call.pair()).local.address, "10.1.2.2");
  assert.ok(!call.a.inbox.has("connection-reset") && !call.b.inbox.has("connection-reset"));
  // Back again, and durable or not the channel is the same.
  lab.up("wifi");
  lab.down("cell");
  await call.a.call("peer.networkChanged");
  await call.talk("back");
  assert.equal((await call.pair()).local.address, "10.1.1.2");
});

inLab("from Wi-Fi to cellular without a hint", async (lab, t) => {
  // The service is missed by its pings alone: they come sooner than the default's 20 s.
  const call = await connected(lab, { inactivityTimeoutMs: 6_000 });
  lab.up("cell");
  lab.down("wifi");
  const start = performance.now();
  const since = () => Math.round(performance.now() - start);
  await state(call.a, "remote:b", "reconnecting");
  const noticed = since();
  // 3 s of silence, and a second between two looks.
  assert.ok(noticed > 2_000 && noticed < 5_500, `noticed after ${noticed} ms`);
  await state(call.a, "remote:b", "connected", 40_000);
  t.diagnostic(`noticed after ${noticed} ms, connected after ${since()} ms`);
  await call.talk("after");
  assert.equal((await call.pair()).local.address, "10.1.2.2");
});

inLab("a dead path is left for another one", async (lab, t) => {
  lab.up("cell");
  const call = await connected(lab);
  const { local } = await call.pair();
  // The service stays in reach; what goes between the two by this address is lost.
  lab.rules("ra", `table ip dead {
    chain through {
      type filter hook forward priority 0;
      ip saddr ${local.address} ip daddr 10.2.1.2 drop
      ip saddr 10.2.1.2 ip daddr ${local.address} drop
    }
  }`);
  const start = performance.now();
  await state(call.a, "remote:b", "reconnecting");
  const noticed = performance.now() - start;
  await state(call.a, "remote:b", "connected");
  const healed = performance.now() - start;
  t.diagnostic(`noticed after ${noticed.toFixed(0)} ms, healed after ${healed.toFixed(0)} ms`);
  assert.ok(noticed < 5_500 && healed < 12_000, `${noticed} ms, ${healed} ms`);
  assert.notEqual((await call.pair()).local.address, local.address);
  await call.talk("after");
  assert.equal(await call.a.call("peer.state"), "joined");
});

inLab("a blackout of 30 s", async (lab, t) => {
  const call = await connected(lab, {}, { maxQueuedSends: 32 });
  await lab.set("wifi", { cut: true });
  const start = performance.now();
  const sent = [];
  for (let n = 0; n < 10; n += 1) {
    sent.push(call.send(`word ${n}`, 60_000));
    await pause(3_000);
  }
  await lab.set("wifi");
  const healed = performance.now();
  t.diagnostic(`dark for ${(healed - start).toFixed(0)} ms`);
  for (let n = 0; n < 10; n += 1) assert.equal((await call.heard(40_000)).text, `word ${n}`);
  t.diagnostic(`everything there ${(performance.now() - healed).toFixed(0)} ms later`);
  await Promise.all(sent);
  await within(settled(call), "everybody joined and connected");
  await call.talk("after");
});

async function settled({ a, b }) {
  for (const [ours, other] of [[a, "b"], [b, "a"]]) {
    for (;;) {
      const joined = (await ours.call("peer.state")) === "joined";
      const remote = (await ours.call("peer.remotePeers")).find(({ id }) => id === other);
      if (joined && remote?.state === "connected") break;
      await pause(100);
    }
  }
}

inLab("100 ms of delay and 5 % of loss", async (lab, t) => {
  await lab.set("lan", { delayMs: 100, jitterMs: 20, loss: 0.05 });
  const call = await connected(lab);
  t.diagnostic(`open after ${call.took.toFixed(0)} ms`);
  const start = performance.now();
  const [here, there] = [[], []];
  const sending = [];
  for (let n = 0; n < 200; n += 1) {
    sending.push(call.send(`there ${n}`), call.sendBack(`back ${n}`));
    here.push(call.heardBack(60_000));
    there.push(call.heard(60_000));
    await pause(5);
  }
  await Promise.all(sending);
  for (let n = 0; n < 200; n += 1) {
    assert.equal((await there[n]).text, `there ${n}`);
    assert.equal((await here[n]).text, `back ${n}`);
  }
  t.diagnostic(`400 messages in ${(performance.now() - start).toFixed(0)} ms`);
});

inLab("two symmetric NATs are crossed by a relay alone", async (lab, t) => {
  lab.hide();
  const call = await connected(lab, relays(lab, "udp"));
  t.diagnostic(`open after ${call.took.toFixed(0)} ms`);
  const pair = await call.pair();
  assert.ok([pair.local.candidateType, pair.remote.candidateType].includes("relay"), JSON.stringify(pair));
  // The same without a relay has no path.
  const [a, b] = [await lab.peer("a", "other"), await lab.peer("b", "other")];
  await a.nextOf("peer", "peer-joined");
  await a.call("remote.openDataChannel", { peerId: "b", label: "chat" });
  await pause(3_000);
  const [remote] = await a.call("peer.remotePeers");
  assert.equal(remote.state, "connecting");
  await b.stop();
  await a.stop();
});

inLab("UDP is blocked, and TURN over TLS on port 443 is not", async (lab, t) => {
  for (const router of ["ra", "rb"]) {
    lab.rules(router, `table ip firewall {
      chain through {
        type filter hook forward priority 0; policy drop;
        ip protocol tcp tcp dport { 443, ${new URL(lab.server.httpUrl).port} } accept
        ct state established ip protocol tcp accept
      }
    }`);
  }
  const call = await connected(lab, relays(lab, "udp", "tls"));
  t.diagnostic(`open after ${call.took.toFixed(0)} ms`);
  const { local } = await call.pair();
  assert.deepEqual([local.candidateType, local.relayUrl], ["relay", lab.turn.url("tls")]);
});
