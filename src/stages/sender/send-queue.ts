/**
 * SendQueue: hands packets of sound and picture on in the order of their times, each at its moment. A file has its
 * kinds in chunks, one after the other; sent as they are read, one kind would always be late.
 */
import type { Muxer } from 'node-av/api';
import type { Packet } from 'node-av/lib';
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, rescale, type StreamUs, US } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';

/** A kind of which nothing came for so long has paused, or is over: the other goes on without it. */
const MOST_WAITING_US = 3_000_000;

/** Receivers keep no more than this back for what is late. */
const LATE_US = 1_000_000;

type Waiting = { packet: Packet; output: number; kind: MediaKind; atUs: StreamUs };

type Pace = {
  clock: Clock;
  pause: (ms: number) => Promise<void>;
  onSent?: (sentS: number) => void;
  onLate?: () => void;
};

export class SendQueue {
  readonly #pace: Pace;
  #waiting: Waiting[] = [];
  /** When time zero of the media is due. */
  #zeroUs: HostUs | undefined;
  #endUs: StreamUs = 0;
  #isLate = false;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** Where the last packet that was added ends, microseconds of media. */
  get endUs(): StreamUs {
    return this.#endUs;
  }

  add(packet: Packet, { output, kind }: { output: number; kind: MediaKind }): void {
    const { num, den } = packet.timeBase;
    const atUs = rescale(Number(packet.pts), den, US * num);
    this.#endUs = Math.max(this.#endUs, atUs + rescale(Number(packet.duration), den, US * num));
    this.#waiting.push({ packet, output, kind, atUs });
    this.#waiting.sort((a, b) => a.atUs - b.atUs);
  }

  /** Sends what nothing earlier can come before any more. */
  async send(muxer: Muxer, kinds: number, signal: AbortSignal): Promise<void> {
    const isReady = () => {
      const [first, last] = [this.#waiting[0], this.#waiting.at(-1)];
      if (!first || !last) return false;
      return last.atUs - first.atUs > MOST_WAITING_US || new Set(this.#waiting.map(({ kind }) => kind)).size === kinds;
    };
    while (!signal.aborted && isReady()) await this.#sendFirst(muxer);
  }

  /** Sends all that is left. */
  async drain(muxer: Muxer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#waiting.length > 0) await this.#sendFirst(muxer);
  }

  async #sendFirst(muxer: Muxer): Promise<void> {
    const first = this.#waiting.shift();
    if (!first) return;
    using packet = first.packet;
    const { clock, pause, onSent, onLate } = this.#pace;
    this.#zeroUs ??= clock.monoUs() - first.atUs;
    const earlyUs = this.#zeroUs + first.atUs - clock.monoUs();
    if (earlyUs > 0) await pause(earlyUs / 1000);
    else if (-earlyUs > LATE_US && !this.#isLate) {
      this.#isLate = true;
      onLate?.();
    }
    await muxer.writePacket(packet, first.output);
    onSent?.(first.atUs / US);
  }
}
