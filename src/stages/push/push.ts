/**
 * Push: sends a live stream to one address for as long as that is wanted. When a connection ends it makes another one,
 * each time after a longer wait.
 */

import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as encrypt } from 'node:tls';
import { type PushStatus, type PushTarget, type RtmpAddress, readRtmpAddress } from '../../contract/line/push.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { connectPermitted, type Destination } from '../../kernel/permitted-connection.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { PushedStreams } from './flv.ts';
import { RtmpSession } from './rtmp-session.ts';
import { unacknowledgedBytes } from './unacknowledged.ts';
import type { PushState } from './wire.ts';

export type PushOptions = {
  target: PushTarget;
  streams: PushedStreams;
  clock: Clock;
  permits: Destination['permits'];
  resolve?: Destination['resolve'];
  onhold: boolean;
  /** The status has changed. */
  onChanged(): void;
};

/** How long it may take from the first packet until the server takes the stream. */
const CONNECT_TIMEOUT_MS = 10_000;
/** How long one of the addresses of a name may take. */
const ATTEMPT_MS = 3_000;
/** How long it waits after each failure in a row; the last wait is repeated. */
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
/** A stream that was published for this long did not fail from the start. */
const SETTLED_US = 10_000_000;
/** How long the last bytes may take to leave. */
const CLOSE_TIMEOUT_MS = 1_000;

export class Push {
  readonly #o: PushOptions;
  readonly #address: RtmpAddress;
  #onhold: boolean;
  #closed = false;
  /** An attempt to connect, or the connection that it led to. */
  #attempt: AbortController | undefined;
  #socket: Duplex | undefined;
  #session: RtmpSession | undefined;
  #publishingSinceUs: HostUs | undefined;
  #failures = 0;
  #waiting: Timer | undefined;
  #why: string | undefined;
  #connections = 0;
  /** Bytes sent in sessions that are over. */
  #sentBytes = 0;
  #droppedBytes = 0;

  /** Throws a Fault when the target is no address to push to. */
  constructor(options: PushOptions) {
    const address = readRtmpAddress(options.target.url);
    if (!address) throw new Fault('push-address', 'there is no RTMP address to push to', { blame: 'caller' });
    this.#o = options;
    this.#address = address;
    this.#onhold = options.onhold;
    this.#begin();
  }

  get state(): PushState {
    return {
      id: this.#o.target.id,
      status: this.#status,
      ...(this.#why !== undefined && { why: this.#why }),
      connections: this.#connections,
      sentBytes: this.#sentBytes + (this.#session?.sentBytes ?? 0),
      droppedBytes: this.#droppedBytes,
    };
  }

  /** An open connection stays open during a pause; when there is none, none is made before the pause ends. */
  hold(onhold: boolean): void {
    if (onhold === this.#onhold) return;
    this.#onhold = onhold;
    if (onhold) this.#waiting?.cancel();
    else this.#begin();
    this.#o.onChanged();
  }

  write(sample: EncodedSample): void {
    if (!this.#session?.write(sample)) this.#droppedBytes += sample.data.length;
  }

  /** Ends the stream in order. Resolves when the connection is closed or has not closed in time. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting?.cancel();
    const [session, socket] = [this.#session, this.#socket];
    this.#letGo();
    if (!session || !socket) {
      this.#attempt?.abort(new Error('it is not wanted any more'));
      socket?.destroy();
      return;
    }
    const closed = new Promise<void>((resolve) => {
      socket.once('close', resolve);
      this.#o.clock.after(CLOSE_TIMEOUT_MS, resolve);
    });
    session.close();
    await closed;
    socket.destroy();
  }

  get #status(): PushStatus {
    if (this.#closed) return 'disconnected';
    if (this.#onhold) return 'onhold';
    if (this.#publishingSinceUs !== undefined) return 'publishing';
    return this.#failures > 0 ? 'disconnected' : 'connecting';
  }

  #begin(): void {
    if (this.#closed || this.#onhold || this.#attempt) return;
    const attempt = new AbortController();
    this.#attempt = attempt;
    const late = new Fault('push-late', `the server did not take the stream within ${CONNECT_TIMEOUT_MS / 1000} s`, {
      blame: 'destination',
    });
    const deadline = this.#o.clock.after(CONNECT_TIMEOUT_MS, () => attempt.abort(late));
    attempt.signal.addEventListener('abort', () => this.#fail(messageOf(attempt.signal.reason)), { once: true });
    this.#connect(attempt, deadline).catch((error) => {
      deadline.cancel();
      if (this.#attempt === attempt) this.#fail(messageOf(error));
    });
  }

  async #connect(attempt: AbortController, deadline: Timer): Promise<void> {
    const { permits, resolve, streams, clock, onChanged } = this.#o;
    const { host, port, tls } = this.#address;
    const { signal } = attempt;
    const plain = await connectPermitted({ host, port, permits, resolve, attemptMs: ATTEMPT_MS, signal });
    const socket = tls ? await encrypted(plain, host, signal) : plain;
    if (this.#attempt !== attempt) return void socket.destroy();
    this.#socket = socket;
    this.#session = new RtmpSession({
      ...{ socket, streams, clock, address: this.#address },
      unacknowledged: () => unacknowledgedBytes(plain),
      onPublishing: () => {
        deadline.cancel();
        this.#connections++;
        this.#publishingSinceUs = clock.monoUs();
        onChanged();
      },
      onEnded: (why) => {
        deadline.cancel();
        if (this.#attempt === attempt) this.#fail(why);
      },
    });
  }

  #fail(why: string): void {
    if (this.#closed) return;
    const { clock, onChanged } = this.#o;
    const sinceUs = this.#publishingSinceUs;
    if (sinceUs !== undefined && clock.monoUs() - sinceUs > SETTLED_US) this.#failures = 0;
    this.#socket?.destroy();
    this.#letGo();
    this.#why = why;
    this.#waiting = clock.after(WAITS_MS[Math.min(this.#failures, WAITS_MS.length - 1)]!, () => this.#begin());
    this.#failures++;
    onChanged();
  }

  #letGo(): void {
    this.#sentBytes += this.#session?.sentBytes ?? 0;
    this.#session = undefined;
    this.#socket = undefined;
    this.#publishingSinceUs = undefined;
    if (!this.#closed) this.#attempt = undefined;
  }
}

/** Encrypts the connection; the server must prove that it is `host`. */
function encrypted(socket: Socket, host: string, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const secure = encrypt({ socket, host, ...(isIP(host) === 0 && { servername: host }) });
    const giveUp = () => secure.destroy(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    secure.once('error', (error) => {
      socket.destroy();
      reject(error);
    });
    secure.once('secureConnect', () => {
      signal.removeEventListener('abort', giveUp);
      resolve(secure);
    });
  });
}
