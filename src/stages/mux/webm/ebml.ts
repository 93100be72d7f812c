/** Elements of EBML (RFC 8794) as bytes: everything that is needed to write WebM. Pure. */

/** An element; its id is given as it is written, including the marker. */
export function element(id: number, ...payload: Buffer[]): Buffer {
  const body = Buffer.concat(payload);
  return Buffer.concat([idOf(id), sizeOf(body.length), body]);
}

/**
 * The beginning of an element whose size is written later, into its last eight bytes; until then the size is unknown
 * (§6.2).
 */
export function openElement(id: number): Buffer {
  return Buffer.concat([idOf(id), Buffer.from('01ffffffffffffff', 'hex')]);
}

/** A size in eight bytes. */
export function longSize(bytes: number): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE((1n << 56n) | BigInt(bytes));
  return size;
}

/** The shortest form of a whole number of 0 or more (§7.2). */
export function unsigned(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  const first = bytes.findIndex((byte) => byte !== 0);
  return element(id, bytes.subarray(first < 0 ? 7 : first));
}

/** A number in eight bytes, whatever its value. */
export function longUnsigned(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return element(id, bytes);
}

/** A signed whole number of at most 32 bits (§7.1), in four bytes. */
export function signed(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return element(id, bytes);
}

export function float(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return element(id, bytes);
}

export function text(id: number, value: string): Buffer {
  return element(id, Buffer.from(value, 'latin1'));
}

/** An element without meaning (§11.3.2) of `bytes` bytes in all, at least 9. */
export function voidOf(bytes: number): Buffer {
  return Buffer.concat([Buffer.of(0xec), longSize(bytes - 9), Buffer.alloc(bytes - 9)]);
}

function idOf(id: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0));
}

/** The shortest size (§4.1); all bits set would mean unknown. */
function sizeOf(bytes: number): Buffer {
  for (let length = 1; length <= 5; length++) {
    if (bytes >= 2 ** (7 * length) - 1) continue;
    const size = Buffer.alloc(length);
    size.writeUIntBE(bytes + 2 ** (7 * length), 0, length);
    return size;
  }
  return longSize(bytes);
}
