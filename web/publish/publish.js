// Publishes over WHIP. Every field can be given in the address; `autojoin=1` presses Join.
// For tests and consoles: window.aircheckPublisher.
import { startTestSource } from './test-source.js';
import { AGAIN_MS, ATTEMPT_MS, Turns } from './turns.js';

const form = document.getElementById('form');
const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
for (const field of form.elements) if (field.name && query.has(field.name)) field.value = query.get(field.name);

const WORDS = {
  idle: 'Not connected',
  starting: 'Starting…',
  connecting: 'Connecting…',
  connected: 'Connected',
  failed: 'Failed',
  left: 'Left',
};
const GATHER_MS = 1000;
/** The server says something twice a second: after this long without a word the connection is lost. */
const SILENT_MS = 1500;
const LOOK_MS = 250;
/** How often a node of a fleet is asked whether this page should publish at another. */
const ASK_MS = 1000;
/** How long both connections stand when the page moves to another node: until the new one's picture has begun. */
const BOTH_MS = 1000;
/** How long it is tried to connect again. */
const GIVE_UP_MS = 60_000;

let state = 'idle';
let error = '';
/** What is being published now. */
let session;

function show(next, message = '') {
  state = next;
  error = message;
  byId('state').textContent = WORDS[next];
  byId('state').dataset.state = next;
  byId('message').textContent = message;
  byId('message').hidden = message === '';
  const running = ['starting', 'connecting', 'connected'].includes(next);
  byId('join').disabled = running;
  byId('leave').disabled = !running;
  for (const kind of ['audio', 'video']) {
    const button = byId(`mute-${kind}`);
    button.disabled = next !== 'connected';
    if (!running) button.setAttribute('aria-pressed', 'false');
  }
}

/** A number from the uid, so that users differ by sight and by sound. */
function readOptions() {
  const value = (name) => form.elements[name].value.trim();
  const uid = value('uid');
  const number = Number(uid) || 0;
  return {
    appid: value('appid'),
    cname: value('cname'),
    uid,
    token: value('token'),
    source: value('source'),
    codec: value('codec'),
    width: Number(value('width')),
    height: Number(value('height')),
    fps: Number(value('fps')),
    bitrate: Number(value('bitrate')),
    // Multiples of the golden angle lie apart from each other, however many there are.
    hue: Number(query.get('hue') ?? Math.round(number * 137.508) % 360),
    tone: Number(query.get('tone') ?? 600 + (number % 9) * 110),
    grain: query.get('grain') === '1',
    audioCodec: query.get('audioCodec'),
    scalability: query.get('scalability'),
    simulcast: query.get('simulcast') === '1',
  };
}

async function openSource(options) {
  if (options.source === 'test') return startTestSource(options);
  if (!navigator.mediaDevices)
    throw new Error('The browser gives camera and microphone only to pages served over HTTPS or from localhost.');
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: options.width, height: options.height, frameRate: options.fps },
  });
  return {
    stream,
    stop() {
      for (const track of stream.getTracks()) track.stop();
    },
  };
}

/** One, or under simulcast three: the picture whole, halved and quartered. */
function videoEncodings({ bitrate, fps, scalability, simulcast }) {
  const encoding = { maxBitrate: bitrate, maxFramerate: fps };
  if (scalability) encoding.scalabilityMode = scalability;
  if (!simulcast) return [encoding];
  const layer = (rid, by, share) => ({ ...encoding, rid, scaleResolutionDownBy: by, maxBitrate: bitrate / share });
  return [layer('h', 1, 1), layer('m', 2, 4), layer('l', 4, 12)];
}

/** Puts the wanted codec first and leaves the rest out, so that the answer cannot choose another. */
function preferCodec(transceiver, kind, codec) {
  const type = `${kind}/${codec}`.toLowerCase();
  const all = RTCRtpSender.getCapabilities(kind).codecs;
  const wanted = all.filter((c) => c.mimeType.toLowerCase() === type);
  if (wanted.length === 0) throw new Error(`This browser cannot send ${codec.toUpperCase()}.`);
  transceiver.setCodecPreferences(wanted);
}

function gathered(connection) {
  return new Promise((resolve) => {
    const done = () => {
      if (connection.iceGatheringState === 'complete') resolve();
    };
    connection.addEventListener('icegatheringstatechange', done);
    setTimeout(resolve, GATHER_MS);
    done();
  });
}

/** The server does not take the publisher now; it may later, or another node may. */
class Away extends Error {
  /** @param isAnswered whether it said so itself */
  constructor(message, isAnswered) {
    super(message);
    this.isAnswered = isAnswered;
  }
}

/**
 * @param former ids of sessions that this page had: where another publisher has come in their place, that one stays
 * @param base where the server is reached: this page's own address, or another node's
 * @param limitMs how long its answer may take
 */
async function postOffer(options, offer, former, base = document.baseURI, limitMs = ATTEMPT_MS) {
  const path = `whip/${encodeURIComponent(options.appid)}/${encodeURIComponent(options.cname)}`;
  const url = new URL(`${path}?uid=${encodeURIComponent(options.uid)}`, base);
  if (former.length > 0) url.searchParams.set('after', former.slice(-5).join(','));
  const headers = { 'content-type': 'application/sdp' };
  if (options.token) headers.authorization = `Bearer ${options.token}`;
  const request = { method: 'POST', headers, body: offer, signal: AbortSignal.timeout(limitMs) };
  const response = await fetch(url, request).catch((cause) => {
    throw new Away(`The server cannot be reached: ${cause.message}`, false);
  });
  const body = await response.text();
  if (response.status !== 201) {
    let detail = body;
    try {
      detail = JSON.parse(body).detail ?? body;
    } catch {
      // Not from our server, then: a proxy says things in its own way.
    }
    const { cname, uid, token } = options;
    const help = `Fill in a token: aircheck token --channel "${cname}" --uid ${uid} prints one.`;
    const why = response.status === 401 && !token ? `the app has a certificate. ${help}` : detail;
    const message = `The server refused (${response.status}): ${why}`;
    throw response.status >= 500 ? new Away(message, true) : new Error(message);
  }
  return {
    answer: body,
    // A redirect may have led to another node.
    resource: new URL(response.headers.get('location'), response.url),
    nodes: response.headers.get('aircheck-nodes')?.split(' ').filter(Boolean) ?? [],
  };
}

async function join() {
  if (session) return;
  const mine = { options: readOptions(), nodes: [], sessions: [], reconnects: 0, moves: 0 };
  session = mine;
  show('starting');
  try {
    mine.source = await openSource(mine.options);
    requireWanted(mine);
    byId('preview').srcObject = new MediaStream(mine.source.stream.getVideoTracks());
    await connect(mine);
  } catch (cause) {
    void release(mine);
    if (session === mine) void stop('failed', cause.message);
  }
}

function requireWanted(mine) {
  if (session !== mine) throw new DOMException('left', 'AbortError');
}

/** Publishes over a new connection. Resolves once the server has answered, and shows when media can flow. */
async function connect(mine, base, limitMs) {
  const { options, source } = mine;
  const connection = new RTCPeerConnection();
  mine.connection = connection;
  for (const track of source.stream.getTracks()) {
    const sending = { direction: 'sendonly', streams: [source.stream] };
    if (track.kind === 'video') sending.sendEncodings = videoEncodings(options);
    const transceiver = connection.addTransceiver(track, sending);
    const codec = track.kind === 'video' ? options.codec : options.audioCodec;
    if (codec) preferCodec(transceiver, track.kind, codec);
  }
  connection.addEventListener('connectionstatechange', () => {
    if (session !== mine || mine.connection !== connection) return;
    if (connection.connectionState === 'connected') {
      mine.heard = { bytes: 0, at: performance.now() };
      show('connected');
    }
    if (['failed', 'closed'].includes(connection.connectionState)) void reconnect(mine);
    if (connection.connectionState === 'disconnected') show('connecting', 'The server does not answer at the moment.');
  });
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  requireWanted(mine);
  show('connecting');
  const { answer, resource, nodes } = await postOffer(
    options,
    connection.localDescription.sdp,
    mine.sessions,
    base,
    limitMs,
  );
  mine.resource = resource;
  // Behind the id stands the node, in a fleet.
  mine.sessions.push(resource.pathname.split('/').at(-1).split('.')[0]);
  if (nodes.length > 0) mine.nodes = nodes;
  if (session !== mine) {
    void release(mine);
    return;
  }
  await connection.setRemoteDescription({ type: 'answer', sdp: answer });
  if (options.source === 'test') await keepResolution(connection);
}

/** Where the nodes are reached that this page does not publish at now. */
function otherNodes({ nodes, resource }) {
  return nodes.filter((node) => new URL(node).origin !== resource?.origin);
}

/** Publishes anew, at this server or another node, until one takes the publisher or it is given up. */
async function reconnect(mine) {
  if (session !== mine || mine.reconnecting) return;
  mine.reconnecting = true;
  const giveUpAt = performance.now() + GIVE_UP_MS;
  const turns = new Turns(mine.nodes, document.baseURI, mine.resource?.href ?? document.baseURI);
  let why = 'The connection to the server broke.';
  try {
    while (session === mine && performance.now() < giveUpAt) {
      show('connecting', 'The connection to the server broke. Connecting again…');
      mine.connection.close();
      const { address, limitMs } = turns.next();
      let isAnswered = false;
      try {
        await connect(mine, address, limitMs);
        if (await isConnected(mine.connection)) {
          mine.reconnects++;
          return;
        }
      } catch (cause) {
        if (!(cause instanceof Away)) throw cause;
        why = cause.message;
        isAnswered = cause.isAnswered;
      }
      turns.failed(isAnswered);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    if (session === mine) void stop('failed', why);
  } catch (cause) {
    if (session === mine) void stop('failed', cause.message);
  } finally {
    mine.reconnecting = false;
  }
}

/** A node that drains has its publishers come in at another, and hears them on until they are there. */
async function watchPlace() {
  const mine = session;
  if (!mine?.heard || mine.reconnecting || mine.nodes.length === 0 || !mine.resource) return;
  const asked = new URL(`${mine.resource.pathname}/stays`, mine.resource);
  const answer = await fetch(asked, { signal: AbortSignal.timeout(ASK_MS) })
    .then((response) => (response.ok ? response.json() : undefined))
    // A node that is gone is noticed by its silence.
    .catch(() => undefined);
  if (answer?.stays === false && session === mine && !mine.reconnecting) await move(mine);
}

/** Publishes at the channel's new home before the connection to the old one is given up. */
async function move(mine) {
  mine.reconnecting = true;
  const { connection: former, resource: left } = mine;
  try {
    if (await moveTo(mine, [...otherNodes(mine), document.baseURI])) {
      await new Promise((resolve) => setTimeout(resolve, BOTH_MS));
      former.close();
      await fetch(left, { method: 'DELETE' }).catch(() => undefined);
    } else if (session === mine) {
      // Until it is disconnected here, or asked again, it stays.
      if (mine.connection !== former) mine.connection.close();
      Object.assign(mine, { connection: former, resource: left });
      if (former.connectionState === 'connected') show('connected');
    }
  } catch (cause) {
    if (session === mine) void stop('failed', cause.message);
  } finally {
    if (session !== mine) former.close();
    mine.reconnecting = false;
  }
  // It was disconnected while no other took it.
  if (session === mine && ['failed', 'closed'].includes(mine.connection.connectionState)) await reconnect(mine);
}

/** Whether one of these servers has the page's media now. */
async function moveTo(mine, bases) {
  for (const base of bases) {
    try {
      await connect(mine, base);
      if (await isConnected(mine.connection)) {
        mine.moves++;
        return true;
      }
    } catch (cause) {
      if (!(cause instanceof Away)) throw cause;
    }
    if (session !== mine) return false;
  }
  return false;
}

/** Whether a connection that is being made comes to stand. */
function isConnected(connection) {
  return new Promise((resolve) => {
    const look = () => {
      if (connection.connectionState === 'connected') resolve(true);
      if (['failed', 'closed'].includes(connection.connectionState)) resolve(false);
    };
    connection.addEventListener('connectionstatechange', look);
    setTimeout(() => resolve(connection.connectionState === 'connected'), ATTEMPT_MS);
    look();
  });
}

/** A server that died says nothing any more; the browser itself would notice only after many seconds. */
async function watchSilence() {
  const mine = session;
  if (!mine?.heard || mine.reconnecting) return;
  const { connection } = mine;
  let bytes = 0;
  for (const s of (await connection.getStats()).values()) if (s.type === 'transport') bytes += s.bytesReceived;
  if (session !== mine || mine.connection !== connection || mine.reconnecting) return;
  const now = performance.now();
  if (bytes !== mine.heard.bytes) mine.heard = { bytes, at: now };
  else if (now - mine.heard.at >= SILENT_MS) void reconnect(mine);
}

/** A test picture is to arrive as it was made, not scaled down when the machine is busy. */
async function keepResolution(connection) {
  for (const sender of connection.getSenders()) {
    if (sender.track?.kind !== 'video') continue;
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    await sender.setParameters(parameters);
  }
}

async function release(mine) {
  mine.source?.stop();
  mine.connection?.close();
  const { resource } = mine;
  mine.resource = undefined;
  // keepalive: the request outlives the page when it is closed.
  if (resource) await fetch(resource, { method: 'DELETE', keepalive: true }).catch(() => undefined);
}

async function stop(next, message) {
  const mine = session;
  session = undefined;
  byId('preview').srcObject = null;
  show(next, message);
  if (mine) await release(mine);
}

function leave() {
  return stop('left');
}

/** @param {'audio' | 'video'} kind */
function setMuted(kind, muted) {
  for (const track of session?.source?.stream.getTracks() ?? []) if (track.kind === kind) track.enabled = !muted;
  byId(`mute-${kind}`).setAttribute('aria-pressed', String(muted));
}

/** What the browser says of its sending: bit/s are of the last second or so. */
async function stats() {
  const connection = session?.connection;
  const out = { state, error, bitrateBps: 0, codecs: [], rttMs: undefined, video: undefined, audio: undefined };
  if (!connection) return out;
  const report = await connection.getStats();
  let bytes = 0;
  for (const s of report.values()) {
    if (s.type === 'candidate-pair' && s.nominated) {
      out.rttMs = Math.round((s.currentRoundTripTime ?? 0) * 1000);
      out.availableBitrateBps = s.availableOutgoingBitrate;
    }
    if (s.type === 'remote-inbound-rtp') out[`${s.kind}Lost`] = s.packetsLost;
    if (s.type !== 'outbound-rtp') continue;
    bytes += s.bytesSent + s.headerBytesSent;
    const codec = report.get(s.codecId)?.mimeType.split('/')[1];
    if (codec && !out.codecs.includes(codec)) out.codecs.push(codec);
    // Of simulcast the largest picture.
    if ((out[s.kind]?.width ?? 0) > (s.frameWidth ?? 0)) continue;
    out[s.kind] = {
      bytes: s.bytesSent,
      packets: s.packetsSent,
      retransmitted: s.retransmittedPacketsSent,
      width: s.frameWidth,
      height: s.frameHeight,
      fps: s.framesPerSecond,
      targetBitrateBps: s.targetBitrate,
      keyFrames: s.keyFramesEncoded,
      nacks: s.nackCount,
      plis: s.pliCount,
      limitation: s.qualityLimitationReason,
    };
  }
  const now = performance.now();
  const last = session?.bytes;
  if (session && (!last || now - last.at >= 900)) {
    if (last) session.bitrateBps = Math.round(((bytes - last.bytes) * 8000) / (now - last.at));
    session.bytes = { bytes, at: now };
  }
  out.bitrateBps = session?.bitrateBps ?? 0;
  return out;
}

async function showFigures() {
  const s = await stats();
  const running = s.state === 'connected';
  byId('bitrate').textContent = running ? `${(s.bitrateBps / 1e6).toFixed(2)} Mbit/s` : '–';
  byId('picture').textContent =
    running && s.video?.width ? `${s.video.width}×${s.video.height} @ ${Math.round(s.video.fps ?? 0)}` : '–';
  byId('codecs').textContent = running ? s.codecs.join(' + ') : '–';
  byId('rtt').textContent = running && s.rttMs !== undefined ? `${s.rttMs} ms` : '–';
  byId('lost').textContent = running ? String((s.audioLost ?? 0) + (s.videoLost ?? 0)) : '–';
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void join();
});
byId('leave').addEventListener('click', leave);
for (const kind of ['audio', 'video'])
  byId(`mute-${kind}`).addEventListener('click', (event) =>
    setMuted(kind, event.currentTarget.getAttribute('aria-pressed') !== 'true'),
  );
window.addEventListener('pagehide', leave);
setInterval(showFigures, 1000);
setInterval(watchSilence, LOOK_MS);
setInterval(watchPlace, ASK_MS);

window.aircheckPublisher = {
  get state() {
    return state;
  },
  get error() {
    return error;
  },
  get connection() {
    return session?.connection;
  },
  /** How often it has connected again. */
  get reconnects() {
    return session?.reconnects ?? 0;
  },
  /** How often a node has sent it to another. */
  get moves() {
    return session?.moves ?? 0;
  },
  stats,
  leave,
  setMuted,
};
if (query.get('autojoin') === '1') void join();
