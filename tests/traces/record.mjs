// Records the arrivals of real calls into this folder; see README.md.
//   node tests/traces/record.mjs TEST_BINARY chromium|lab
// TEST_BINARY is what `cargo test -p metered-realtime --lib --no-run` names.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Stage } from "../interop/browser/support.mjs";
import { METERED, within } from "../interop/node/support.mjs";
import { Lab } from "../network/lab.mjs";

const SECONDS = 12;
const [binary, name] = process.argv.slice(2);
const cleanups = [];
const t = { after: (cleanup) => cleanups.unshift(cleanup) };

/** The test that records, as a peer in a room; its files with a header become the folder's. */
async function record({ url, token, room, roots, prefix = [], about }) {
  const folder = mkdtempSync(join(tmpdir(), "metered-traces-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [command, ...args] = [...prefix, binary, "peer::recording::record", "--exact", "--ignored"];
  const environment = {
    METERED_TRACE_FOLDER: folder,
    METERED_TRACE_URL: url,
    METERED_TRACE_TOKEN: token,
    METERED_TRACE_ROOM: room,
    METERED_TRACE_SECONDS: String(SECONDS),
    ...(roots ? { METERED_TRACE_ROOTS: roots } : {}),
  };
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: "inherit" });
  const [code] = await within(once(child, "exit"), "the recording", (SECONDS + 20) * 1e3);
  if (code !== 0) throw new Error(`the recording ended with ${code}`);
  for (const kind of ["audio", "video"]) {
    const lines = readFileSync(join(folder, `${kind}.txt`), "utf8");
    const header = [
      `# ${about}`,
      `# Recorded by: node tests/traces/record.mjs TEST_BINARY ${name}`,
      "# Of each packet: microseconds since the first, sequence number, RTP timestamp, marker, bytes of payload, and the first of them.",
    ];
    writeFileSync(new URL(`${name}-${kind}.txt`, import.meta.url), `${header.join("\n")}\n${lines}`);
  }
}

const calls = {
  /** A page with the official SDK; the browser's own camera and microphone for tests. */
  async chromium() {
    const stage = await Stage.start();
    t.after(() => stage.stop());
    const room = stage.room(t);
    const page = await room.page("page");
    await page.do("addMedia");
    const about = "A call of Debian's Chromium (its fake camera and microphone) to ours, on one machine.";
    const token = await stage.server.token(`ours-${room.name}`);
    await record({ url: stage.server.url, token, room: room.name, about });
  },
  /** Two of our peers over a wire that delays, loses and reorders. */
  async lab() {
    const lab = await Lab.open();
    t.after(() => lab.close());
    lab.up("wifi");
    await lab.serve();
    const wire = { delayMs: 20, jitterMs: 60, loss: 0.03, reorder: 0.02 };
    await lab.set("lan", wire);
    const a = await lab.peer("a", "room");
    const tracks = [
      { kind: "video", source: { testPattern: { codec: "vp8" } } },
      { kind: "audio", source: { tone: {} } },
    ];
    await a.call("peer.addStream", { tracks });
    const token = execFileSync(METERED, ["mint", "b", "--strict"], { encoding: "utf8" }).trim();
    const about = `A call of \`metered\` (a counter in VP8 and a tone) to ours over tests/network/wire.py with ${JSON.stringify(wire)}, both ways.`;
    const { authority } = lab.certificate;
    await record({ url: lab.server.url, token, room: "room", roots: authority, prefix: lab.prefix("b"), about });
  },
};

try {
  await calls[name]();
} finally {
  for (const cleanup of cleanups) await cleanup();
}
