/**
 * LayerChoice: which layer of a simulcast one recorder is given. It is the highest or the lowest one; while that one is dead
 * another takes its place. Each change begins at a key frame.
 */
import type { IncomingStream } from './incoming-stream.ts';

/** `videoStreamType` of the start call (contract §1.2.2): 0 the high stream, 1 the low one. */
export type VideoStreamType = 0 | 1;

/** The chosen layer is dead when it is silent this long while another is heard. */
export const DEAD_US = 1_000_000;
/** After this long a key frame of its substitute is asked for: what comes from there on can be shown, once it is dead. */
export const SUSPECT_US = 400_000;
/** A layer that was dead is taken again when it was heard this long without a pause. */
export const RETURN_US = 2_000_000;
/** A pause of a layer that is heard. */
const PAUSE_US = 500_000;
/** A recorder takes packets of the layer it was just given before for stragglers, for a second. */
const SETTLE_US = 600_000;
/** Layers of one size, or of none that is known, are told apart by their bitrate when one has this much more. */
const CLEARLY_MORE = 1.5;

type Life = { sinceUs: number; lastUs: number; diedUs: number | undefined };

export class LayerChoice {
  readonly #streams: readonly IncomingStream[];
  readonly #sign: number;
  readonly #lives = new Map<IncomingStream, Life>();
  #chosen: IncomingStream | undefined;
  #changedUs = Number.NEGATIVE_INFINITY;
  /** When another layer was first heard after the chosen one's last packet. */
  #quietSinceUs: number | undefined;
  /** The layer to change to, of which a key frame from then on is awaited. */
  #next: { stream: IncomingStream; sinceUs: number } | undefined;

  /** Begins with the best layer that is heard and has a key frame kept; none when there is none. */
  constructor(streams: readonly IncomingStream[], videoStreamType: VideoStreamType, nowUs: number) {
    this.#streams = streams;
    this.#sign = videoStreamType === 0 ? 1 : -1;
    if (streams.length === 1) {
      this.#chosen = streams[0];
      return;
    }
    for (const stream of streams) {
      const { lastPacketUs } = stream;
      if (nowUs - lastPacketUs < PAUSE_US)
        this.#lives.set(stream, { sinceUs: lastPacketUs, lastUs: lastPacketUs, diedUs: undefined });
    }
    this.#chosen = this.#best([...this.#lives.keys()].filter((stream) => !stream.cache.isEmpty));
  }

  /** The layer that the recorder is given now. */
  get chosen(): IncomingStream | undefined {
    return this.#chosen;
  }

  /**
   * Tells of each packet of the track, after the stream itself took it. Asks layers for key frames that a change will need.
   * @returns whether `chosen` changed: the recorder is then to be given what is kept of it, which begins with a key frame and
   *   ends with this packet if it is of that layer
   */
  onPacket(stream: IncomingStream, nowUs: number): boolean {
    if (this.#streams.length === 1) return false;
    this.#note(stream, nowUs);
    const chosen = this.#chosen;
    if (!chosen) return this.#begin(stream, nowUs);
    if (stream === chosen) this.#quietSinceUs = undefined;
    else this.#quietSinceUs ??= nowUs;
    const quietUs =
      this.#quietSinceUs === undefined ? 0 : nowUs - Math.max(this.#quietSinceUs, this.#changedUs + SETTLE_US);
    const target = quietUs >= SUSPECT_US ? this.#substitute(nowUs) : this.#better(nowUs);
    if (!target) {
      this.#next = undefined;
      return false;
    }
    if (this.#next?.stream !== target) {
      this.#next = { stream: target, sinceUs: nowUs };
      // A layer that is heard for the first time brings its key frame with this very packet.
      if (target.keyFrameUs !== nowUs) target.wantKeyFrame();
    }
    const isDead = quietUs >= DEAD_US;
    if (quietUs >= SUSPECT_US && !isDead) return false;
    if (target.keyFrameUs === undefined || target.keyFrameUs < this.#next.sinceUs) return false;
    if (target.cache.isEmpty) {
      target.wantKeyFrame();
      return false;
    }
    if (isDead) this.#lives.get(chosen)!.diedUs = nowUs;
    this.#change(target, nowUs);
    return true;
  }

  #begin(stream: IncomingStream, nowUs: number): boolean {
    if (stream.cache.isEmpty) return false;
    this.#change(stream, nowUs);
    return true;
  }

  #change(stream: IncomingStream, nowUs: number): void {
    this.#chosen = stream;
    this.#changedUs = nowUs;
    this.#quietSinceUs = undefined;
    this.#next = undefined;
  }

  #note(stream: IncomingStream, nowUs: number): void {
    const life = this.#lives.get(stream);
    if (!life) this.#lives.set(stream, { sinceUs: nowUs, lastUs: nowUs, diedUs: undefined });
    else {
      if (nowUs - life.lastUs > PAUSE_US) life.sinceUs = nowUs;
      life.lastUs = nowUs;
    }
  }

  /** Who could take the place of the chosen layer: those that never died before those that only came back. */
  #substitute(nowUs: number): IncomingStream | undefined {
    const others = this.#heard(nowUs).filter((stream) => stream !== this.#chosen);
    return this.#best(others.filter((stream) => this.#isTrusted(stream, nowUs))) ?? this.#best(others);
  }

  /** A layer that is to be had and comes before the chosen one. */
  #better(nowUs: number): IncomingStream | undefined {
    const best = this.#best(this.#heard(nowUs).filter((stream) => this.#isTrusted(stream, nowUs)));
    return best && best !== this.#chosen && this.#order(best, this.#chosen!) > 0 ? best : undefined;
  }

  #heard(nowUs: number): IncomingStream[] {
    return this.#streams.filter((stream) => {
      const life = this.#lives.get(stream);
      return life !== undefined && nowUs - life.lastUs <= PAUSE_US;
    });
  }

  #isTrusted(stream: IncomingStream, nowUs: number): boolean {
    const { diedUs, sinceUs } = this.#lives.get(stream)!;
    return diedUs === undefined || nowUs - Math.max(diedUs, sinceUs) >= RETURN_US;
  }

  #best(streams: readonly IncomingStream[]): IncomingStream | undefined {
    return streams.reduce<IncomingStream | undefined>(
      (best, stream) => (best && this.#order(stream, best) <= 0 ? best : stream),
      undefined,
    );
  }

  /** Above zero when `a` is to be preferred. */
  #order(a: IncomingStream, b: IncomingStream): number {
    if (a.size && b.size) {
      const larger = a.size.width * a.size.height - b.size.width * b.size.height;
      if (larger !== 0) return this.#sign * larger;
    }
    if (a.bitrateKbps > b.bitrateKbps * CLEARLY_MORE) return this.#sign;
    return b.bitrateKbps > a.bitrateKbps * CLEARLY_MORE ? -this.#sign : 0;
  }
}
