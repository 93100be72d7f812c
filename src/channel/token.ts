/**
 * RTC tokens: AccessToken2, "007…" (contract §5.2). Verification reads the bytes as they were signed; it repacks nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import agoraToken from 'agora-token';

export type Privilege = 'join' | 'publishAudio' | 'publishVideo';

export type TokenClaim = {
  appId: string;
  certificate: string;
  cname: string;
  /** Decimal, as in the path. A token without a uid fits any. */
  uid: string;
  privileges: readonly Privilege[];
  /** Now, Unix seconds. */
  nowS: number;
};

export type TokenVerdict =
  | { ok: true }
  | {
      ok: false;
      why: 'malformed' | 'signature' | 'appId' | 'channel' | 'uid' | 'expired' | 'privilege';
      /** A sentence for whoever made the token; holds nothing secret. */
      message: string;
    };

const VERSION = '007';
const SIGNATURE_BYTES = 32;
const RTC_SERVICE = 1;
/** Far above what any set of services needs; stops a small token from inflating to gigabytes. */
const MAX_CONTENT_BYTES = 64 * 1024;
const PRIVILEGE_KEYS: Record<Privilege, { key: number; words: string }> = {
  join: { key: 1, words: 'joining the channel' },
  publishAudio: { key: 2, words: 'publishing audio' },
  publishVideo: { key: 3, words: 'publishing video' },
};

/** Bodies of services that stand before the RTC one would have to be skipped; tokens are packed sorted by type, so none do. */
type RtcService = { privileges: Map<number, number>; cname: string; uid: string };
type Parsed = {
  signature: Buffer;
  signingInfo: Buffer;
  appId: string;
  issuedS: number;
  lifeS: number;
  salt: number;
  rtc: RtcService | undefined;
};

/** Says whether `token` lets this uid into this channel, and if not, the first reason why. */
export function verifyRtcToken(token: string, claim: TokenClaim): TokenVerdict {
  let parsed: Parsed;
  try {
    parsed = parseToken(token);
  } catch (error) {
    return refuse('malformed', `the token is not a well-formed "007" token: ${(error as Error).message}`);
  }
  if (parsed.appId !== claim.appId) return refuse('appId', `the token is for another App ID than ${claim.appId}`);
  if (!timingSafeEqual(sign(parsed, claim.certificate), parsed.signature))
    return refuse('signature', 'the token is not signed with the certificate of this app');
  const expiredSinceS = claim.nowS - (parsed.issuedS + parsed.lifeS);
  if (expiredSinceS >= 0) return refuse('expired', `the token expired ${expiredSinceS} s ago`);
  const { rtc } = parsed;
  if (!rtc) return refuse('privilege', 'the token holds no RTC service, so it opens no channel');
  if (rtc.cname !== claim.cname)
    return refuse('channel', `the token is for channel "${rtc.cname}", not for "${claim.cname}"`);
  if (rtc.uid !== '' && rtc.uid !== claim.uid)
    return refuse('uid', `the token is for uid ${rtc.uid}, not for ${claim.uid}`);
  for (const privilege of claim.privileges) {
    const { key, words } = PRIVILEGE_KEYS[privilege];
    const lifeS = rtc.privileges.get(key);
    if (lifeS === undefined) return refuse('privilege', `the token does not allow ${words}`);
    // 0 means that the privilege has no end of its own.
    if (lifeS !== 0 && claim.nowS >= parsed.issuedS + lifeS)
      return refuse('expired', `the token's right of ${words} has expired`);
  }
  return { ok: true };
}

/**
 * Makes a publisher's token.
 * @param options.lifeS seconds the token, and each of its rights, is valid
 */
export function buildRtcToken(options: {
  appId: string;
  certificate: string;
  cname: string;
  uid: string;
  lifeS: number;
}): string {
  const { RtcTokenBuilder, RtcRole } = agoraToken;
  return RtcTokenBuilder.buildTokenWithUserAccount(
    options.appId,
    options.certificate,
    options.cname,
    options.uid,
    RtcRole.PUBLISHER,
    options.lifeS,
    options.lifeS,
  );
}

function refuse(why: Extract<TokenVerdict, { ok: false }>['why'], message: string): TokenVerdict {
  return { ok: false, why, message };
}

function sign(parsed: Parsed, certificate: string): Buffer {
  const hmac = (key: Buffer, message: Buffer) => createHmac('sha256', key).update(message).digest();
  const first = hmac(u32(parsed.issuedS), Buffer.from(certificate, 'latin1'));
  return hmac(hmac(u32(parsed.salt), first), parsed.signingInfo);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function parseToken(token: string): Parsed {
  if (!token.startsWith(VERSION)) throw new Error('it does not begin with "007"');
  const packed = token.slice(VERSION.length);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) throw new Error('the part after "007" is not base64');
  const content = new Reader(inflateSync(Buffer.from(packed, 'base64'), { maxOutputLength: MAX_CONTENT_BYTES }));
  const signature = content.bytes();
  if (signature.length !== SIGNATURE_BYTES) throw new Error(`its signature has ${signature.length} bytes, not 32`);
  const signingInfo = content.rest();
  const info = new Reader(signingInfo);
  const parsed = {
    signature,
    signingInfo,
    appId: info.text(),
    issuedS: info.u32(),
    lifeS: info.u32(),
    salt: info.u32(),
  };
  const services = info.u16();
  // The body of any other service has a length we cannot know, and the RTC service is always the first.
  const rtc = services > 0 && info.u16() === RTC_SERVICE ? readRtcService(info) : undefined;
  return { ...parsed, rtc };
}

function readRtcService(info: Reader): RtcService {
  const privileges = new Map<number, number>();
  for (let left = info.u16(); left > 0; left--) {
    const key = info.u16();
    privileges.set(key, info.u32());
  }
  return { privileges, cname: info.text(), uid: info.text() };
}

class Reader {
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

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new Error('it is cut short');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}
