/**
 * EncodingChoice: which encoding of a simulcast one recorder is given. It is the highest or the lowest one; while that
 * one is dead another takes its place, from the first key frame on that it sent since then. Each change begins at a key
 * frame.
 */
import type { HostUs } from '../../kernel/time.ts';
import type { Encoding } from './encoding.ts';

/** `videoStreamType` of the start call (contract §1.2.2): 0 the high encoding, 1 the low one. */
export type VideoStreamType = 0 | 1;

/** The chosen encoding is dead when it is silent this long while another is heard. */
export const DEAD_US = 1_000_000;
/**
 * After this much silence a key frame of the substitute is asked for, unless it has sent one meanwhile, so that it can
 * be shown from there on once the chosen one is dead.
 */
const SUSPECT_US = 400_000;
/** An encoding that was dead is chosen again after it was heard this long without a pause. */
export const RETURN_US = 2_000_000;
/** A silence longer than this is a pause of an encoding that is heard. */
const PAUSE_US = 500_000;
/**
 * After a change silence counts only this much later: for a second a recorder takes packets of the former encoding for
 * stragglers.
 */
const SETTLE_US = 600_000;
/** Encodings of equal or unknown size are ranked by bitrate when one has this many times the other's. */
const CLEARLY_MORE = 1.5;

type Life = { sinceUs: HostUs; lastUs: HostUs; diedUs: HostUs | undefined };

export class EncodingChoice {
  readonly #encodings: readonly Encoding[];
  readonly #sign: number;
  readonly #lives = new Map<Encoding, Life>();
  #chosen: Encoding | undefined;
  #changedUs = Number.NEGATIVE_INFINITY;
  /** When another encoding was first heard after the last packet of the chosen one. */
  #quietSinceUs: HostUs | undefined;
  /** From when on the chosen one takes the place of a dead one; undefined when it does not. */
  #replacesFromUs: HostUs | undefined;
  /** The encoding to change to, and since when a key frame of it is awaited. */
  #next: { encoding: Encoding; sinceUs: HostUs } | undefined;

  /** Begins with the best encoding that is heard and has a key frame kept; with none when there is no such encoding. */
  constructor(encodings: readonly Encoding[], videoStreamType: VideoStreamType, nowUs: HostUs) {
    this.#encodings = encodings;
    this.#sign = videoStreamType === 0 ? 1 : -1;
    if (encodings.length === 1) {
      this.#chosen = encodings[0];
      return;
    }
    for (const encoding of encodings) {
      const { lastPictureUs } = encoding;
      if (nowUs - lastPictureUs < PAUSE_US)
        this.#lives.set(encoding, { sinceUs: lastPictureUs, lastUs: lastPictureUs, diedUs: undefined });
    }
    this.#chosen = this.#best([...this.#lives.keys()].filter((encoding) => encoding.hasKeyFrame));
  }

  /** The encoding that the recorder is given now. */
  get chosen(): Encoding | undefined {
    return this.#chosen;
  }

  /** Index in the log of the chosen encoding at which the recorder begins with it, when it changes to it at `nowUs`. */
  beginning(nowUs: HostUs): number {
    const { log } = this.#chosen!;
    const first = this.#replacesFromUs === undefined ? undefined : log.firstStartFrom(this.#replacesFromUs);
    return first ?? log.startOf(nowUs);
  }

  /** Index from which on an encoding that is not chosen may still take the chosen one's place; infinity for none. */
  needs(encoding: Encoding): number {
    const missedUs = encoding === this.#chosen ? undefined : this.#missedFromUs;
    return (missedUs === undefined ? undefined : encoding.log.firstStartFrom(missedUs)) ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Takes note of each packet of the track, after the encoding itself has taken it. Asks encodings for key frames that
   * a change will need.
   * @returns whether `chosen` changed: the recorder is then given what is kept of the new one, which begins with a key
   * frame and, if this packet is of it, ends with this packet
   */
  onPacket(encoding: Encoding, nowUs: HostUs): boolean {
    if (this.#encodings.length === 1) return false;
    // Only whole pictures show that it lives; padding and headers do not.
    const isPicture = encoding.lastPictureUs === nowUs;
    if (isPicture) this.#note(encoding, nowUs);
    const chosen = this.#chosen;
    if (!chosen) return this.#begin(encoding, nowUs);
    if (isPicture && encoding === chosen) this.#quietSinceUs = undefined;
    else if (isPicture) this.#quietSinceUs ??= nowUs;
    const quietUs =
      this.#quietSinceUs === undefined ? 0 : nowUs - Math.max(this.#quietSinceUs, this.#changedUs + SETTLE_US);
    const target = quietUs >= SUSPECT_US ? this.#substitute(nowUs) : this.#better(nowUs);
    if (!target) {
      this.#next = undefined;
      return false;
    }
    if (this.#next?.encoding !== target) {
      const sinceUs = quietUs >= SUSPECT_US ? this.#missedFromUs! : nowUs;
      this.#next = { encoding: target, sinceUs };
      // An encoding that is heard for the first time may bring its key frame with this very packet.
      if (target.keyFrameUs === undefined || target.keyFrameUs < sinceUs) target.wantKeyFrame();
    }
    const isDead = quietUs >= DEAD_US;
    if (quietUs >= SUSPECT_US && !isDead) return false;
    if (target.keyFrameUs === undefined || target.keyFrameUs < this.#next.sinceUs) return false;
    if (!target.hasKeyFrame) {
      target.wantKeyFrame();
      return false;
    }
    const replacesFromUs = isDead ? this.#missedFromUs : undefined;
    if (isDead) this.#lives.get(chosen)!.diedUs = nowUs;
    this.#change(target, nowUs, replacesFromUs);
    return true;
  }

  /**
   * From when on pictures of another encoding would be shown if the chosen one is dead. Right after a change a recorder
   * takes those of the former one for stragglers.
   */
  get #missedFromUs(): HostUs | undefined {
    if (this.#quietSinceUs === undefined) return undefined;
    return Math.max(this.#quietSinceUs, this.#changedUs + SETTLE_US + SUSPECT_US);
  }

  #begin(encoding: Encoding, nowUs: HostUs): boolean {
    if (!encoding.hasKeyFrame) return false;
    this.#change(encoding, nowUs);
    return true;
  }

  #change(encoding: Encoding, nowUs: HostUs, replacesFromUs?: HostUs): void {
    this.#chosen = encoding;
    this.#changedUs = nowUs;
    this.#replacesFromUs = replacesFromUs;
    this.#quietSinceUs = undefined;
    this.#next = undefined;
  }

  #note(encoding: Encoding, nowUs: HostUs): void {
    const life = this.#lives.get(encoding);
    if (!life) this.#lives.set(encoding, { sinceUs: nowUs, lastUs: nowUs, diedUs: undefined });
    else {
      if (nowUs - life.lastUs > PAUSE_US) life.sinceUs = nowUs;
      life.lastUs = nowUs;
    }
  }

  /** The encoding that takes the place of the chosen one: one that never died before one that came back. */
  #substitute(nowUs: HostUs): Encoding | undefined {
    const others = this.#heard(nowUs).filter((encoding) => encoding !== this.#chosen);
    return this.#best(others.filter((encoding) => this.#isTrusted(encoding, nowUs))) ?? this.#best(others);
  }

  /** An encoding that is alive and ranks above the chosen one. */
  #better(nowUs: HostUs): Encoding | undefined {
    const best = this.#best(this.#heard(nowUs).filter((encoding) => this.#isTrusted(encoding, nowUs)));
    return best && best !== this.#chosen && this.#order(best, this.#chosen!) > 0 ? best : undefined;
  }

  #heard(nowUs: HostUs): Encoding[] {
    return this.#encodings.filter((encoding) => {
      const life = this.#lives.get(encoding);
      return life !== undefined && nowUs - life.lastUs <= PAUSE_US;
    });
  }

  #isTrusted(encoding: Encoding, nowUs: HostUs): boolean {
    const { diedUs, sinceUs } = this.#lives.get(encoding)!;
    return diedUs === undefined || nowUs - Math.max(diedUs, sinceUs) >= RETURN_US;
  }

  #best(encodings: readonly Encoding[]): Encoding | undefined {
    return encodings.reduce<Encoding | undefined>(
      (best, encoding) => (best && this.#order(encoding, best) <= 0 ? best : encoding),
      undefined,
    );
  }

  /** Above zero when `a` ranks above `b`. */
  #order(a: Encoding, b: Encoding): number {
    if (a.size && b.size) {
      const larger = a.size.width * a.size.height - b.size.width * b.size.height;
      if (larger !== 0) return this.#sign * larger;
    }
    if (a.bitrateKbps > b.bitrateKbps * CLEARLY_MORE) return this.#sign;
    return b.bitrateKbps > a.bitrateKbps * CLEARLY_MORE ? -this.#sign : 0;
  }
}
