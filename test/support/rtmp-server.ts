/**
 * A server of RTMP in this process that takes one stream after the other and keeps its messages, and that can be told
 * to refuse, to be silent, or to go away.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { decodeAmf, encodeAmf } from '../../src/stages/push/amf.ts';
import { ChunkReader, MESSAGE, type Message, toChunks } from '../../src/stages/push/chunks.ts';

type Answer = 'takes' | 'refuses' | 'never answers';

export class RtmpServer {
  /** What it does with who publishes. */
  answer: Answer = 'takes';
  /** What it says to a publish that it refuses. */
  refusal = { level: 'error', code: 'NetStream.Publish.BadName', description: 'taken' };
  /** Commands of all connections, as [name, …values]. */
  readonly commands: unknown[][] = [];
  /** Sound, picture and data of all connections. */
  readonly media: Message[] = [];
  connections = 0;
  /** Hears of messages that concern the connection itself. */
  onControl: (message: Message) => void = () => {};
  /** What it begins with in place of a handshake. */
  greeting: string | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(tls?: TlsOptions) {
    const serve = (socket: Socket) => this.#serve(socket);
    this.#server = tls ? createTlsServer(tls, serve) : createServer(serve);
  }

  async listen(host = '127.0.0.1'): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Reads nothing more of its connections, or goes on. */
  pause(paused: boolean): void {
    for (const socket of this.#sockets) paused ? socket.pause() : socket.resume();
  }

  /** Sends a message to all connections. */
  send(type: number, payload: Buffer, stream = 0): void {
    for (const socket of this.#sockets) socket.write(toChunks({ type, timestamp: 0, stream, payload }, 128));
  }

  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    if (this.greeting !== undefined) socket.write(this.greeting);
    const reader = new ChunkReader();
    let handshake: Buffer | undefined = Buffer.alloc(0);
    let greeted = false;
    socket.on('data', (bytes) => {
      if (!handshake) return void this.#take(socket, reader.read(bytes));
      handshake = Buffer.concat([handshake, bytes]);
      if (!greeted && handshake.length >= 1537) {
        greeted = true;
        socket.write(Buffer.concat([Buffer.of(3), randomBytes(1536), handshake.subarray(1, 1537)]));
      }
      if (handshake.length < 1 + 2 * 1536) return;
      const rest = handshake.subarray(1 + 2 * 1536);
      handshake = undefined;
      if (rest.length > 0) this.#take(socket, reader.read(rest));
    });
  }

  #take(socket: Socket, messages: Message[]): void {
    for (const message of messages) {
      if (message.type === MESSAGE.command) this.#obey(socket, decodeAmf(message.payload));
      else if (message.stream !== 0) this.media.push(message);
      else this.onControl(message);
    }
  }

  #obey(socket: Socket, [name, call, ...values]: unknown[]): void {
    this.commands.push([name, ...values]);
    if (this.answer === 'never answers') return;
    const say = (words: Parameters<typeof encodeAmf>, stream = 0) => {
      const payload = encodeAmf(...words);
      socket.write(toChunks({ type: MESSAGE.command, timestamp: 0, stream, payload }, 128));
    };
    if (name === 'connect') say(['_result', call as number, {}, { code: 'NetConnection.Connect.Success' }]);
    if (name === 'releaseStream')
      say(['_error', call as number, null, { level: 'error', code: 'NetConnection.Call.Failed' }]);
    if (name === 'createStream') say(['_result', call as number, null, 7]);
    if (name !== 'publish') return;
    const info = this.answer === 'takes' ? { level: 'status', code: 'NetStream.Publish.Start' } : this.refusal;
    say(['onStatus', 0, null, info], 7);
  }
}
