// What libwebrtc in Node can do of our figures, both ends in this process, as one line of JSON:
// `node wrtc.mjs FIGURE`. The same numbers as src/. Its pictures always go through an encoder and a decoder, so
// there is sound alone.

import wrtc from "@roamhq/wrtc";

const RATE = 48_000;
const CHUNK_MS = 10;
const CHUNK = (RATE * CHUNK_MS) / 1_000;
// A sweep of 80 ms every half second.
const PERIOD = 24_000;
const SWEEP = 3_840;
const LONGEST = RATE * 0.4;
const LIKE = 0.7;
const SETTLE_MS = 5_000;
const WATCH_MS = 20_000;
const PATIENCE_MS = 120_000;

const [figure] = process.argv.slice(2);
const { RTCAudioSource, RTCAudioSink } = wrtc.nonstandard;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percentile = (times, percent) => times.sort((a, b) => a - b)[Math.floor(((times.length - 1) * percent) / 100)];

const sweep = Float32Array.from({ length: SWEEP }, (_, n) => {
  const t = n / RATE;
  const phase = 2 * Math.PI * (300 * t + (2_700 * t * t) / (2 * (SWEEP / RATE)));
  return 0.5 * Math.sin(phase) * Math.sin((Math.PI * n) / SWEEP);
});

// Made once: what is measured is not the sine.
const period = Int16Array.from({ length: PERIOD }, (_, n) => {
  const hum = 0.01 * Math.sin((2 * Math.PI * 150 * n) / RATE);
  return Math.round(32_767 * (hum + (sweep[n] ?? 0)));
});

/** Writes a sweep every half second and a soft hum between, in chunks of 10 ms. */
class Voice {
  source = new RTCAudioSource();
  track = this.source.createTrack();
  written = [];
  #position = 0;
  #began = performance.now();

  constructor() {
    this.timer = setInterval(() => {
      while (performance.now() - this.#began >= this.written.length * CHUNK_MS) this.#write();
    }, 2);
  }

  #write() {
    const samples = new Int16Array(CHUNK);
    samples.set(period.subarray(this.#position, this.#position + CHUNK));
    this.#position = (this.#position + CHUNK) % PERIOD;
    this.written.push(performance.now());
    this.source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: CHUNK });
  }

  stop() {
    clearInterval(this.timer);
  }
}

/** Two ends; each that is given a track sends it. Answers with what comes to each. */
async function pair(tracks) {
  const ends = [new wrtc.RTCPeerConnection(), new wrtc.RTCPeerConnection()];
  const heard = [];
  for (const [n, from] of ends.entries()) {
    const to = ends[1 - n];
    const early = [];
    const add = (candidate) => to.addIceCandidate(candidate).catch(() => {});
    from.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      if (to.remoteDescription) add(candidate);
      else early.push(candidate);
    };
    to.release = () => early.splice(0).forEach(add);
    if (tracks[n]) from.addTrack(tracks[n], new wrtc.MediaStream([tracks[n]]));
    if (tracks[1 - n]) heard.push(new Promise((resolve) => (from.ontrack = ({ track }) => resolve(track))));
  }
  const [one, two] = ends;
  const offer = await one.createOffer();
  await one.setLocalDescription(offer);
  await two.setRemoteDescription(offer);
  two.release();
  const answer = await two.createAnswer();
  await two.setLocalDescription(answer);
  await one.setRemoteDescription(answer);
  one.release();
  return { tracks: await Promise.all(heard), close: () => ends.forEach((end) => end.close()) };
}

async function cpu() {
  const voices = [new Voice(), new Voice()];
  const call = await pair(voices.map(({ track }) => track));
  const sinks = call.tracks.map((track) => {
    const sink = new RTCAudioSink(track);
    sink.ondata = () => {};
    return sink;
  });
  await sleep(SETTLE_MS);
  const cpu = process.cpuUsage();
  await sleep(WATCH_MS);
  const { user, system } = process.cpuUsage(cpu);
  sinks.forEach((sink) => sink.stop());
  voices.forEach((voice) => voice.stop());
  call.close();
  return { cpuSound: ((user + system) / 1e3 / WATCH_MS / 2) * 100 };
}

const energy = (part) => part.reduce((sum, sample) => sum + sample * sample, 0);

/** Where the sweep is in a stretch of sound, if it is. */
function find(part) {
  let [found, best] = [-1, 0];
  const own = energy(sweep);
  for (let at = 0; at + SWEEP <= part.length; at += 1) {
    let [product, there] = [0, 0];
    for (let n = 0; n < SWEEP; n += 1) {
      product += part[at + n] * sweep[n];
      there += part[at + n] * part[at + n];
    }
    const like = product / Math.sqrt(Math.max(own * there, Number.MIN_VALUE));
    if (like > best) [found, best] = [at, like];
  }
  return best >= LIKE ? found : undefined;
}

async function sound() {
  const voice = new Voice();
  const call = await pair([voice.track]);
  const sink = new RTCAudioSink(call.tracks[0]);
  const [heard, chunks] = [[], []];
  let rate = RATE;
  sink.ondata = ({ samples, sampleRate, channelCount }) => {
    rate = sampleRate;
    heard.push(performance.now());
    chunks.push(Float32Array.from({ length: samples.length / channelCount }, (_, n) => samples[n * channelCount] / 32_768));
  };
  await sleep(SETTLE_MS);
  heard.length = chunks.length = 0;
  await sleep(WATCH_MS);
  sink.stop();
  voice.stop();
  call.close();
  if (rate !== RATE || chunks.some(({ length }) => length !== CHUNK)) throw new Error(`sound in another shape: ${rate}`);
  const pcm = new Float32Array(chunks.length * CHUNK);
  chunks.forEach((chunk, n) => pcm.set(chunk, n * CHUNK));
  const delays = [];
  for (let start = 0; start < voice.written.length * CHUNK; start += PERIOD) {
    const wrote = voice.written[start / CHUNK];
    const first = heard.findIndex((time) => time >= wrote) - 1;
    if (first < 0) continue;
    const part = pcm.subarray(first * CHUNK, first * CHUNK + CHUNK + LONGEST + SWEEP);
    if (part.length < CHUNK + LONGEST + SWEEP) continue;
    const found = find(part);
    if (found === undefined) continue;
    const sample = first * CHUNK + found;
    delays.push(heard[Math.floor(sample / CHUNK)] + ((sample % CHUNK) * 1e3) / RATE - wrote);
  }
  if (delays.length < (WATCH_MS / 500) * 0.9) throw new Error(`${delays.length} sweeps were heard`);
  return { soundMs: percentile(delays, 50), soundP95Ms: percentile(delays, 95) };
}

setTimeout(() => {
  console.error(`${figure}: not within ${PATIENCE_MS} ms`);
  process.exit(1);
}, PATIENCE_MS).unref();
console.log(JSON.stringify(await { cpu, sound }[figure]()));
// Its threads would outlive the script.
process.exit(0);
