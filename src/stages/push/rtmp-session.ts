/**
 * RtmpSession: one connection that publishes (Adobe's "Real-Time Messaging Protocol", 1.0): handshake, connect,
 * publish, then the encoded samples. It never waits for its server: samples that there is no room for are left out, and
 * a server that takes nothing any more is given up.
 */

import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { RtmpAddress } from '../../contract/line/push.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { type AmfValue, decodeAmf, encodeAmf } from './amf.ts';
import { ChunkReader, FIRST_CHUNK_SIZE, MESSAGE, type Message, toChunks } from './chunks.ts';
import { audioHeader, metadata, type PushedStreams, toPayload, videoHeader } from './flv.ts';
import { KeyFrameGate } from './key-frame-gate.ts';

export type RtmpSessionOptions = {
  /** Connected, and encrypted where that is wanted. From now on only the session owns it. */
  socket: Duplex;
  /** Bytes that the other end's system has not confirmed of what left this process; undefined where none can tell. */
  unacknowledged(): number | undefined;
  address: RtmpAddress;
  streams: PushedStreams;
  clock: Clock;
  /** The server takes the stream. */
  onPublishing(): void;
  /** Called once, when the session is over: why, in words without the key. Not called after `close`. */
  onEnded(why: string): void;
};

const VERSION = 3;
const HANDSHAKE = 1536;
const CHUNK_SIZE = 4096;
/**
 * How often the server is asked to confirm what it got, in bytes. It is little, because a page that stands still makes
 * some 10 kB a second, and a server that falls silent is known only by missing confirmations.
 */
const ACK_BYTES = 8 * 1024;
/** How much may wait for the network: some seconds at 4 Mbit/s. */
const MAX_WAITING = 2 * 1024 * 1024;
/** A server that takes nothing for this long is silent. */
const SILENT_US = 10_000_000;
const LOOK_EVERY_MS = 1_000;
/** After this many confirmations it is known how often a server confirms. */
const MIN_ACKS = 3;
const PING = { request: 6, response: 7 } as const;
const CALL = { connect: 1, releaseStream: 2, announce: 3, createStream: 4, publish: 5 } as const;

export class RtmpSession {
  readonly #o: RtmpSessionOptions;
  readonly #reader = new ChunkReader();
  readonly #gate = new KeyFrameGate();
  readonly #looking: Timer;
  #phase: 'shakingHands' | 'connecting' | 'publishing' | 'over' = 'shakingHands';
  #heard: Buffer = Buffer.alloc(0);
  #chunkSize = FIRST_CHUNK_SIZE;
  /** The message stream on which it publishes. */
  #stream = 0;
  /** Decode time of the first picture, milliseconds: the connection's zero. */
  #zeroMs: number | undefined;
  #sentBytes = 0;
  /** Bytes that came in, how many of them were confirmed, and how often the server wants a confirmation. */
  #received = { bytes: 0, confirmed: 0, window: Number.POSITIVE_INFINITY };
  #acks = { count: 0, last: 0, largestStep: ACK_BYTES };
  #written = 0;
  /** The most that the server's system has ever taken, and when that last grew, or nothing waited for it. */
  #taken = 0;
  #takenUs: HostUs;
  #heardUs: HostUs;

  constructor(options: RtmpSessionOptions) {
    this.#o = options;
    const { socket, clock } = options;
    this.#takenUs = clock.monoUs();
    this.#heardUs = this.#takenUs;
    socket.on('data', (bytes: Buffer) => this.#hear(bytes));
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('the server closed the connection'));
    this.#looking = clock.every(LOOK_EVERY_MS, () => this.#look());
    this.#write(Buffer.concat([Buffer.of(VERSION), Buffer.alloc(8), randomBytes(HANDSHAKE - 8)]));
  }

  /** How many bytes of sound and picture were sent to the server. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Sends a sample. Returns false when it was left out. */
  write(sample: EncodedSample): boolean {
    if (this.#phase !== 'publishing') return false;
    if (!this.#gate.admits(sample, this.#o.socket.writableLength > MAX_WAITING)) return false;
    const dtsMs = Math.round(sample.dtsUs / 1000);
    this.#zeroMs ??= dtsMs;
    const type = sample.kind === 'video' ? MESSAGE.video : MESSAGE.audio;
    this.#send(type, toPayload(sample), this.#stream, dtsMs - this.#zeroMs);
    this.#sentBytes += sample.data.length;
    return true;
  }

  /** Tells the server that the stream ends, and closes the connection. */
  close(): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'publishing') {
      const { key } = this.#o.address;
      this.#call('FCUnpublish', 0, [null, key]);
      this.#call('deleteStream', 0, [null, this.#stream]);
    }
    this.#stopLooking();
    this.#o.socket.end();
  }

  #stopLooking(): void {
    this.#phase = 'over';
    this.#looking.cancel();
  }

  #end(why: string): void {
    this.#o.socket.destroy();
    if (this.#phase === 'over') return;
    this.#stopLooking();
    this.#o.onEnded(why);
  }

  #hear(bytes: Buffer): void {
    if (this.#phase === 'over') return;
    this.#heardUs = this.#o.clock.monoUs();
    this.#received.bytes += bytes.length;
    try {
      if (this.#phase === 'shakingHands') this.#shakeHands(bytes);
      else this.#take(bytes);
      this.#confirm();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#end(error.message);
    }
  }

  #shakeHands(bytes: Buffer): void {
    const before = this.#heard.length;
    this.#heard = Buffer.concat([this.#heard, bytes]);
    if (this.#heard.length === 0) return;
    if (this.#heard[0] !== VERSION)
      throw new Fault('rtmp-malformed', 'the server does not speak RTMP', { blame: 'destination' });
    const second = 1 + HANDSHAKE;
    // The server's own part is echoed as soon as it has come. Its echo of ours is not compared, because some servers
    // change it.
    if (before < second && this.#heard.length >= second) this.#write(this.#heard.subarray(1, second));
    if (this.#heard.length < second + HANDSHAKE) return;
    const rest = this.#heard.subarray(second + HANDSHAKE);
    this.#heard = Buffer.alloc(0);
    this.#phase = 'connecting';
    const { app, tcUrl } = this.#o.address;
    const flashVer = 'FMLE/3.0 (compatible; Aircheck)';
    this.#call('connect', CALL.connect, [{ app, type: 'nonprivate', flashVer, swfUrl: tcUrl, tcUrl }]);
    if (rest.length > 0) this.#take(rest);
  }

  #take(bytes: Buffer): void {
    for (const message of this.#reader.read(bytes)) if (this.#phase !== 'over') this.#obey(message);
  }

  #obey({ type, payload }: Message): void {
    switch (type) {
      case MESSAGE.acknowledgement:
        if (payload.length >= 4) this.#onAck(payload.readUInt32BE());
        return;
      case MESSAGE.windowAckSize:
        if (payload.length >= 4) this.#received.window = Math.max(1, payload.readUInt32BE());
        return;
      case MESSAGE.userControl:
        if (payload.length >= 6 && payload.readUInt16BE() === PING.request)
          this.#send(MESSAGE.userControl, Buffer.concat([Buffer.of(0, PING.response), payload.subarray(2, 6)]));
        return;
      case MESSAGE.command:
        this.#answer(decodeAmf(payload));
        return;
      case MESSAGE.commandAmf3:
        // The command is AMF0 too, after one byte that says so.
        this.#answer(decodeAmf(payload.subarray(1)));
        return;
    }
  }

  #answer([name, call, , info]: AmfValue[]): void {
    switch (name) {
      case '_result':
        if (call === CALL.connect) this.#openStream();
        if (call === CALL.createStream && typeof info === 'number') this.#publish(info);
        return;
      case '_error':
        // Servers that do not know the calls of old encoders answer with an error, and go on.
        if (call === CALL.connect || call === CALL.createStream || call === CALL.publish)
          throw refused(info, this.#o.address);
        return;
      case 'onStatus': {
        const { code, level } = wordsOf(info);
        if (level === 'error' || code === 'NetStream.Unpublish.Success' || code.startsWith('NetConnection.'))
          throw refused(info, this.#o.address);
        if (code === 'NetStream.Publish.Start' && this.#phase === 'connecting') this.#onPublishing();
        return;
      }
      case 'close':
        throw refused(info, this.#o.address);
    }
  }

  #openStream(): void {
    const { key } = this.#o.address;
    this.#send(MESSAGE.chunkSize, uint32(CHUNK_SIZE));
    this.#chunkSize = CHUNK_SIZE;
    this.#send(MESSAGE.windowAckSize, uint32(ACK_BYTES));
    this.#call('releaseStream', CALL.releaseStream, [null, key]);
    this.#call('FCPublish', CALL.announce, [null, key]);
    this.#call('createStream', CALL.createStream, [null]);
  }

  #publish(stream: number): void {
    this.#stream = stream;
    this.#call('publish', CALL.publish, [null, this.#o.address.key, 'live'], stream);
  }

  #onPublishing(): void {
    const { streams, onPublishing } = this.#o;
    this.#phase = 'publishing';
    this.#send(MESSAGE.data, metadata(streams), this.#stream);
    this.#send(MESSAGE.video, videoHeader(streams), this.#stream);
    this.#send(MESSAGE.audio, audioHeader(streams), this.#stream);
    onPublishing();
  }

  #call(name: string, call: number, values: AmfValue[], stream = 0): void {
    this.#send(MESSAGE.command, encodeAmf(name, call, ...values), stream);
  }

  #send(type: number, payload: Buffer, stream = 0, timestamp = 0): void {
    this.#write(toChunks({ type, timestamp, stream, payload }, this.#chunkSize));
  }

  #write(bytes: Buffer): void {
    this.#written += bytes.length;
    this.#o.socket.write(bytes);
  }

  /** Confirms what came in whenever it is as much as the server asked for (§5.4.3). */
  #confirm(): void {
    const { bytes, confirmed, window } = this.#received;
    if (bytes - confirmed < window) return;
    this.#received.confirmed = bytes;
    this.#send(MESSAGE.acknowledgement, uint32(bytes));
  }

  #onAck(sequence: number): void {
    const step = (sequence - this.#acks.last) >>> 0;
    const { count, largestStep } = this.#acks;
    this.#acks = { count: count + 1, last: sequence, largestStep: Math.max(largestStep, step) };
  }

  /**
   * A server that reads nothing any more takes nothing more, once its system has a window full for it; ours goes on
   * taking megabytes. What lies between, as a proxy, may hold much: what the server itself confirms tells of it sooner.
   */
  #look(): void {
    const nowUs = this.#o.clock.monoUs();
    const waiting = this.#o.socket.writableLength + (this.#o.unacknowledged() ?? 0);
    const taken = this.#written - waiting;
    if (taken > this.#taken || waiting === 0) {
      this.#taken = Math.max(taken, this.#taken);
      this.#takenUs = nowUs;
    }
    const isStuck = nowUs - this.#takenUs > SILENT_US;
    const { count, last, largestStep } = this.#acks;
    const unconfirmed = (this.#written - last) >>> 0;
    const isDeaf = count >= MIN_ACKS && unconfirmed > 3 * largestStep && nowUs - this.#heardUs > SILENT_US;
    if (isStuck || isDeaf) this.#end(`the server has taken nothing for ${SILENT_US / 1e6} s`);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function wordsOf(info: AmfValue): { code: string; level: string; description: string } {
  const object = typeof info === 'object' && info !== null && !Array.isArray(info) ? info : {};
  const text = (name: string) => (typeof object[name] === 'string' ? object[name] : '');
  return { code: text('code'), level: text('level'), description: text('description') };
}

function refused(info: AmfValue, address: RtmpAddress): Fault {
  const { code, description } = wordsOf(info);
  const words = withoutKey([code, description].filter((word) => word !== '').join(': '), address);
  return new Fault('rtmp-refused', `the server ended it${words ? ` (${words})` : ''}`, { blame: 'destination' });
}

const MAX_WORDS = 300;

/** Servers often repeat the name of the stream, which is its key. */
function withoutKey(words: string, { app, key }: RtmpAddress): string {
  const [, ...rest] = app.split(/[/?]/);
  const secrets = [key, key.split('?')[0]!, ...rest].filter((secret) => secret !== '');
  return secrets.reduce((text, secret) => text.replaceAll(secret, '***'), words).slice(0, MAX_WORDS);
}
