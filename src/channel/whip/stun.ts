/**
 * The part of STUN (RFC 8489) that is needed to know a Binding request, to check who sent it, and to answer it, with
 * the short-term credentials that ICE uses (RFC 8445 §7).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { crc32 } from 'node:zlib';

export type TransportAddress = { address: string; port: number };

const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const XOR_MAPPED_ADDRESS = 0x0020;
const FINGERPRINT = 0x8028;
const FINGERPRINT_MASK = 0x5354554e;
const SHA1_BYTES = 20;
const FINGERPRINT_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;

/** False for RTP, RTCP and DTLS, which share the port (RFC 7983), and for other STUN messages. */
export function isBindingRequest(datagram: Buffer): boolean {
  return (
    datagram.length >= HEADER_BYTES &&
    datagram.readUInt16BE(0) === BINDING_REQUEST &&
    datagram.readUInt32BE(4) === MAGIC_COOKIE &&
    datagram.readUInt16BE(2) === datagram.length - HEADER_BYTES
  );
}

/** @param message for which `isBindingRequest` holds */
export function usernameOf(message: Buffer): string | undefined {
  const start = findAttribute(message, USERNAME);
  if (start === undefined) return undefined;
  const length = message.readUInt16BE(start + 2);
  return message.toString('utf8', start + ATTRIBUTE_HEADER_BYTES, start + ATTRIBUTE_HEADER_BYTES + length);
}

/**
 * Whether MESSAGE-INTEGRITY is present and made with this password (RFC 8489 §14.5).
 * @param message for which `isBindingRequest` holds
 */
export function isSignedWith(message: Buffer, password: string): boolean {
  const start = findAttribute(message, MESSAGE_INTEGRITY);
  if (start === undefined || message.readUInt16BE(start + 2) !== SHA1_BYTES) return false;
  const value = start + ATTRIBUTE_HEADER_BYTES;
  return timingSafeEqual(signature(message, start, password), message.subarray(value, value + SHA1_BYTES));
}

/**
 * The success response to a Binding request: XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT.
 * @param request for which `isBindingRequest` holds
 * @param requester the IPv4 or IPv6 address that it came from
 * @param password of the agent that was asked
 */
export function writeBindingSuccess(request: Buffer, requester: TransportAddress, password: string): Buffer {
  const ip = bytesOf(requester.address);
  const addressBytes = ATTRIBUTE_HEADER_BYTES + ip.length;
  const integrityAt = HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + addressBytes;
  const fingerprintAt = integrityAt + ATTRIBUTE_HEADER_BYTES + SHA1_BYTES;
  const response = Buffer.alloc(fingerprintAt + ATTRIBUTE_HEADER_BYTES + FINGERPRINT_BYTES);
  response.writeUInt16BE(BINDING_SUCCESS, 0);
  response.writeUInt16BE(response.length - HEADER_BYTES, 2);
  // The magic cookie and the transaction id, which also mask the address (§14.2).
  request.copy(response, 4, 4, HEADER_BYTES);

  response.writeUInt16BE(XOR_MAPPED_ADDRESS, HEADER_BYTES);
  response.writeUInt16BE(addressBytes, HEADER_BYTES + 2);
  response.writeUInt16BE(ip.length === 4 ? 1 : 2, HEADER_BYTES + 4);
  response.writeUInt16BE(requester.port ^ (MAGIC_COOKIE >>> 16), HEADER_BYTES + 6);
  for (let n = 0; n < ip.length; n++) response[HEADER_BYTES + 8 + n] = ip[n]! ^ request[4 + n]!;

  response.writeUInt16BE(MESSAGE_INTEGRITY, integrityAt);
  response.writeUInt16BE(SHA1_BYTES, integrityAt + 2);
  signature(response, integrityAt, password).copy(response, integrityAt + ATTRIBUTE_HEADER_BYTES);

  response.writeUInt16BE(FINGERPRINT, fingerprintAt);
  response.writeUInt16BE(FINGERPRINT_BYTES, fingerprintAt + 2);
  const checksum = (crc32(response.subarray(0, fingerprintAt)) ^ FINGERPRINT_MASK) >>> 0;
  response.writeUInt32BE(checksum, fingerprintAt + ATTRIBUTE_HEADER_BYTES);
  return response;
}

/**
 * HMAC-SHA1 of everything before the attribute, under a header whose length ends with the attribute (RFC 8489 §14.5).
 */
function signature(message: Buffer, integrityAt: number, password: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(integrityAt + ATTRIBUTE_HEADER_BYTES + SHA1_BYTES - HEADER_BYTES);
  return createHmac('sha1', password)
    .update(message.subarray(0, 2))
    .update(length)
    .update(message.subarray(4, integrityAt))
    .digest();
}

/** Where an attribute begins; an attribute that reaches over the end of the message is not found. */
function findAttribute(message: Buffer, type: number): number | undefined {
  let at = HEADER_BYTES;
  while (at + ATTRIBUTE_HEADER_BYTES <= message.length) {
    const length = message.readUInt16BE(at + 2);
    if (at + ATTRIBUTE_HEADER_BYTES + length > message.length) return undefined;
    if (message.readUInt16BE(at) === type) return at;
    // Attributes are padded to 4 bytes.
    at += ATTRIBUTE_HEADER_BYTES + ((length + 3) & ~3);
  }
  return undefined;
}

/** The 4 bytes of an IPv4 address, or the 16 of an IPv6 one in any of its spellings (RFC 4291 §2.2). */
function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [text = ''] = address.split('%');
  const [head = '', tail] = text.split('::');
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')];
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [n, group] of [...before, ...zeros, ...after].entries()) bytes.writeUInt16BE(group, n * 2);
  return bytes;
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!isIPv4(group)) return Number.parseInt(group, 16);
    const ip = Buffer.from(group.split('.').map(Number));
    return [ip.readUInt16BE(0), ip.readUInt16BE(2)];
  });
}
