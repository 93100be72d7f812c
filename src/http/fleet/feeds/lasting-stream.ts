/**
 * LastingStream: one end of a stream of bytes between two nodes that outlives its connections. Whatever the other end
 * has not confirmed is kept, and sent again over the next connection, so that nothing is lost, doubled or out of order
 * (ADR 0032).
 *
 *   kind:u8  length:u32  body          (big endian)
 *
 * `data` and `end` are counted and confirmed; `confirm` says how many of them have come; `ask` brings its sender's time
 * and count, and is answered by `told` with that time, the answerer's, and its count.
 */
import type { Socket } from 'node:net';
import { Fault } from '../../../kernel/fault.ts';
import type { HostUs } from '../../../kernel/time.ts';

export type LastingStreamOptions = {
  /** Takes what the other end wrote. Returns false when it wants no more until `resume` is called. */
  onData(bytes: Buffer): boolean;
  /** The other end writes nothing more. */
  onEnd(): void;
  /** `write` may be called again, after it had returned false. */
  onDrain(): void;
  /** The other end's monotonic time at some moment between two of this end's. */
  onTold?(toldUs: HostUs, askedUs: HostUs, answeredUs: HostUs): void;
  monoUs(): HostUs;
};

const HEADER_BYTES = 5;
const KINDS = ['data', 'end', 'confirm', 'ask', 'told'] as const;
type Kind = (typeof KINDS)[number];
/** A piece of a stream; longer ones are cut. */
const MAX_BODY_BYTES = 256 * 1024;
/** So much may be on its way, or lost with a connection, before the writer must wait. */
const MAX_UNCONFIRMED_BYTES = 1024 * 1024;
/** What has come is confirmed after so much of it, beside each `ask`. */
const CONFIRM_BYTES = 128 * 1024;

export class LastingStream {
  readonly #o: LastingStreamOptions;
  #socket: Socket | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** Messages that are counted and not confirmed, the oldest first. */
  #unconfirmed: Buffer[] = [];
  #unconfirmedBytes = 0;
  #confirmed = 0;
  #received = 0;
  #receivedBytes = 0;
  #isFull = false;
  #isHeld = false;
  #heardUs: HostUs;

  constructor(options: LastingStreamOptions) {
    this.#o = options;
    this.#heardUs = options.monoUs();
  }

  /** How many counted messages have come from the other end. */
  get received(): number {
    return this.#received;
  }

  get isConnected(): boolean {
    return this.#socket !== undefined;
  }

  /** Whether all that was written has come to the other end. */
  get isConfirmed(): boolean {
    return this.#unconfirmed.length === 0;
  }

  /** Whether the stream can go on with an other end that has got so many messages. */
  agreesOn(received: number): boolean {
    const more = received - this.#confirmed;
    return Number.isSafeInteger(more) && more >= 0 && more <= this.#unconfirmed.length;
  }

  /** How long nothing has come, microseconds; 0 while nothing is wanted. */
  unheardUs(nowUs: HostUs): number {
    return this.#isHeld ? 0 : nowUs - this.#heardUs;
  }

  /**
   * Goes on over a new connection, which replaces the one before. Throws a Fault `feed-gone` where the ends do not
   * agree on what was sent.
   * @param head what came with the connection already
   * @param received how many messages the other end has got
   */
  attach(socket: Socket, head: Buffer, received: number): void {
    this.#confirm(received);
    this.detach();
    this.#socket = socket;
    this.#rest = Buffer.alloc(0);
    this.#heardUs = this.#o.monoUs();
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(socket, chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    if (this.#isHeld) socket.pause();
    for (const message of this.#unconfirmed) socket.write(message);
    if (head.length > 0) this.#take(socket, head);
  }

  /** Cuts the connection; the stream waits for the next. */
  detach(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  /** Returns false when no more shall be written until `onDrain`; what was given is kept all the same. */
  write(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; at += MAX_BODY_BYTES)
      this.#send('data', bytes.subarray(at, at + MAX_BODY_BYTES));
    this.#isFull = this.#unconfirmedBytes > MAX_UNCONFIRMED_BYTES;
    return !this.#isFull;
  }

  end(): void {
    this.#send('end', Buffer.alloc(0));
  }

  /** Asks the other end for its time, and tells it what has come. */
  ask(): void {
    const body = Buffer.alloc(16);
    body.writeDoubleBE(this.#o.monoUs(), 0);
    body.writeDoubleBE(this.#received, 8);
    this.#socket?.write(messageOf('ask', body));
  }

  /** Takes more of what the other end wrote. */
  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#heardUs = this.#o.monoUs();
    this.#socket?.resume();
  }

  #send(kind: 'data' | 'end', body: Buffer): void {
    const message = messageOf(kind, body);
    this.#unconfirmed.push(message);
    this.#unconfirmedBytes += message.length;
    this.#socket?.write(message);
  }

  #confirm(count: number): void {
    if (!this.agreesOn(count))
      throw new Fault('feed-gone', 'the ends of a feed between nodes do not agree on what was sent', { blame: 'self' });
    for (const message of this.#unconfirmed.splice(0, count - this.#confirmed))
      this.#unconfirmedBytes -= message.length;
    this.#confirmed = count;
    if (!this.#isFull || this.#unconfirmedBytes > MAX_UNCONFIRMED_BYTES / 2) return;
    this.#isFull = false;
    this.#o.onDrain();
  }

  #take(socket: Socket, chunk: Buffer): void {
    if (this.#socket !== socket) return;
    this.#heardUs = this.#o.monoUs();
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    // What follows a message may be without a reader by then: it comes again.
    while (this.#socket === socket && bytes.length >= HEADER_BYTES) {
      const kind = KINDS[bytes.readUInt8(0)];
      const length = bytes.readUInt32BE(1);
      if (kind === undefined || length > MAX_BODY_BYTES) {
        this.detach();
        return;
      }
      if (bytes.length < HEADER_BYTES + length) break;
      const body = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
      bytes = bytes.subarray(HEADER_BYTES + length);
      try {
        this.#takeMessage(socket, kind, body);
      } catch (error) {
        if (!(error instanceof Fault) && !(error instanceof RangeError)) throw error;
        this.detach();
        return;
      }
    }
    this.#rest = bytes;
  }

  #takeMessage(socket: Socket, kind: Kind, body: Buffer): void {
    const { monoUs, onData, onEnd, onTold } = this.#o;
    switch (kind) {
      case 'data':
        this.#received++;
        this.#receivedBytes += body.length;
        if (this.#receivedBytes > CONFIRM_BYTES) {
          this.#receivedBytes = 0;
          socket.write(messageOf('confirm', doublesOf(this.#received)));
        }
        if (onData(body) || this.#isHeld) return;
        this.#isHeld = true;
        socket.pause();
        return;
      case 'end':
        this.#received++;
        socket.write(messageOf('confirm', doublesOf(this.#received)));
        onEnd();
        return;
      case 'confirm':
        this.#confirm(body.readDoubleBE(0));
        return;
      case 'ask':
        this.#confirm(body.readDoubleBE(8));
        socket.write(messageOf('told', doublesOf(body.readDoubleBE(0), monoUs(), this.#received)));
        return;
      case 'told':
        this.#confirm(body.readDoubleBE(16));
        onTold?.(body.readDoubleBE(8), body.readDoubleBE(0), monoUs());
        return;
    }
  }
}

function doublesOf(...numbers: number[]): Buffer {
  const body = Buffer.alloc(8 * numbers.length);
  for (const [n, number] of numbers.entries()) body.writeDoubleBE(number, 8 * n);
  return body;
}

function messageOf(kind: Kind, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  message.writeUInt8(KINDS.indexOf(kind), 0);
  message.writeUInt32BE(body.length, 1);
  message.set(body, HEADER_BYTES);
  return message;
}
