// One member of the room: picture, sound, and what the browser measures of them once a second.

const SILENCE_DB = -127;

function element(name, className, parent) {
  const made = Object.assign(document.createElement(name), { className });
  parent.append(made);
  return made;
}

export class Tile {
  #stream = new MediaStream();
  #last = new Map();
  #timer;

  constructor(parent, name, { muted = false } = {}) {
    this.element = element("figure", "tile", parent);
    this.element.dataset.peer = name;
    this.video = element("video", "", this.element);
    Object.assign(this.video, { autoplay: true, playsInline: true, muted, srcObject: this.#stream });
    const caption = element("figcaption", "", this.element);
    const who = element("div", "who", caption);
    this.title = element("span", "", who);
    this.status = element("span", "status", who);
    this.figures = element("div", "figures", caption);
    if (!muted) this.meter = Object.assign(element("meter", "", caption), { min: -60, max: 0, value: -60, title: "audio level in dB" });
    this.name(name);
  }

  name(name) {
    this.title.textContent = this.title.title = name;
  }

  state(state) {
    this.status.textContent = this.status.dataset.state = state;
  }

  add(track) {
    for (const old of this.#stream.getTracks()) if (old.kind === track.kind) this.#stream.removeTrack(old);
    this.#stream.addTrack(track);
    // An element that waited for its first track must be told to go on.
    this.video.play().catch(() => {});
  }

  remove(track) {
    this.#stream.removeTrack(track);
  }

  /** Shows the figures of a connection, which may be another one after a while. */
  watch(connection) {
    this.#timer = setInterval(async () => {
      try {
        this.#figures([...(await connection().getStats()).values()]);
      } catch {
        this.figures.textContent = "no connection";
      }
    }, 1000);
  }

  #figures(report) {
    const words = [];
    const codec = (id) => report.find((entry) => entry.id === id)?.mimeType?.split("/")[1] ?? "";
    const incoming = report.filter(({ type }) => type === "inbound-rtp");
    const video = incoming.find(({ kind, framesDecoded }) => kind === "video" && framesDecoded);
    const audio = incoming.find(({ kind, packetsReceived }) => kind === "audio" && packetsReceived);
    if (video) {
      const { frameWidth, frameHeight, framesDecoded, codecId } = video;
      words.push(`${frameWidth}×${frameHeight} ${codec(codecId)}`, `${Math.round(this.#rate(video, "framesDecoded"))} fps`);
      words.push(`${framesDecoded} frames`, `${Math.round(this.#rate(video, "bytesReceived") / 125)} kbit/s`);
      Object.assign(this.element.dataset, { frames: framesDecoded, size: `${frameWidth}x${frameHeight}`, codec: codec(codecId) });
    }
    if (audio) {
      const level = this.#level(audio);
      words.push(level > SILENCE_DB ? `${level.toFixed(0)} dB` : "silent");
      this.meter.value = level;
      this.element.dataset.level = level;
    }
    this.figures.textContent = words.join(" · ") || "nothing comes";
    this.#last = new Map(incoming.map((entry) => [entry.id, entry]));
  }

  /** A counter's growth in a second. */
  #rate(entry, counter) {
    const before = this.#last.get(entry.id);
    if (!before) return 0;
    return ((entry[counter] - before[counter]) * 1000) / Math.max(entry.timestamp - before.timestamp, 1);
  }

  /** The level since the last look (webrtc-stats, totalAudioEnergy); Chromium sums up the peaks. */
  #level(audio) {
    const before = this.#last.get(audio.id);
    const energy = audio.totalAudioEnergy - (before?.totalAudioEnergy ?? 0);
    const seconds = audio.totalSamplesDuration - (before?.totalSamplesDuration ?? 0);
    return energy > 0 && seconds > 0 ? Math.max(10 * Math.log10(energy / seconds), SILENCE_DB) : SILENCE_DB;
  }

  close() {
    clearInterval(this.#timer);
    this.video.srcObject = null;
    this.element.remove();
  }
}
