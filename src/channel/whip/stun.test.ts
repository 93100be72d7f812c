import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { isBindingRequest, isSignedWith, usernameOf, writeBindingSuccess } from './stun.ts';

// RFC 5769 §2.1: a sample request, made by others.
const PASSWORD = 'VOkJxbRl1RmTxUk/WvJxBt';
const REQUEST = Buffer.from(
  `000100582112a442b7e7a701bc34d686fa87dfae
  802200105354554e207465737420636c69656e74
  002400046e0001ff
  80290008932ff9b151263b36
  00060009 6576746a3a68367659 202020
  00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  80280004 e57a3bcf`.replace(/\s/g, ''),
  'hex',
);

describe('the sample request of RFC 5769', () => {
  test('is known, with its username and who signed it', () => {
    expect(isBindingRequest(REQUEST)).toBe(true);
    expect(usernameOf(REQUEST)).toBe('evtj:h6vY');
    expect(isSignedWith(REQUEST, PASSWORD)).toBe(true);
    expect(isSignedWith(REQUEST, `${PASSWORD}x`)).toBe(false);
  });

  test('is not signed any more when one of its bytes is another', () => {
    const changed = Buffer.from(REQUEST);
    changed[30]! ^= 1;
    expect(isSignedWith(changed, PASSWORD)).toBe(false);
  });

  // §2.2 and §2.3 answer it; their SOFTWARE attribute is not sent here, so only addresses are compared byte by byte.
  test.each([
    ['192.0.2.1', '00200008 0001a147e112a643'],
    ['2001:db8:1234:5678:11:2233:4455:6677', '00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9'],
  ])('is answered with the address it came from: %s', (address, mapped) => {
    const response = writeBindingSuccess(REQUEST, { address, port: 32853 }, PASSWORD);
    const attribute = mapped.replaceAll(' ', '');
    expect(response.toString('hex', 0, 2)).toBe('0101');
    expect(response.readUInt16BE(2)).toBe(response.length - 20);
    expect(response.subarray(4, 20)).toEqual(REQUEST.subarray(4, 20));
    expect(response.toString('hex', 20, 20 + attribute.length / 2)).toBe(attribute);
    expect(isSignedWith(response, PASSWORD)).toBe(true);
    expect(isSignedWith(response, 'other')).toBe(false);
    expect(isBindingRequest(response)).toBe(false);
  });
});

test('an answer ends with a fingerprint as the sample request does (RFC 8489 §14.7)', () => {
  const fingerprintOf = (message: Buffer) => (crc32(message.subarray(0, -8)) ^ 0x5354554e) >>> 0;
  expect(REQUEST.readUInt32BE(REQUEST.length - 4)).toBe(fingerprintOf(REQUEST));
  const response = writeBindingSuccess(REQUEST, { address: '192.0.2.1', port: 32853 }, PASSWORD);
  expect(response.toString('hex', response.length - 8, response.length - 4)).toBe('80280004');
  expect(response.readUInt32BE(response.length - 4)).toBe(fingerprintOf(response));
});

test.each([
  ['::1', '00000000000000000000000000000001'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['fe80::1:2%eth0', 'fe800000000000000000000000010002'],
  ['2001:db8::', '20010db8000000000000000000000000'],
])('%s is written in full', (address, expected) => {
  const response = writeBindingSuccess(REQUEST, { address, port: 1 }, PASSWORD);
  const mask = REQUEST.subarray(4, 20);
  const bytes = Buffer.from(response.subarray(28, 44).map((byte, n) => byte ^ mask[n]!));
  expect(bytes.toString('hex')).toBe(expected);
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['a header cut short', REQUEST.subarray(0, 19)],
  ['a length that is not its own', REQUEST.subarray(0, 60)],
  ['RTP', Buffer.concat([Buffer.from([0x80, 0x60]), REQUEST.subarray(2)])],
  ['another cookie', Buffer.concat([REQUEST.subarray(0, 4), Buffer.alloc(4), REQUEST.subarray(8)])],
])('%s is no Binding request', (_what, datagram) => {
  expect(isBindingRequest(datagram)).toBe(false);
});

test('attributes that reach over the end are not read', () => {
  const bare = Buffer.concat([REQUEST.subarray(0, 20), Buffer.from('00060010aabbccdd', 'hex')]);
  bare.writeUInt16BE(8, 2);
  expect(isBindingRequest(bare)).toBe(true);
  expect(usernameOf(bare)).toBeUndefined();
  expect(isSignedWith(bare, PASSWORD)).toBe(false);
});
