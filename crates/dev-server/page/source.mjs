// What the page sends: the camera and microphone, or a picture that moves and a tone.

const [WIDTH, HEIGHT, FPS, TONE_HZ] = [640, 360, 25, 440];

export async function open(source) {
  if (source === "nothing") return { words: "You send nothing." };
  if (source === "pattern") return { stream: pattern(), words: `You send a test pattern and a tone of ${TONE_HZ} Hz.` };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: WIDTH, height: HEIGHT } });
    return { stream, words: "You send camera and microphone." };
  } catch (error) {
    // Plain HTTP from another machine has no mediaDevices at all.
    const reason = navigator.mediaDevices ? error.message : "the browser gives them to secure pages only";
    return { stream: pattern(), words: `No camera and microphone (${reason}): you send a test pattern and a tone.` };
  }
}

function pattern() {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const pen = canvas.getContext("2d");
  const stream = canvas.captureStream(FPS);
  let frame = 0;
  const drawing = setInterval(() => {
    if (stream.getTracks().every((track) => track.readyState === "ended")) {
      clearInterval(drawing);
      context.close();
      return;
    }
    for (let bar = 0; bar < 8; bar += 1) {
      pen.fillStyle = `hsl(${(bar * 45 + frame) % 360} 70% 45%)`;
      pen.fillRect((bar * WIDTH) / 8, 0, WIDTH / 8, HEIGHT);
    }
    pen.fillStyle = "#000b";
    pen.fillRect(0, HEIGHT - 70, WIDTH, 70);
    pen.fillStyle = "#fff";
    pen.font = "bold 40px ui-monospace, monospace";
    pen.fillText(String(frame).padStart(6, "0"), 24, HEIGHT - 22);
    pen.fillRect(((frame * 8) % (WIDTH + 80)) - 80, HEIGHT - 78, 80, 8);
    frame += 1;
  }, 1000 / FPS);
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: TONE_HZ });
  const quiet = new GainNode(context, { gain: 0.25 });
  const out = context.createMediaStreamDestination();
  tone.connect(quiet).connect(out);
  tone.start();
  stream.addTrack(out.stream.getAudioTracks()[0]);
  return stream;
}
