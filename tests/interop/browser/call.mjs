// A call between a page and our peer, and what each side tells of it.

import assert from "node:assert/strict";
import { until } from "./support.mjs";

// Every browser has VP8 and H.264 (RFC 7742 section 5): a build without them shall leave no test out unseen.
const OPTIONAL = ["VP9", "AV1"];

export const pattern = (codec, more = {}) => ({ kind: "video", source: { testPattern: { codec }, ...more } });
export const toneOf = (hz) => ({ kind: "audio", source: { tone: { hz } } });

/** Whether the page's browser has a codec in this direction; fails where it must. */
export async function hasCodec(page, direction, codec) {
  const codecs = await page.do("codecs", direction);
  const found = codecs.includes(`video/${codec}`);
  assert.ok(found || OPTIONAL.includes(codec), `${direction} has but ${codecs}`);
  return found;
}

/** Both in a room. */
export async function inCall(room) {
  const peer = await room.ours("ours");
  const page = await room.page("page");
  await page.next("peer", "peer-joined");
  await peer.nextOf("peer", "peer-joined");
  return { room, peer, page, theirs: `remote:${page.id}` };
}

/** Takes part in the page's two tracks: their ids. */
export async function tracks(peer, theirs) {
  const found = {};
  while (!found.video || !found.audio) {
    const { kind, trackId } = await peer.nextOf(theirs, "track");
    found[kind] = trackId;
  }
  return found;
}

/** Until so many pictures or packets came. */
export async function received(peer, trackId, frames) {
  let stats = { framesReceived: 0 };
  while (stats.framesReceived < frames) stats = await peer.nextOf(`track:${trackId}`, "stats");
  return stats;
}

// What leaves before we have the keys is lost, to whoever receives: on a busy machine that were 160 ms, so half a second
// may be: at 25 pictures and 50 packets of sound a second.
const AT_THE_START = { pictures: 13, packets: 25 };

/**
 * Ends the page's media when all of it has left, and answers the recordings: of what the page sent nothing is missing but
 * at the start. What it never sent, because it was short of time, is its own matter.
 */
export async function recordedWhole(t, { peer, page }, { video, audio }) {
  const sent = await page.do("still");
  const { tracks } = await peer.call("remote.stats", { peerId: page.id });
  await page.do("removeMedia");
  const picture = await peer.nextOf(`track:${video}`, "recorded");
  const sound = await peer.nextOf(`track:${audio}`, "recorded");
  const [seen, heard] = [video, audio].map((id) => tracks.find(({ trackId, direction }) => trackId === id && direction === "inbound"));
  const told = `sent ${JSON.stringify(sent)}, recorded ${picture.frames} pictures and ${sound.frames} packets of sound`;
  t.diagnostic(told);
  assert.deepEqual([seen.packetsLost, heard.packetsLost], [0, 0], told);
  assert.deepEqual([picture.frames, sound.frames], [seen.frames, heard.packets], told);
  const missing = { pictures: sent.video.frames - picture.frames, packets: sent.audio.packets - sound.frames };
  // If its first key frame came to us there was no other, and we began with it. Firefox counts them not, and of all
  // pictures once one fewer than came.
  const counts = sent.video.keyFrames !== undefined;
  const most = sent.video.keyFrames === 1 ? 0 : AT_THE_START.pictures;
  assert.ok(missing.pictures >= (counts ? 0 : -1) && missing.pictures <= most, told);
  assert.ok(missing.packets >= 0 && missing.packets <= AT_THE_START.packets, told);
  return { picture, sound };
}

/** Until it is so loud, or so quiet. */
export const level = (peer, trackId, fits) => peer.nextOf(`track:${trackId}`, "stats", ({ levelDbfs }) => fits(levelDbfs));

/** Pictures of the first track that the page has decoded. */
export const frames = async (page) => (await page.do("decoded"))[0]?.frames ?? 0;

export async function more(page, what) {
  const before = await frames(page);
  await until(what, async () => (await frames(page)) >= before + 20);
}

/** The highest level that the page hears. */
export const loudest = async (page) => Math.max(-100, ...(await page.do("heard")));

/** Both send a picture and a sound, mute both, and go on; ours hears the page's at so many dBFS or more. */
export async function bothMute({ peer, page, theirs }, least) {
  const ours = [toneOf(440), pattern("vp8")];
  const { trackIds } = await peer.call("peer.addStream", { streamId: "call", tracks: ours });
  await page.do("addPattern");
  const { video, audio } = await tracks(peer, theirs);
  const loud = async () => {
    await until("it is loud", async () => (await loudest(page)) > -16);
    await more(page, "pictures are decoded");
  };
  await loud();
  for (const trackId of trackIds) await peer.call("peer.muteTrack", { trackId, muted: true });
  await until("it is silent", async () => (await loudest(page)) < -60);
  await until("pictures stand still", async () => {
    const before = await frames(page);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await frames(page)) === before;
  });
  for (const trackId of trackIds) await peer.call("peer.muteTrack", { trackId, muted: false });
  await loud();

  await level(peer, audio, (dbfs) => dbfs > least);
  for (const kind of ["audio", "video"]) await page.do("mute", kind, true);
  await level(peer, audio, (dbfs) => dbfs < -60);
  for (const kind of ["audio", "video"]) await page.do("mute", kind, false);
  await level(peer, audio, (dbfs) => dbfs > least);
  const { framesReceived } = await received(peer, video, 1);
  await received(peer, video, framesReceived + 20);
}
