/**
 * RTC tokens: AccessToken2, "007…", and the older ones of token-006.ts (contract §5.2). Verification reads the bytes as
 * they were signed and repacks nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import agoraToken from 'agora-token';
import { VERSION_006, verify006 } from './token-006.ts';
import { refuse, refusePrivileges, type TokenClaim, TokenReader, type TokenVerdict } from './token-claim.ts';

export type { Privilege, TokenClaim, TokenVerdict } from './token-claim.ts';

const VERSION = '007';
const SIGNATURE_BYTES = 32;
const RTC_SERVICE = 1;
/** Far above what any set of services needs; stops a small token from inflating to gigabytes. */
const MAX_CONTENT_BYTES = 64 * 1024;

/**
 * Services before the RTC one would have to be skipped by their bodies; tokens are packed sorted by type, so there are
 * none.
 */
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

/** Whether `token`, of either kind, lets this uid into this channel, and if not, the first reason why. */
export function verifyRtcToken(token: string, claim: TokenClaim): TokenVerdict {
  return token.startsWith(VERSION_006) ? verify006(token, claim) : verify007(token, claim);
}

function verify007(token: string, claim: TokenClaim): TokenVerdict {
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
  // A token gives them as seconds from its issue; 0 means no end of its own.
  const endsS = new Map([...rtc.privileges].map(([key, lifeS]) => [key, lifeS && parsed.issuedS + lifeS]));
  return refusePrivileges(claim, endsS) ?? { ok: true };
}

/**
 * Makes a publisher's token.
 * @param options.lifeS how many seconds the token, and each of its rights, is valid
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
  const content = new TokenReader(inflateSync(Buffer.from(packed, 'base64'), { maxOutputLength: MAX_CONTENT_BYTES }));
  const signature = content.bytes();
  if (signature.length !== SIGNATURE_BYTES) throw new Error(`its signature has ${signature.length} bytes, not 32`);
  const signingInfo = content.rest();
  const info = new TokenReader(signingInfo);
  const parsed = {
    signature,
    signingInfo,
    appId: info.text(),
    issuedS: info.u32(),
    lifeS: info.u32(),
    salt: info.u32(),
  };
  const services = info.u16();
  // The length of another service's body is unknown, and the RTC service is always the first.
  const rtc = services > 0 && info.u16() === RTC_SERVICE ? readRtcService(info) : undefined;
  return { ...parsed, rtc };
}

function readRtcService(info: TokenReader): RtcService {
  return { privileges: info.map(), cname: info.text(), uid: info.text() };
}
