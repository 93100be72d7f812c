import agoraToken from 'agora-token';
import { describe, expect, test } from 'vitest';
import { newHexId } from '../../kernel/ids.ts';
import { buildRtcToken, type TokenClaim, verifyRtcToken } from './token.ts';

const VECTOR =
  '007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj';
const claim: TokenClaim = {
  appId: '970CA35de60c44645bbae8a215061b33',
  certificate: '5CFd2fd1755d40ecb72977518be15d3b',
  cname: '7d72365eb983485397e3e3f9d460bdda',
  uid: '2882341273',
  privileges: ['join'],
  nowS: 1111111 + 599,
};
const why = (token: string, changed: Partial<TokenClaim>) => {
  const verdict = verifyRtcToken(token, { ...claim, ...changed });
  return verdict.ok ? 'ok' : verdict.why;
};

describe('the vector of contract §5.2', () => {
  test('is accepted until its last second', () => {
    expect(verifyRtcToken(VECTOR, claim)).toEqual({ ok: true });
    expect(why(VECTOR, { nowS: 1111111 + 600 })).toBe('expired');
  });

  test.each([
    ['signature', { certificate: '5CFd2fd1755d40ecb72977518be15d3c' }],
    ['appId', { appId: '970CA35de60c44645bbae8a215061b34' }],
    ['channel', { cname: 'other' }],
    ['uid', { uid: '2882341274' }],
    ['privilege', { privileges: ['join', 'publishVideo'] }],
  ] as const)('is refused for its %s', (expected, changed) => {
    expect(why(VECTOR, changed as Partial<TokenClaim>)).toBe(expected);
  });

  test('every change of one character is refused', () => {
    for (let at = 3; at < VECTOR.length; at++) {
      const changed = VECTOR.slice(0, at) + (VECTOR[at] === 'A' ? 'B' : 'A') + VECTOR.slice(at + 1);
      // The last base64 digit has bits that no byte is made of.
      const same = Buffer.from(changed.slice(3), 'base64').equals(Buffer.from(VECTOR.slice(3), 'base64'));
      if (!same) expect(verifyRtcToken(changed, claim).ok, `character ${at}`).toBe(false);
    }
  });
});

describe('malformed tokens', () => {
  test.each(['', '006970CA35de60c44645bbae8a215061b33IAB', '007', '007!!!!', '007AAAA', VECTOR.slice(0, 60)])(
    '%j',
    (token) => {
      expect(why(token, {})).toBe('malformed');
    },
  );
});

describe('tokens of npm agora-token', () => {
  const appId = newHexId();
  const certificate = newHexId();
  const nowS = Math.floor(Date.now() / 1000);
  const mine = { appId, certificate, cname: 'a room', uid: '17', nowS };

  test('a publisher token, ours and theirs, allows everything for its uid', () => {
    const token = buildRtcToken({ appId, certificate, cname: 'a room', uid: '17', lifeS: 60 });
    expect(why(token, { ...mine, privileges: ['join', 'publishAudio', 'publishVideo'] })).toBe('ok');
    expect(why(token, { ...mine, uid: '18' })).toBe('uid');
    expect(why(token, { ...mine, nowS: nowS + 61 })).toBe('expired');
  });

  test('uid 0 fits any user; a subscriber may join and not publish', () => {
    const { RtcTokenBuilder, RtcRole } = agoraToken;
    const token = RtcTokenBuilder.buildTokenWithUid(appId, certificate, 'a room', 0, RtcRole.SUBSCRIBER, 60, 60);
    expect(why(token, { ...mine, privileges: ['join'] })).toBe('ok');
    expect(why(token, { ...mine, privileges: ['join', 'publishAudio'] })).toBe('privilege');
  });

  test('a privilege may end before the token does', () => {
    const { RtcTokenBuilder } = agoraToken;
    const token = RtcTokenBuilder.buildTokenWithUidAndPrivilege(appId, certificate, 'a room', 17, 60, 60, 5, 0, 0);
    expect(why(token, { ...mine, privileges: ['publishAudio'] })).toBe('ok');
    expect(why(token, { ...mine, privileges: ['publishAudio'], nowS: nowS + 6 })).toBe('expired');
    expect(why(token, { ...mine, privileges: ['publishVideo'], nowS: nowS + 6 })).toBe('ok');
  });

  test('a token for a chat service opens no channel', () => {
    const { ChatTokenBuilder } = agoraToken as unknown as {
      ChatTokenBuilder: { buildUserToken(appId: string, certificate: string, user: string, lifeS: number): string };
    };
    const token = ChatTokenBuilder.buildUserToken(appId, certificate, '17', 60);
    expect(why(token, { ...mine })).toBe('privilege');
  });
});
