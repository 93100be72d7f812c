/**
 * The recorder's end of a feed (`contract/line/feed.ts`): reads a channel's events and packets from a unix socket in the
 * order they happened, and sends feedback (RTCP) back up.
 */
import { createConnection, type Socket } from 'node:net';
import { decodeFeedEvent, encodeFeedFrame, type FeedEvent, FeedReader } from '../../../contract/line/feed.ts';
import { Fault } from '../../../kernel/fault.ts';

export type FeedListener = {
  onEvent(event: FeedEvent, atUs: number): void;
  /** One RTP datagram of a track, with its arrival on the channel host's monotonic clock, microseconds. */
  onRtp(track: number, datagram: Buffer, arrivalUs: number): void;
  /** One compound RTCP datagram from a track's sender. */
  onRtcp(track: number, datagram: Buffer, arrivalUs: number): void;
  /** The feed is over: `undefined` when the channel ended it, a Fault when it broke. Called once, last. */
  onEnd(fault: Fault | undefined): void;
};

export class FeedClient {
  readonly #socket: Socket;
  readonly #reader = new FeedReader();
  #ended = false;

  private constructor(socket: Socket, listener: FeedListener) {
    this.#socket = socket;
    const end = (fault: Fault | undefined) => {
      if (this.#ended) return;
      this.#ended = true;
      socket.destroy();
      listener.onEnd(fault);
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of this.#reader.push(chunk)) {
          if (this.#ended) return;
          if (frame.kind === 'rtp') listener.onRtp(frame.track, frame.body, frame.arrivalUs);
          else if (frame.kind === 'rtcp') listener.onRtcp(frame.track, frame.body, frame.arrivalUs);
          else listener.onEvent(decodeFeedEvent(frame.body), frame.arrivalUs);
        }
      } catch (error) {
        if (!(error instanceof Fault) || error.code === 'invariant') throw error;
        end(error);
      }
    });
    socket.on('end', () => end(undefined));
    socket.on('error', (cause) =>
      end(new Fault('feed-lost', `the feed broke: ${cause.message}`, { blame: 'self', cause })),
    );
    socket.on('close', () => end(new Fault('feed-lost', 'the feed closed without an end', { blame: 'self' })));
  }

  /** Connects to the socket at `path`. Rejects with a Fault when nobody serves it. */
  static connect(path: string, listener: FeedListener): Promise<FeedClient> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      const refuse = (cause: Error) =>
        reject(
          new Fault('feed-unreachable', `no feed at the given socket: ${cause.message}`, { blame: 'self', cause }),
        );
      socket.once('error', refuse);
      socket.once('connect', () => {
        socket.off('error', refuse);
        resolve(new FeedClient(socket, listener));
      });
    });
  }

  /** Sends one RTCP datagram about a track to the channel. Does nothing once the feed is over. */
  sendRtcp(track: number, datagram: Buffer, nowUs: number): void {
    if (!this.#ended) this.#socket.write(encodeFeedFrame('rtcp', track, nowUs, datagram));
  }

  /** Leaves the channel. No further listener call but `onEnd` may come. */
  close(): void {
    this.#socket.end();
  }
}
