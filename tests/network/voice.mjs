// What a voice is to a codec: pitch that moves, vowels that change, and pauses; coded so that each packet has a copy of
// the one before it, as our encoder does where it expects losses.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { scratch } from "./turn.mjs";

const [RATE, SECONDS, SYLLABLE] = [16_000, 8, 0.25];
// The first three formants of a, i, u, e and o, in Hz.
const VOWELS = [[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]];
const WIDTHS = [80, 110, 160];

/** A resonance at a frequency, so many Hz wide. */
function resonance() {
  let [last, before] = [0, 0];
  return (sample, hz, width) => {
    const r = Math.exp((-Math.PI * width) / RATE);
    const now = (1 - r) * sample + 2 * r * Math.cos((2 * Math.PI * hz) / RATE) * last - r * r * before;
    [before, last] = [last, now];
    return now;
  };
}

function pcm() {
  const throat = WIDTHS.map(resonance);
  const out = new Float32Array(RATE * SECONDS);
  let phase = 0;
  for (let n = 0; n < out.length; n += 1) {
    const [at, t] = [n / RATE, (n / RATE / SYLLABLE) % 1];
    const syllable = Math.floor(at / SYLLABLE);
    phase += (120 + 25 * Math.sin(2 * Math.PI * 0.4 * at) + 10 * Math.sin(Math.PI * t)) / RATE;
    const pulse = phase >= 1 ? 1 : 0;
    phase %= 1;
    // Every sixth syllable is a breath.
    const loud = syllable % 6 === 5 ? 0 : Math.sin(Math.PI * Math.min(1, t * 1.15)) ** 0.5;
    const vowel = VOWELS[(syllable * 3) % VOWELS.length];
    out[n] = loud * throat.reduce((sum, ring, which) => sum + ring(pulse, vowel[which], WIDTHS[which]), 0);
  }
  const peak = out.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return Buffer.from(out.map((sample) => (0.5 * sample) / peak).buffer);
}

/** A file of it, in Opus. */
export function voice() {
  const file = join(scratch(), "voice.ogg");
  const input = ["-f", "f32le", "-ar", `${RATE}`, "-ac", "1", "-i", "-"];
  const codec = ["-c:a", "libopus", "-application", "voip", "-b:a", "32k", "-frame_duration", "20", "-fec", "1", "-packet_loss", "10"];
  execFileSync("ffmpeg", ["-v", "error", ...input, ...codec, file], { input: pcm() });
  return file;
}
