/** What an RTC token must allow, and the answer, for tokens of every version (contract §5.2). */
export type Privilege = 'join' | 'publishAudio' | 'publishVideo';

export type TokenClaim = {
  appId: string;
  certificate: string;
  cname: string;
  /** Decimal, as in the path. A token without a uid fits every user. */
  uid: string;
  privileges: readonly Privilege[];
  /** Now, Unix seconds. */
  nowS: number;
};

export type TokenRefusal = {
  ok: false;
  why: 'malformed' | 'signature' | 'appId' | 'channel' | 'uid' | 'expired' | 'privilege';
  /** A sentence for whoever made the token; it holds nothing secret. */
  message: string;
};
export type TokenVerdict = { ok: true } | TokenRefusal;

const PRIVILEGE_KEYS: Record<Privilege, { key: number; words: string }> = {
  join: { key: 1, words: 'joining the channel' },
  publishAudio: { key: 2, words: 'publishing audio' },
  publishVideo: { key: 3, words: 'publishing video' },
};

export function refuse(why: TokenRefusal['why'], message: string): TokenRefusal {
  return { ok: false, why, message };
}

/**
 * The first claimed privilege that a token does not hold now, as a refusal.
 * @param granted when privileges end, Unix seconds, by their numbers; 0 means that a privilege has no end of its own
 */
export function refusePrivileges(claim: TokenClaim, granted: ReadonlyMap<number, number>): TokenRefusal | undefined {
  for (const privilege of claim.privileges) {
    const { key, words } = PRIVILEGE_KEYS[privilege];
    const endS = granted.get(key);
    if (endS === undefined) return refuse('privilege', `the token does not allow ${words}`);
    if (endS !== 0 && claim.nowS >= endS) return refuse('expired', `the token's right of ${words} has expired`);
  }
  return undefined;
}

/**
 * Reads the fields of a token: little-endian numbers, and bytes that follow their 16-bit length. Throws when the token
 * is cut short.
 */
export class TokenReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u16(): number {
    return this.#take(2).readUInt16LE();
  }

  u32(): number {
    return this.#take(4).readUInt32LE();
  }

  bytes(): Buffer {
    return this.#take(this.u16());
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  /** A count, followed by as many pairs of a 16-bit key and a 32-bit value. */
  map(): Map<number, number> {
    const map = new Map<number, number>();
    for (let left = this.u16(); left > 0; left--) {
      const key = this.u16();
      map.set(key, this.u32());
    }
    return map;
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new Error('it is cut short');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}
