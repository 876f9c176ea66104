// Runs in the page: the official SDK's peer. `bench` is called by browser.mjs.

import { MeteredPeer } from "/sdk.mjs";

let peer;
const fresh = (url) => (peer = new MeteredPeer({ url, apiKey: "pk_live_dev" }));

window.bench = {
  /** Joins and stays, so that somebody can meet us. */
  wait: (url, room) => fresh(url).join(room),

  /** Milliseconds from `join` to an open channel to whoever is there already. */
  async join(url, room) {
    fresh(url);
    const began = performance.now();
    const open = new Promise((resolve) => {
      peer.on("peer-joined", ({ peer: remote }) => {
        const channel = remote.pc.createDataChannel("bench");
        channel.onopen = () => resolve(performance.now() - began);
      });
    });
    await peer.join(room);
    return open;
  },

  leave: () => peer.close(),
};
