import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { newHexId } from '../../kernel/ids.ts';
import { type TokenClaim, verifyRtcToken } from './token.ts';

const NOW_S = 1_700_000_000;
const claim: TokenClaim = {
  appId: newHexId(),
  certificate: newHexId(),
  cname: 'a room, 17',
  uid: '2882341273',
  privileges: ['join'],
  nowS: NOW_S,
};

type Content = {
  uid: string;
  cname: string;
  expiresS: number;
  /** Privilege → Unix seconds. */
  privileges: [key: number, endS: number][];
  /** Bytes after the message, in it or behind it. */
  messageTail: Buffer;
  tail: Buffer;
};

/** A token packed by the layout of the contract, apart from any library. */
function pack(changed: Partial<Content> = {}): string {
  const { uid, cname, expiresS, privileges, messageTail, tail }: Content = {
    uid: claim.uid,
    cname: claim.cname,
    expiresS: NOW_S + 60,
    privileges: [[1, NOW_S + 60]],
    messageTail: Buffer.alloc(0),
    tail: Buffer.alloc(0),
    ...changed,
  };
  const u16 = (value: number) => Buffer.from([value & 0xff, value >> 8]);
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const sized = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes]);
  const rights = privileges.flatMap(([key, endS]) => [u16(key), u32(endS)]);
  const message = Buffer.concat([u32(99), u32(expiresS), u16(privileges.length), ...rights, messageTail]);
  const signature = createHmac('sha256', claim.certificate)
    .update(Buffer.concat([Buffer.from(`${claim.appId}${cname}${uid}`), message]))
    .digest();
  const content = Buffer.concat([sized(signature), u32(crc32(cname)), u32(crc32(uid)), sized(message), tail]);
  return `006${claim.appId}${content.toString('base64')}`;
}
const why = (token: string, changed: Partial<TokenClaim> = {}) => {
  const verdict = verifyRtcToken(token, { ...claim, ...changed });
  return verdict.ok ? 'ok' : verdict.why;
};

describe('a token of version 006', () => {
  test('is accepted until its last second', () => {
    expect(why(pack())).toBe('ok');
    expect(why(pack({ privileges: [[1, 0]] }), { nowS: NOW_S + 59 })).toBe('ok');
    expect(why(pack({ privileges: [[1, 0]] }), { nowS: NOW_S + 60 })).toBe('expired');
  });

  test.each([
    ['signature', { certificate: newHexId() }],
    ['appId', { appId: newHexId() }],
    ['channel', { cname: 'other' }],
    ['uid', { uid: '2882341274' }],
    ['privilege', { privileges: ['join', 'publishVideo'] }],
  ] as const)('is refused for its %s', (expected, changed) => {
    expect(why(pack(), changed as Partial<TokenClaim>)).toBe(expected);
  });

  test.each(['', '0'])('for uid %j fits any uid', (uid) => {
    expect(why(pack({ uid }))).toBe('ok');
    expect(why(pack({ uid }), { uid: '1' })).toBe('ok');
    expect(why(pack({ uid }), { cname: 'other' })).toBe('channel');
  });

  test('has privileges that end by themselves', () => {
    const token = pack({
      privileges: [
        [1, NOW_S + 60],
        [2, NOW_S + 5],
        [3, 0],
      ],
    });
    expect(why(token, { privileges: ['publishAudio', 'publishVideo'] })).toBe('ok');
    expect(why(token, { privileges: ['publishAudio'], nowS: NOW_S + 5 })).toBe('expired');
    expect(why(token, { privileges: ['publishVideo'], nowS: NOW_S + 5 })).toBe('ok');
  });

  test('is refused after every change of one character', () => {
    const token = pack();
    const bytesOf = (text: string) => Buffer.from(text.slice(35), 'base64');
    for (let at = 3; at < token.length; at++) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      // The last base64 digit has bits that no byte is made of.
      const same = at >= 35 && bytesOf(changed).equals(bytesOf(token));
      if (!same) expect(why(changed), `character ${at}`).not.toBe('ok');
    }
  });

  test.each([
    ['no content', () => `006${claim.appId}`],
    ['half an App ID', () => `006${claim.appId.slice(0, 10)}`],
    ['content that is not base64', () => `006${claim.appId}!!!!`],
    ['content that is cut short', () => pack().slice(0, 100)],
    ['more after its end', () => pack({ tail: Buffer.from([0]) })],
    ['more characters than any has', () => pack({ tail: Buffer.alloc(5000) })],
  ])('with %s is malformed', (_what, make) => {
    expect(why(make())).toBe('malformed');
  });

  test('that tells more privileges than it holds is malformed', () => {
    expect(why(pack({ privileges: [] }).slice(0, -1))).not.toBe('ok');
    // A count of one, and the key of the privilege without its end.
    const cut = pack({ privileges: [], messageTail: Buffer.from([1, 0]) });
    expect(why(cut)).toBe('privilege');
  });
});

describe('tokens of the 006 builder in npm agora-token', () => {
  type Builder = {
    buildTokenWithUid(app: string, secret: string, cname: string, uid: number, role: number, endS: number): string;
  };
  const { RtcTokenBuilder, Role } = createRequire(import.meta.url)('agora-token/src/RtcTokenBuilder.js') as {
    RtcTokenBuilder: Builder;
    Role: { PUBLISHER: number; SUBSCRIBER: number };
  };
  // The builder sets the end of the token itself a day from now.
  const nowS = Math.floor(Date.now() / 1000);
  const { appId, certificate, cname } = claim;
  const build = (uid: number, role: number) =>
    RtcTokenBuilder.buildTokenWithUid(appId, certificate, cname, uid, role, nowS + 60);

  test('are understood', () => {
    const token = build(2882341273, Role.PUBLISHER);
    expect(why(token, { nowS, privileges: ['join', 'publishAudio', 'publishVideo'] })).toBe('ok');
    expect(why(token, { nowS, uid: '1' })).toBe('uid');
    expect(why(token, { nowS, certificate: newHexId() })).toBe('signature');
    expect(why(token, { nowS: nowS + 61 })).toBe('expired');
    expect(why(build(0, Role.PUBLISHER), { nowS })).toBe('ok');
  });

  test('of a subscriber join and do not publish', () => {
    const token = build(0, Role.SUBSCRIBER);
    expect(why(token, { nowS })).toBe('ok');
    expect(why(token, { nowS, privileges: ['publishAudio'] })).toBe('privilege');
  });
});
