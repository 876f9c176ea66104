// What breaks between the official JavaScript SDK in Firefox and our peer mends itself, with hidden local addresses.
// Firefox resets its channels before it closes a connection, and nothing more may come of that.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk, until } from "../browser/support.mjs";
import { firefox } from "./firefox.mjs";

let stage;
before(async () => (stage = await Stage.start({ launch: firefox, hideLocalAddresses: true })));
after(() => stage.stop());

const isState = (wanted) => ({ to }) => to === wanted;

/** The channel that was opened again is another one to the page. */
const talksAgain = async (both) => {
  const { id } = await both.page.next(`remote:${both.peer.id}`, "data-channel");
  await talk({ ...both, id }, "after");
};

/** How long something took, in milliseconds. */
const timed = async (wait) => {
  const start = performance.now();
  await wait();
  return performance.now() - start;
};

/** The page's next answer is lost on its way, once; what tells whether it was. */
const loseAnswer = (page) =>
  page.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    window.lost = 0;
    WebSocket.prototype.send = function (frame) {
      if (JSON.parse(frame).data?.description?.type !== "answer") return send.call(this, frame);
      WebSocket.prototype.send = send;
      window.lost += 1;
    };
  });

for (const names of [["a-page", "b-ours"], ["b-page", "a-ours"]]) {
  test(`our socket drops: a durable channel is there again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names, durable: true });
    await stage.server.fault("drop", { peerId: both.peer.id });
    await both.peer.nextOf("peer", "state-change", isState("reconnecting"));
    await both.peer.nextOf("peer", "state-change", isState("joined"));
    // The page saw us leave and come back, and closed its connection.
    t.diagnostic(`after ${(await timed(() => talksAgain(both))).toFixed(0)} ms`);
  });

  test(`our dead socket is replaced: a durable channel is there again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names, durable: true });
    await stage.server.fault("mute", { peerId: both.peer.id });
    await both.peer.call("peer.reconnectNow");
    await both.peer.nextOf("peer", "state-change", isState("reconnecting"));
    await both.peer.nextOf("peer", "state-change", isState("joined"));
    t.diagnostic(`after ${(await timed(() => talksAgain(both))).toFixed(0)} ms`);
  });

  test(`the page's socket drops and the pair talks again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names });
    await stage.server.fault("drop", { peerId: both.page.id });
    await both.page.next(`remote:${both.peer.id}`, "connection-reset");
    await both.peer.nextOf(`channel:${both.channelId}`, "close");
    await talk(await channelOfPage(both.page, both.peer, "theirs"), "after");
    await talk(await channelOfOurs(both.peer, both.page, "ours"), "after");
  });

  test(`the page's app closes a durable channel, and the app of ours is told so soon (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names, durable: true });
    const other = await channelOfOurs(both.peer, both.page, "other", { durable: true });
    await talk(other, "one");
    await both.page.do("closeChannel", other.id);
    const took = await timed(() => both.peer.nextOf(`channel:${other.channelId}`, "close"));
    t.diagnostic(`after ${took.toFixed(0)} ms`);
    await talk(both, "still here");
    assert.deepEqual(both.peer.inbox.taken("connection-reset", `remote:${both.page.id}`), []);
  });

  test(`the answer to our first offer is lost, and the second one connects (${names})`, async (t) => {
    const room = stage.room(t);
    const page = await room.page(names[0]);
    const peer = await room.ours(names[1]);
    await peer.nextOf("peer", "peer-joined");
    await page.next("peer", "peer-joined");
    await loseAnswer(page);
    const { channelId } = await peer.call("remote.openDataChannel", { peerId: page.id, label: "chat" });
    await until("the answer is lost", () => page.page.evaluate(() => window.lost === 1));
    // As when an offer was not answered for 15 s.
    await peer.call("peer.networkChanged");
    const { id } = await page.next(`remote:${peer.id}`, "data-channel");
    await talk({ page, peer, channelId, id }, "at last");
  });
}

test("a page that is loaded again while the service does not miss it has the durable channel again", async (t) => {
  const room = stage.room(t);
  const both = await pair(room, { durable: true });
  await stage.server.fault("stop-reading", { peerId: both.page.id });
  const took = await timed(async () => {
    await both.page.page.reload();
    await until("the page's script", () => both.page.page.evaluate(() => "room" in window));
    const token = await stage.server.token(both.page.id);
    await both.page.do("join", room.name, { url: stage.server.url, token });
    await talksAgain(both);
  });
  // Most often our offer comes before the page is back, and another is made when nobody answered it for 15 s.
  t.diagnostic(`after ${took.toFixed(0)} ms`);
});
