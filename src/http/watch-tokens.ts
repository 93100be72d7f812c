/**
 * WatchTokens: what opens a recording to whoever watches it. A token says until when it is good and is signed for one
 * recording, so that any node of a fleet can judge it, and none keeps any.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { problem } from '../contract/problems.ts';
import type { Clock } from '../kernel/clock.ts';

/** Keeps what is made of a key for this from being of use for anything else. */
const LABEL = 'aircheck watch tokens';
const SIGNATURE_BYTES = 16;
const FORM = /^([0-9a-z]{1,9})\.([\w-]{22})$/;

export type WatchTokensOptions = {
  /** 64 hexadecimal digits each. The first signs, and what any of them signed is good. */
  keys: readonly string[];
  clock: Clock;
  /** How long a token is good where its caller does not say, seconds. */
  lifeS: number;
};

export class WatchTokens {
  readonly #keys: readonly Buffer[];
  readonly #clock: Clock;
  readonly #lifeS: number;

  constructor({ keys, clock, lifeS }: WatchTokensOptions) {
    this.#keys = keys.map((key) => Buffer.from(hkdfSync('sha256', Buffer.from(key, 'hex'), '', LABEL, 32)));
    this.#clock = clock;
    this.#lifeS = lifeS;
  }

  mint(appid: string, sid: string, seconds = this.#lifeS): { token: string; expiresMs: number } {
    const untilS = Math.ceil(this.#clock.nowMs() / 1000) + seconds;
    const signature = signatureOf(this.#keys[0]!, appid, sid, untilS);
    return { token: `${untilS.toString(36)}.${signature.toString('base64url')}`, expiresMs: untilS * 1000 };
  }

  /** Throws `watch-token-invalid` and `watch-token-over`. */
  check(appid: string, sid: string, token: unknown): void {
    const [, until = '', signed = ''] = (typeof token === 'string' && FORM.exec(token)) || [];
    const untilS = Number.parseInt(until, 36);
    const given = Buffer.from(signed, 'base64url');
    const isSigned = this.#keys.some((key) => {
      const signature = signatureOf(key, appid, sid, untilS);
      return given.length === signature.length && timingSafeEqual(given, signature);
    });
    if (!isSigned) throw problem('watch-token-invalid');
    if (this.#clock.nowMs() >= untilS * 1000) throw problem('watch-token-over');
  }
}

function signatureOf(key: Buffer, appid: string, sid: string, untilS: number): Buffer {
  return createHmac('sha256', key).update(`${appid} ${sid} ${untilS}`).digest().subarray(0, SIGNATURE_BYTES);
}
