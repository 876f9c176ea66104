// What breaks between the official JavaScript SDK in Chromium and our peer mends itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, channelOfOurs, channelOfPage, pair, talk } from "./support.mjs";

let stage;
before(async () => (stage = await Stage.start()));
after(() => stage.stop());

const isState = (wanted) => ({ to }) => to === wanted;

for (const names of [["a-page", "b-ours"], ["b-page", "a-ours"]]) {
  test(`our socket drops: a durable channel is there again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names, durable: true });
    await stage.server.fault("drop", { peerId: both.peer.id });
    await both.peer.nextOf("peer", "state-change", isState("reconnecting"));
    await both.peer.nextOf("peer", "state-change", isState("joined"));
    // The page saw us leave and come back, and closed its connection.
    await both.page.next("peer", "peer-left");
    await both.page.next("peer", "peer-joined");
    await both.peer.nextOf(`remote:${both.page.id}`, "connection-reset");
    const { id } = await both.page.next(`remote:${both.peer.id}`, "data-channel");
    await talk({ ...both, id }, "after");
  });

  test(`our socket drops: another channel is closed, and the app opens one at the reset (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names });
    await stage.server.fault("drop", { peerId: both.peer.id });
    await both.peer.nextOf(`channel:${both.channelId}`, "close");
    await both.peer.nextOf(`remote:${both.page.id}`, "connection-reset");
    await both.page.next("peer", "peer-left");
    await both.page.next("peer", "peer-joined");
    await talk(await channelOfOurs(both.peer, both.page, "again"), "after");
  });

  test(`the page's socket drops and the pair talks again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names });
    await stage.server.fault("drop", { peerId: both.page.id });
    // The page keeps its remote and makes its connection anew. Whether it left and came back to us, or was there
    // all the time, is a matter of which comes first: the end of its connection or its return.
    await both.page.next(`remote:${both.peer.id}`, "connection-reset");
    await both.peer.nextOf(`channel:${both.channelId}`, "close");
    await talk(await channelOfPage(both.page, both.peer, "theirs"), "after");
    await talk(await channelOfOurs(both.peer, both.page, "ours"), "after");
  });

  test(`our dead socket is replaced: a durable channel is there again (${names})`, async (t) => {
    const both = await pair(stage.room(t), { names, durable: true });
    await stage.server.fault("mute", { peerId: both.peer.id });
    await both.peer.call("peer.reconnectNow");
    await both.peer.nextOf("peer", "state-change", isState("reconnecting"));
    await both.peer.nextOf("peer", "state-change", isState("joined"));
    const { id } = await both.page.next(`remote:${both.peer.id}`, "data-channel");
    await talk({ ...both, id }, "after");
  });

  test(`both sockets drop and a page that opens a channel to whom it sees is heard (${names})`, async (t) => {
    const room = stage.room(t);
    const peer = await room.ours(names[1]);
    const page = await room.page(names[0], { autoChannel: "chat" });
    const { channelId } = await peer.nextOf(`remote:${page.id}`, "data-channel");
    await talk({ page, id: `${peer.id}/chat`, peer, channelId }, "before");
    await Promise.all([page.id, peer.id].map((peerId) => stage.server.fault("drop", { peerId })));
    // Who saw whom leave is a matter of luck; the last channel that the page opens is the one that carries.
    const answered = page.hears(`${peer.id}/chat`, "after");
    const answer = async () => {
      for (;;) {
        const again = await peer.nextOf(`remote:${page.id}`, "data-channel");
        await peer.call("channel.send", { channelId: again.channelId, text: "after" });
      }
    };
    await Promise.race([answered, answer()]);
  });
}

test("a page that vanishes without goodbye leaves our room", async (t) => {
  const both = await pair(stage.room(t));
  await both.page.stop();
  assert.equal((await both.peer.nextOf("peer", "peer-left")).peer.id, both.page.id);
  await both.peer.nextOf(`channel:${both.channelId}`, "close");
  assert.deepEqual(await both.peer.call("peer.remotePeers"), []);
});

test("ours is killed without goodbye and leaves the page's room", async (t) => {
  const both = await pair(stage.room(t));
  both.peer.kill();
  assert.equal((await both.page.next("peer", "peer-left")).id, both.peer.id);
});

test("a page under the id of one that vanished is met anew", async (t) => {
  const room = stage.room(t);
  const both = await pair(room);
  await both.page.stop();
  await both.peer.nextOf("peer", "peer-left");
  const page = await room.page("page");
  await both.peer.nextOf("peer", "peer-joined");
  await page.next("peer", "peer-joined");
  await talk(await channelOfPage(page, both.peer, "chat"), "again");
});
