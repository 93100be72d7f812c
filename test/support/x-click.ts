/**
 * Clicks on an X screen as a hand at a mouse does, by the XTEST extension: what a page gets is a user's gesture, which
 * no script can make.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

const COOKIE_NAME = 'MIT-MAGIC-COOKIE-1';
const COOKIE_BYTES = 16;
/** Of the core protocol (X11 protocol, appendix B). */
const QUERY_EXTENSION = 98;
const GET_INPUT_FOCUS = 43;
const FAKE_INPUT = 2;
/** How long an answer's head is, and where it says how many words of four bytes follow. */
const GREETING = { headBytes: 8, moreWords: (head: Buffer) => head.readUInt16LE(6) };
const REPLY = { headBytes: 32, moreWords: (head: Buffer) => head.readUInt32LE(4) };
const EVENT = { press: 4, release: 5, motion: 6 } as const;

/** @param dir of a page, with its display's number and the key to it; the point is in pixels of the screen */
export async function click(dir: string, x: number, y: number): Promise<void> {
  const display = readFileSync(join(dir, 'display'), 'utf8');
  const socket = connect(`/tmp/.X11-unix/X${display}`);
  try {
    await once(socket, 'connect');
    const answers = new Answers(socket);
    socket.write(hello(readFileSync(join(dir, 'xauthority')).subarray(-COOKIE_BYTES)));
    const greeting = await answers.next(GREETING);
    if (greeting[0] !== 1) throw new Error(`the display ${display} refused us`);
    socket.write(queryExtension('XTEST'));
    const extension = await answers.next(REPLY);
    const opcode = extension[9]!;
    if (extension[8] !== 1) throw new Error('the display has no XTEST');
    socket.write(fakeInput(opcode, EVENT.motion, 0, x, y));
    for (const type of [EVENT.press, EVENT.release]) socket.write(fakeInput(opcode, type, 1, 0, 0));
    // It is answered after what came before it.
    socket.write(request(GET_INPUT_FOCUS, 0));
    await answers.next(REPLY);
  } finally {
    socket.destroy();
  }
}

/** What the display says, answer by answer: a socket hands one over in pieces as it likes. */
class Answers {
  readonly #chunks: AsyncIterator<Buffer>;
  #held = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async next(kind: typeof GREETING | typeof REPLY): Promise<Buffer> {
    await this.#hold(kind.headBytes);
    const bytes = kind.headBytes + 4 * kind.moreWords(this.#held);
    await this.#hold(bytes);
    const answer = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    return answer;
  }

  async #hold(bytes: number): Promise<void> {
    while (this.#held.length < bytes) {
      const { value, done } = await this.#chunks.next();
      if (done) throw new Error('the display has hung up');
      this.#held = Buffer.concat([this.#held, value as Buffer]);
    }
  }
}

/** Little endian, protocol 11.0. */
function hello(cookie: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.write('l');
  head.writeUInt16LE(11, 2);
  head.writeUInt16LE(COOKIE_NAME.length, 6);
  head.writeUInt16LE(cookie.length, 8);
  return Buffer.concat([head, padded(Buffer.from(COOKIE_NAME)), cookie]);
}

function queryExtension(name: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt16LE(name.length, 0);
  return request(QUERY_EXTENSION, 0, Buffer.concat([length, padded(Buffer.from(name))]));
}

/** XTestFakeInput (XTEST 2.2), at once, on the root window. */
function fakeInput(opcode: number, type: number, detail: number, x: number, y: number): Buffer {
  const body = Buffer.alloc(32);
  body.writeUInt8(type, 0);
  body.writeUInt8(detail, 1);
  body.writeInt16LE(x, 20);
  body.writeInt16LE(y, 22);
  return request(opcode, FAKE_INPUT, body);
}

function request(opcode: number, minor: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt8(opcode, 0);
  head.writeUInt8(minor, 1);
  head.writeUInt16LE(1 + body.length / 4, 2);
  return Buffer.concat([head, body]);
}

function padded(text: Buffer): Buffer {
  return Buffer.concat([text, Buffer.alloc((4 - (text.length % 4)) % 4)]);
}
