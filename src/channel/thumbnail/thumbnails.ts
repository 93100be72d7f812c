/**
 * Thumbnails: a small picture of each publisher for whoever looks at a channel. Nothing is done unless somebody asks;
 * then one key frame is decoded, at most every few seconds for each publisher, however many ask.
 */
import { createHash } from 'node:crypto';
import { THUMBNAIL_SIDE } from '../../contract/line/thumbnail.ts';
import { problem } from '../../contract/problems.ts';
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, US } from '../../kernel/time.ts';
import type { Encoding } from '../room/encoding.ts';
import type { Publication } from '../room/publication.ts';
import type { Rooms } from '../room/rooms.ts';
import { type KeyFrame, nextKeyFrame, readKeyFrame } from './key-frame.ts';

export type Thumbnail = {
  /** A JPEG file, upright, of at most THUMBNAIL_SIDE pixels on its longer side. */
  jpeg: Buffer;
  /** Strong entity tag of it (RFC 9110 §8.8.3), with its quotes. */
  etag: string;
  /** When its key frame came in, Unix milliseconds. */
  takenMs: number;
};

export type ThumbnailsOptions = {
  clock: Clock;
  rooms: Pick<Rooms, 'publicationsOf'>;
  /** Resolves to a JPEG file. Rejects with `thumbnail-unknown` and `thumbnail-refused`. */
  draw(keyFrame: Pick<KeyFrame, 'format' | 'datagrams'>): Promise<Buffer>;
};

/**
 * A thumbnail is given out for so long, and a key frame is asked for when the newest is older: it takes bits from the
 * pictures around it, so a sender should not make many.
 */
export const FRESH_US = 8 * US;
/** Where there was none, it is looked for again after this time. */
export const RETRY_US = 2 * US;
/** How long a key frame is waited for. */
export const PATIENCE_MS = 1_500;
/** A key frame that began to come in so lately may still be on its way, and is not asked for. */
const COMING_US = 500_000;
/** A layer of which no picture came for so long is dead. */
const QUIET_US = 1_500_000;
/** Where none can be drawn, the last one is given out until its key frame is of this age. */
export const OLD_US = 60 * US;

type Taken = { thumbnail: Thumbnail; encoding: Encoding; keyFrameUs: HostUs };

/** One look at a publication. */
type Look = {
  result: Promise<Thumbnail>;
  /** Until when nobody looks again; infinity while this look goes on. */
  untilUs: HostUs;
  /** What came of it, or of those before it. */
  taken: Taken | undefined;
  /** When its sender was last asked for a key frame. */
  askedUs: HostUs;
};

export class Thumbnails {
  readonly #options: ThumbnailsOptions;
  readonly #looks = new WeakMap<Publication, Look>();

  constructor(options: ThumbnailsOptions) {
    this.#options = options;
  }

  /**
   * The picture of a publisher, of the last seconds where its sender has key frames when they are asked for. Rejects
   * with `thumbnail-unknown` and `thumbnail-refused`.
   */
  async of(appid: string, cname: string, uid: string): Promise<Thumbnail> {
    const { rooms, clock } = this.#options;
    const nowUs = clock.monoUs();
    const isShown = (each: Publication) => each.format.kind === 'video' && each.report(nowUs).receiving;
    const publication = rooms.publicationsOf(appid, cname, uid).findLast(isShown);
    const encoding = publication && encodingOf(publication, nowUs);
    if (!encoding) throw problem('thumbnail-unknown');
    const former = this.#looks.get(publication);
    if (former && nowUs < former.untilUs) return former.result;
    const look = this.#look(encoding, former);
    this.#looks.set(publication, look);
    return look.result;
  }

  #look(encoding: Encoding, former: Look | undefined): Look {
    const { clock } = this.#options;
    const beganUs = clock.monoUs();
    const look: Omit<Look, 'result'> = {
      untilUs: Number.POSITIVE_INFINITY,
      taken: former?.taken,
      askedUs: former?.askedUs ?? Number.NEGATIVE_INFINITY,
    };
    const result = this.#take(encoding, look).then(
      (taken) => {
        look.taken = taken;
        look.untilUs = beganUs + FRESH_US;
        return taken.thumbnail;
      },
      (error) => {
        const nowUs = clock.monoUs();
        look.untilUs = nowUs + RETRY_US;
        const { taken } = look;
        if (taken && nowUs - taken.keyFrameUs < OLD_US) return taken.thumbnail;
        throw error;
      },
    );
    return Object.assign(look, { result });
  }

  async #take(encoding: Encoding, look: Omit<Look, 'result'>): Promise<Taken> {
    const { clock, draw } = this.#options;
    const keyFrame = await this.#keyFrameOf(encoding, look);
    if (!keyFrame) throw problem('thumbnail-unknown');
    const { arrivalUs: keyFrameUs } = keyFrame;
    const { taken } = look;
    if (taken?.encoding === encoding && taken.keyFrameUs === keyFrameUs) return taken;
    const jpeg = await draw(keyFrame);
    const etag = `"${createHash('sha256').update(jpeg).digest('base64url').slice(0, 22)}"`;
    const takenMs = Math.round(clock.nowMs() - (clock.monoUs() - keyFrameUs) / 1000);
    return { thumbnail: { jpeg, etag, takenMs }, encoding, keyFrameUs };
  }

  /** One of the last seconds, or else the newest that there is. */
  async #keyFrameOf(encoding: Encoding, look: Pick<Look, 'askedUs'>): Promise<KeyFrame | undefined> {
    const { clock } = this.#options;
    const nowUs = clock.monoUs();
    const newest = readKeyFrame(encoding);
    if (newest && nowUs - newest.arrivalUs < FRESH_US) return newest;
    const isComing = nowUs - (encoding.keyFrameUs ?? Number.NEGATIVE_INFINITY) < COMING_US;
    const ask = !isComing && nowUs - look.askedUs >= FRESH_US;
    if (ask) look.askedUs = nowUs;
    return (await nextKeyFrame(encoding, newest, { clock, limitMs: PATIENCE_MS, ask })) ?? newest;
  }
}

/**
 * Of a simulcast the smallest layer that is as large as a thumbnail, so that its sender has to make no large key frame
 * for it. Undefined while no layer lives.
 */
function encodingOf({ encodings }: Publication, nowUs: HostUs): Encoding | undefined {
  const live = encodings.filter(({ lastPictureUs }) => encodings.length === 1 || nowUs - lastPictureUs < QUIET_US);
  const known = live.filter(({ size }) => size !== undefined).sort((a, b) => sideOf(a) - sideOf(b));
  return known.find((each) => sideOf(each) >= THUMBNAIL_SIDE) ?? known.at(-1) ?? live[0];
}

/** The longer side of its pictures, pixels. */
function sideOf({ size }: Encoding): number {
  return Math.max(size?.width ?? 0, size?.height ?? 0);
}
