// A picture that counts, as the clips of `tools/clips` do, and a tone: what a page sends, and how it reads what it
// gets. The number is in binary in a row of boxes along the lower edge, the lowest bit on the right.

const [WIDTH, HEIGHT, FPS, BITS, BOX] = [320, 180, 25, 7, 16];

/** A stream that counts to 127, again and again, from `first` on. */
export function counter(first = 0) {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const pen = canvas.getContext("2d");
  const stream = canvas.captureStream(FPS);
  const [track] = stream.getVideoTracks();
  // A browser that is short of time shall leave pictures out, and not make them smaller.
  track.contentHint = "detail";
  let number = first;
  const draw = () => {
    if (track.readyState === "ended") return clearInterval(drawing);
    for (let bar = 0; bar < 8; bar += 1) {
      pen.fillStyle = `hsl(${bar * 45 + number * 3} 60% 40%)`;
      pen.fillRect((bar * WIDTH) / 8, 0, WIDTH / 8, HEIGHT);
    }
    for (let bit = 0; bit < WIDTH / BOX; bit += 1) {
      pen.fillStyle = bit < BITS && (number >> bit) & 1 ? "#fff" : "#000";
      pen.fillRect(WIDTH - BOX * (bit + 1), HEIGHT - BOX, BOX, BOX);
    }
    number = (number + 1) % (1 << BITS);
  };
  const drawing = setInterval(draw, 1000 / FPS);
  draw();
  return stream;
}

/** A tone of a quarter of full scale; in a Firefox, which runs no AudioContext without a sound card, its microphone's. */
export async function tone(hz) {
  if (navigator.userAgent.includes("Firefox/")) return microphone();
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const oscillator = new OscillatorNode(context, { frequency: hz });
  oscillator.connect(new GainNode(context, { gain: 0.25 })).connect(out);
  oscillator.start();
  return out.stream.getAudioTracks()[0];
}

/** The fake one, whose pitch is a preference of the browser. */
async function microphone() {
  const audio = { autoGainControl: false, echoCancellation: false, noiseSuppression: false };
  return (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks()[0];
}

/** What a video element shows, read as a counter that was turned clockwise by so much before it was shown. */
export function read(video, degrees) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width) return undefined;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  let number = 0;
  for (let bit = 0; bit < BITS; bit += 1) {
    const [x, y] = [WIDTH - BOX * bit - BOX / 2, HEIGHT - BOX / 2];
    const at = { 0: [x, y], 90: [HEIGHT - y, x], 180: [WIDTH - x, HEIGHT - y], 270: [y, WIDTH - x] }[degrees];
    const light = data[4 * (at[1] * width + at[0]) + 1];
    number |= Number(light > 128) << bit;
  }
  return { width, height, number };
}
