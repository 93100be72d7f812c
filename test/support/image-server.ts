/**
 * A server of images, good ones and all the others: what is asked for by path is told, and answered as the path's entry
 * says.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { makePngHeader } from './media/image-files.ts';

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Sends a file, of whatever type it is said to be. */
export const file =
  (body: Buffer, type = 'image/png'): Answer =>
  (response) =>
    void response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body);

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end();

export const redirect = (location: string, code = 302): Answer => status(code, { location });

/** Answers of servers that send no image. */
export const BAD_ANSWERS = {
  hangs: () => {},
  hangsAfterHeaders: (response) => response.writeHead(200, { 'content-type': 'image/png' }).flushHeaders(),
  drips: async (response) => {
    for (response.writeHead(200, { 'content-type': 'image/png' }); !response.destroyed; await pause(10))
      response.write('x');
  },
  liesAboutType: file(Buffer.from('<!doctype html><title>not here</title>')),
  saysTooManyPixels: file(makePngHeader(10_000, 10_000)),
  saysTooManyBytes: (response) => response.writeHead(200, { 'content-length': 10_000_000_000 }).flushHeaders(),
  sendsTooManyBytes: (response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.writeHead(200).on('drain', more);
    more();
  },
  breaksOff: (response) => {
    response.writeHead(200, { 'content-length': 1000 }).write(Buffer.alloc(500), () => response.destroy());
  },
  isNotThere: status(404),
  redirectsToPrivate: redirect('http://10.255.255.1/image.png'),
  redirectsToMetadata: redirect('http://169.254.169.254/image.png'),
  redirectsToFile: redirect('file:///etc/passwd'),
  redirectsForEver: (response, { url }) => redirect(url ?? '/')(response, {} as IncomingMessage),
} satisfies Record<string, Answer>;

export class ImageServer {
  /** Paths that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(answers: Readonly<Record<string, Answer>>) {
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      (answers[path.slice(1)] ?? status(404))(response, request);
    });
    this.#server.on('connection', (socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
    });
  }

  /** @param answers by path, without its slash; entries may be added later */
  static async serve(answers: Readonly<Record<string, Answer>>): Promise<ImageServer> {
    const server = new ImageServer(answers);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${path}`;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#open.size;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
