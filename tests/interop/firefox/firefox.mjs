// Debian's Firefox without a screen, by WebDriver BiDi: no geckodriver, no build of a browser from elsewhere.

import puppeteer from "puppeteer-core";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** The pitch of the fake microphone. */
export const TONE_HZ = 440;

/** Updates and telemetry are switched off by puppeteer; these are for calls. */
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.navigator.audio.fake_frequency": TONE_HZ,
  "media.autoplay.default": 0,
  // After a lost WebSocket Firefox waits before it makes another to the same host, longer each time: these tests cut many.
  "network.websocket.delay-failed-reconnects": false,
  // Both sides are on this machine, which may have no other network.
  "media.peerconnection.ice.loopback": true,
};

/** Firefox, in the shape that `Stage` wants. */
export async function firefox({ hideLocalAddresses }) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    extraPrefsFirefox: {
      ...PREFERENCES,
      "media.peerconnection.ice.obfuscate_host_addresses": hideLocalAddresses,
    },
  });
  return {
    // In a window of its own: a tab in the background has a timer once a second, and would draw as slowly.
    newPage: () => browser.newPage({ type: "window" }),
    close: () => browser.close(),
  };
}
