// A page with the official SDK in a room, for a test that has the other peer. Prints one JSON value a line:
// where the service is and a token for the test's peer, then `ready`, then the digest of the file that the page
// took. `node file_page.mjs BYTES`; ends when standard input does.

import { Page, Stage } from "../../../../../tests/interop/browser/support.mjs";

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const stage = await Stage.start();
try {
  const ended = new Promise((resolve) => process.stdin.resume().on("end", resolve));
  const page = Object.assign(await Page.open(stage, "page"), { room: { descriptions: async () => [] } });
  const { url } = stage.server;
  await page.do("join", "room", { url, token: await stage.server.token("page") });
  say({ url, token: await stage.server.token("kotlin") });
  const { id } = await page.next("remote:kotlin", "data-channel");
  const taken = page.do("returnFile", id, Number(process.argv[2]));
  await page.next(`channel:${id}`, "ready");
  say({ ready: true });
  say({ digest: await taken });
  await ended;
} finally {
  await stage.stop();
}
