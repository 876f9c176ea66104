// What ffmpeg makes of a recording.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";

const [WIDTH, HEIGHT, BITS, BOX, RATE] = [320, 180, 7, 16, 48_000];
// Annex B has no times, and the null muxer rounds those of others; ffmpeg says so.
const HARMLESS = ["deprecated pixel format", "dts to muxer", "non monotonically increasing dts", "Timestamps are unset", "Estimating duration"];
const LIMITS = { timeout: 30_000, maxBuffer: 256 * 1024 * 1024, encoding: "buffer" };

/** A file, decoded whole and without a complaint. */
async function decoded(file, ...output) {
  const args = ["-nostdin", "-v", "warning", "-xerror", "-i", file, ...output, "-"];
  const { out, said } = await new Promise((resolve, reject) => {
    execFile("ffmpeg", args, LIMITS, (error, out, said) => (error ? reject(error) : resolve({ out, said: `${said}` })));
  });
  const lines = said.split("\n").filter((line) => line.trim() && !HARMLESS.some((words) => line.includes(words)));
  assert.deepEqual(lines, [], file);
  return out;
}

/** Writes two seconds of a test picture, H.264 of this profile, with a key frame every second. */
export async function encoded(file, profile) {
  const picture = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-t", "2", "-pix_fmt", "yuv420p"];
  const codec = ["-c:v", "libx264", "-profile:v", profile, "-bf", "0", "-g", "25"];
  await new Promise((resolve, reject) => {
    execFile("ffmpeg", ["-nostdin", "-v", "error", ...picture, ...codec, file], LIMITS, (error) => (error ? reject(error) : resolve()));
  });
}

/** The numbers that its pictures show. */
export async function counted(file) {
  const gray = await decoded(file, "-f", "rawvideo", "-pix_fmt", "gray", "-s", `${WIDTH}x${HEIGHT}`, "-fps_mode", "passthrough");
  const size = WIDTH * HEIGHT;
  assert.equal(gray.length % size, 0);
  return Array.from({ length: gray.length / size }, (_, n) => {
    let number = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const [x, y] = [WIDTH - BOX * bit - BOX / 2, HEIGHT - BOX / 2];
      number |= Number(gray[n * size + y * WIDTH + x] > 128) << bit;
    }
    return number;
  });
}

/** Its sound, as mono PCM at 48 kHz. */
export async function heard(file) {
  const bytes = await decoded(file, "-f", "f32le", "-ac", "1", "-ar", `${RATE}`);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length - (bytes.length % 4)));
}

/** How much of the energy is at a frequency, from 0 to 1 (Goertzel). */
export function toneShare(pcm, hz) {
  const [sine, cosine, energy] = pcm.reduce(
    ([sine, cosine, energy], sample, n) => {
      const angle = (2 * Math.PI * hz * n) / RATE;
      return [sine + sample * Math.sin(angle), cosine + sample * Math.cos(angle), energy + sample * sample];
    },
    [0, 0, 0],
  );
  return energy === 0 ? 0 : (2 * (sine * sine + cosine * cosine)) / (pcm.length * energy);
}
