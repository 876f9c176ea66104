// What a data channel carries over a relay between two pages in Chromium: `node relay.mjs ICE_SERVER`.
//
// Prints one line of JSON, megabytes per second by message size. Offer and answer carry all candidates.

import { chromium } from "playwright-core";

const BYTES = 64 * 1024 * 1024;
const SIZES = { 16: 16_384, 64: 65_536 };
const [iceServer] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});

/** Functions of a page: `relay` is called from here. */
function install([server, bytes]) {
  const pc = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" });
  const gathered = () =>
    new Promise((resolve) => {
      const look = () => pc.iceGatheringState === "complete" && resolve(pc.localDescription.toJSON());
      pc.addEventListener("icegatheringstatechange", look);
      look();
    });
  let channel;
  let arrived;
  window.relay = {
    async offer() {
      channel = pc.createDataChannel("bench");
      await pc.setLocalDescription();
      return gathered();
    },
    async answer(offer) {
      arrived = new Promise((resolve) => {
        pc.ondatachannel = ({ channel: incoming }) => {
          let received = 0;
          incoming.binaryType = "arraybuffer";
          incoming.onmessage = ({ data }) => {
            received += data.byteLength;
            if (received >= bytes) resolve();
          };
        };
      });
      await pc.setRemoteDescription(offer);
      await pc.setLocalDescription();
      return gathered();
    },
    accept: (answer) => pc.setRemoteDescription(answer),
    open: () => new Promise((resolve) => (channel.readyState === "open" ? resolve() : (channel.onopen = resolve))),
    async send(size) {
      const payload = new Uint8Array(size);
      channel.bufferedAmountLowThreshold = 524_288;
      for (let sent = 0; sent < bytes; sent += size) {
        if (channel.bufferedAmount + size > 1_048_576) {
          await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
        }
        channel.send(payload);
      }
    },
    arrived: () => arrived,
  };
}

async function page() {
  const opened = await browser.newPage();
  await opened.evaluate(install, [JSON.parse(iceServer), BYTES]);
  return (name, argument) => opened.evaluate(([name, argument]) => window.relay[name](argument), [name, argument]);
}

const figures = {};
for (const [name, size] of Object.entries(SIZES)) {
  const [one, two] = [await page(), await page()];
  await one("accept", await two("answer", await one("offer")));
  await one("open");
  const began = performance.now();
  const arrived = two("arrived");
  await one("send", size);
  await arrived;
  figures[`throughput${name}`] = BYTES / 1e3 / (performance.now() - began);
}
console.log(JSON.stringify(figures));
await browser.close();
