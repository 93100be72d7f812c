// The made test picture and its sound: every second on the second, a white flash and a beep of 100 ms, together.

const FLASH_MS = 100;

/**
 * @param {{ uid: string, cname: string, width: number, height: number, fps: number, hue: number, tone: number, grain:
 * boolean }} options
 * @returns {Promise<{ stream: MediaStream, stop(): void }>}
 */
export async function startTestSource(options) {
  const { width, height, fps } = options;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext('2d', { alpha: false });
  // A rate of 0 hands over a picture only when asked to: each drawn one exactly once.
  const stream = canvas.captureStream(0);
  const [video] = stream.getVideoTracks();
  const grain = options.grain ? makeGrain() : undefined;
  const ticker = new Worker(new URL('./ticker.js', import.meta.url));
  ticker.onmessage = ({ data: dueMs }) => {
    draw(pen, options, dueMs, grain);
    video.requestFrame();
  };
  ticker.postMessage({ fps });

  const sound = await startBeeps(options.tone);
  stream.addTrack(sound.track);
  return {
    stream,
    stop() {
      ticker.postMessage({ stop: true });
      sound.stop();
      for (const track of stream.getTracks()) track.stop();
    },
  };
}

function draw(pen, { uid, cname, width, height, hue }, atMs, grain) {
  const inSecond = ((atMs % 1000) + 1000) % 1000;
  if (inSecond < FLASH_MS) {
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, width, height);
    return;
  }
  pen.fillStyle = `hsl(${hue} 65% 38%)`;
  pen.fillRect(0, 0, width, height);
  if (grain) {
    for (let x = 0; x < width; x += grain.width)
      for (let y = 0; y < height; y += grain.height)
        pen.drawImage(grain, x - Math.random() * 64, y - Math.random() * 64);
  }
  // A bar that crosses the picture once in two seconds shows dropped and repeated pictures.
  const at = ((atMs % 2000) / 2000) * width;
  pen.fillStyle = `hsl(${hue} 70% 62%)`;
  pen.fillRect(at - width / 40, height * 0.86, width / 20, height * 0.14);

  const unit = Math.min(width, height * 1.6) / 100;
  pen.fillStyle = '#fff';
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.font = `700 ${unit * 20}px system-ui, sans-serif`;
  pen.fillText(uid, width / 2, height * 0.34, width * 0.9);
  pen.font = `400 ${unit * 6}px system-ui, sans-serif`;
  pen.fillText(cname, width / 2, height * 0.54, width * 0.9);
  pen.font = `500 ${unit * 8}px ui-monospace, monospace`;
  pen.fillText(new Date(atMs).toISOString().slice(11, 23), width / 2, height * 0.7, width * 0.9);
}

/** A tile of noise. Moved about at random, it is what no encoder can predict: it brings any bitrate to its limit. */
function makeGrain() {
  const tile = document.createElement('canvas');
  tile.width = 512;
  tile.height = 512;
  const pen = tile.getContext('2d');
  const image = pen.createImageData(tile.width, tile.height);
  for (let at = 0; at < image.data.length; at += 4) {
    image.data.fill(Math.random() * 255, at, at + 3);
    image.data[at + 3] = 70;
  }
  pen.putImageData(image, 0, 0);
  return tile;
}

async function startBeeps(toneHz) {
  const audio = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' });
  // Without a gesture some browsers keep sound suspended; the caller's click, or the test's flags, allow it.
  await audio.resume();
  const oscillator = new OscillatorNode(audio, { frequency: toneHz });
  const gate = new GainNode(audio, { gain: 0 });
  const out = new MediaStreamAudioDestinationNode(audio, { channelCount: 1 });
  oscillator.connect(gate).connect(out);
  oscillator.start();

  // The audio clock moves in steps, always behind the truth: the highest of many readings is the nearest to it.
  const offsets = [];
  let nextSecond = Math.ceil(Date.now() / 1000) * 1000;
  const timer = setInterval(() => {
    offsets.push(audio.currentTime - Date.now() / 1000);
    if (offsets.length > 40) offsets.shift();
    const offset = Math.max(...offsets);
    const now = Date.now();
    if (nextSecond <= now) nextSecond = Math.ceil((now + 1) / 1000) * 1000;
    if (nextSecond - now > 150) return;
    const from = nextSecond / 1000 + offset;
    const until = from + FLASH_MS / 1000;
    gate.gain.setValueAtTime(0, from);
    // 2 ms of ramp: a switched sine clicks.
    gate.gain.linearRampToValueAtTime(0.4, from + 0.002);
    gate.gain.setValueAtTime(0.4, until - 0.002);
    gate.gain.linearRampToValueAtTime(0, until);
    nextSecond += 1000;
  }, 25);
  const [track] = out.stream.getAudioTracks();
  return {
    track,
    stop() {
      clearInterval(timer);
      audio.close();
    },
  };
}
