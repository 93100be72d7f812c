/**
 * RTC tokens of the older kind: AccessToken, "006…", which old token servers still make (contract §5.2). Such a token
 * signs channel and uid as one text, so a token for channel "a1" and uid 2 is always as good for channel "a" and uid
 * 12.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { refuse, refusePrivileges, type TokenClaim, TokenReader, type TokenVerdict } from './token-claim.ts';

export const VERSION_006 = '006';
const APP_ID_LENGTH = 32;
const SIGNATURE_BYTES = 32;
/** Far above what any set of privileges needs. */
const MAX_TOKEN_LENGTH = 4096;

type Parsed = {
  appId: string;
  signature: Buffer;
  channelCrc: number;
  uidCrc: number;
  message: Buffer;
  /** Unix seconds. */
  expiresS: number;
  /** Privilege → the moment it ends, Unix seconds. */
  privileges: Map<number, number>;
};

/** Whether a token that begins with "006" lets this uid into this channel, and if not, the first reason why. */
export function verify006(token: string, claim: TokenClaim): TokenVerdict {
  let parsed: Parsed;
  try {
    parsed = parse006(token);
  } catch (error) {
    return refuse('malformed', `the token is not a well-formed "006" token: ${(error as Error).message}`);
  }
  if (parsed.appId !== claim.appId) return refuse('appId', `the token is for another App ID than ${claim.appId}`);
  // The token names neither channel nor uid, only their checksums; the uid may have been signed in any of these
  // spellings.
  if (parsed.channelCrc !== crc32(claim.cname))
    return refuse('channel', `the token is for another channel than "${claim.cname}"`);
  const uids = [claim.uid, '', '0'].filter((uid) => crc32(uid) === parsed.uidCrc);
  if (uids.length === 0) return refuse('uid', `the token is for another uid than ${claim.uid}`);
  const isSigned = uids.some((uid) => timingSafeEqual(sign(parsed, claim, uid), parsed.signature));
  if (!isSigned)
    return refuse('signature', 'the token is not signed with the certificate of this app for this channel and uid');
  const expiredSinceS = claim.nowS - parsed.expiresS;
  if (expiredSinceS >= 0) return refuse('expired', `the token expired ${expiredSinceS} s ago`);
  return refusePrivileges(claim, parsed.privileges) ?? { ok: true };
}

function sign({ appId, message }: Parsed, { certificate, cname }: TokenClaim, uid: string): Buffer {
  return createHmac('sha256', certificate).update(appId).update(cname).update(uid).update(message).digest();
}

function parse006(token: string): Parsed {
  if (token.length > MAX_TOKEN_LENGTH) throw new Error(`it has more than ${MAX_TOKEN_LENGTH} characters`);
  const contentAt = VERSION_006.length + APP_ID_LENGTH;
  const packed = token.slice(contentAt);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) throw new Error('the part after its App ID is not base64');
  const content = new TokenReader(Buffer.from(packed, 'base64'));
  const signature = content.bytes();
  if (signature.length !== SIGNATURE_BYTES) throw new Error(`its signature has ${signature.length} bytes, not 32`);
  const channelCrc = content.u32();
  const uidCrc = content.u32();
  const message = content.bytes();
  if (content.rest().length > 0) throw new Error('it goes on after its end');
  const fields = new TokenReader(message);
  // The salt only makes tokens differ.
  fields.u32();
  const expiresS = fields.u32();
  const privileges = fields.map();
  return {
    appId: token.slice(VERSION_006.length, contentAt),
    signature,
    channelCrc,
    uidCrc,
    message,
    expiresS,
    privileges,
  };
}
