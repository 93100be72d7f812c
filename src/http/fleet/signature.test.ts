import { expect, test } from 'vitest';
import { bodyDigest, Signatures, type SignedRequest, sign } from './signature.ts';

const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)];
const NOW = 1_790_000_000_000;
const REQUEST: SignedRequest = {
  method: 'POST',
  url: '/v1/apps/a/cloud_recording/acquire?x=1',
  headers: {
    'aircheck-to': 'b',
    'aircheck-wire': '1',
    'aircheck-body-digest': bodyDigest(Buffer.from('{}')),
    'content-type': 'application/json',
  },
};

test('a request is accepted once, within ten seconds to either side', () => {
  const signatures = new Signatures([NEW!]);
  for (const lateMs of [-9_000, 0, 9_000]) {
    const signature = sign(REQUEST, NEW!, NOW);
    expect(signatures.refusalOf(REQUEST, signature, NOW + lateMs)).toBeUndefined();
    expect(signatures.refusalOf(REQUEST, signature, NOW + lateMs)).toMatch(/sent before/);
  }
  for (const lateMs of [-11_000, 11_000])
    expect(signatures.refusalOf(REQUEST, sign(REQUEST, NEW!, NOW), NOW + lateMs)).toMatch(/too old, or of the future/);
});

test('one that was accepted is known for as long as its time would let it in', () => {
  for (let laterMs = 0; laterMs <= 20_000; laterMs += 500) {
    const signatures = new Signatures([NEW!]);
    const signature = sign(REQUEST, NEW!, NOW);
    expect(signatures.refusalOf(REQUEST, signature, NOW - 9_999)).toBeUndefined();
    for (let ms = NOW - 9_999; ms < NOW - 9_999 + laterMs; ms += 1_000)
      signatures.refusalOf(REQUEST, sign(REQUEST, NEW!, ms), ms);
    expect(signatures.refusalOf(REQUEST, signature, NOW - 9_999 + laterMs), `${laterMs}`).toBeDefined();
  }
});

test.each([
  ['method', { method: 'GET' }],
  ['path', { url: '/v1/apps/b/cloud_recording/acquire?x=1' }],
  ['query', { url: '/v1/apps/a/cloud_recording/acquire?x=2' }],
  ['node', { headers: { ...REQUEST.headers, 'aircheck-to': 'c' } }],
  ['protocol', { headers: { ...REQUEST.headers, 'aircheck-wire': '2' } }],
  ['body', { headers: { ...REQUEST.headers, 'aircheck-body-digest': bodyDigest(Buffer.from('[]')) } }],
  ['type of the body', { headers: { ...REQUEST.headers, 'content-type': 'application/sdp' } }],
  ['place', { headers: { ...REQUEST.headers, 'aircheck-placed': 'b' } }],
  ['added header', { headers: { ...REQUEST.headers, 'if-match': '"e"' } }],
] as [string, Partial<SignedRequest>][])('a signature does not hold for another %s', (_what, changed) => {
  const signature = sign(REQUEST, NEW!, NOW);
  expect(new Signatures([NEW!]).refusalOf({ ...REQUEST, ...changed }, signature, NOW)).toMatch(/was changed/);
});

test('what a proxy adds does not matter', () => {
  const seen = { ...REQUEST, headers: { ...REQUEST.headers, via: '1.1 proxy', host: 'x' } };
  expect(new Signatures([NEW!]).refusalOf(seen, sign(REQUEST, NEW!, NOW), NOW)).toBeUndefined();
});

test('while a key is changed both are accepted, and no third', () => {
  const signatures = new Signatures([NEW!, OLD!]);
  for (const key of [NEW!, OLD!]) expect(signatures.refusalOf(REQUEST, sign(REQUEST, key, NOW), NOW)).toBeUndefined();
  expect(signatures.refusalOf(REQUEST, sign(REQUEST, 'x'.repeat(32), NOW), NOW)).toMatch(/another key/);
});

test('what nodes of the first protocol sign is accepted as it was signed then', () => {
  const request: SignedRequest = {
    method: 'POST',
    url: `/v1/apps/${'a'.repeat(32)}/cloud_recording/acquire`,
    headers: {
      'aircheck-wire': '1',
      'aircheck-to': 'b'.repeat(32),
      'aircheck-body-digest': bodyDigest(Buffer.from('{"cname":"room","uid":"9","clientRequest":{}}')),
      'content-type': 'application/json',
      'x-request-id': 'r-1',
    },
  };
  // Recorded from version 0.1.0: nodes of two versions stand side by side while a fleet is upgraded.
  const digest = 'bee580bb72d294b2d658d370e54ed838b4c874847cf7e8cb7a01d025417ae8a1';
  const signature = `1795968000000.692bcc1175c15d4d92cf1c2f.${digest}`;
  const signatures = new Signatures(['a key of a fleet that is long enough']);
  expect(signatures.refusalOf(request, signature, 1_795_968_001_000)).toBeUndefined();
});

test.each([undefined, '', 'x', `${NOW}.aa.bb`, `${NOW}.${'a'.repeat(24)}.${'é'.repeat(64)}`])(
  'what is no signature is refused: %s',
  (signature) => {
    expect(new Signatures([NEW!]).refusalOf(REQUEST, signature, NOW)).toBe('the request is not signed');
  },
);
