/** Writes RTP packets (RFC 3550), for data that is to be read as if it had come from the network. */

export type PacketFields = {
  payloadType: number;
  /** 16 bits; higher bits are cut off. */
  sequence: number;
  /** 32 bits; higher bits are cut off. */
  timestamp: number;
  ssrc: number;
  marker: boolean;
  payload: Buffer;
  csrcs?: number[];
  /** Written in the one-byte form when all of them fit it, else in the two-byte form (RFC 8285). */
  extensions?: Map<number, Buffer>;
  /** Bytes of padding after the payload, 0..255. */
  paddingBytes?: number;
};

/** One RTP packet as bytes (RFC 3550 §5.1). */
export function encodePacket(fields: PacketFields): Buffer {
  const { csrcs = [], extensions, paddingBytes = 0 } = fields;
  const fixed = Buffer.alloc(12 + csrcs.length * 4);
  fixed[0] = 0x80 | (paddingBytes > 0 ? 0x20 : 0) | (extensions ? 0x10 : 0) | csrcs.length;
  fixed[1] = (fields.marker ? 0x80 : 0) | fields.payloadType;
  fixed.writeUInt16BE(fields.sequence & 0xffff, 2);
  fixed.writeUInt32BE(fields.timestamp >>> 0, 4);
  fixed.writeUInt32BE(fields.ssrc, 8);
  csrcs.forEach((csrc, n) => {
    fixed.writeUInt32BE(csrc, 12 + n * 4);
  });
  const padding = Buffer.alloc(paddingBytes);
  if (paddingBytes > 0) padding[paddingBytes - 1] = paddingBytes;
  return Buffer.concat([fixed, extensions ? encodeExtensions(extensions) : Buffer.alloc(0), fields.payload, padding]);
}

function encodeExtensions(extensions: Map<number, Buffer>): Buffer {
  const entries = [...extensions];
  const oneByte = entries.every(([id, value]) => id < 15 && value.length >= 1 && value.length <= 16);
  const parts = entries.map(([id, value]) =>
    Buffer.concat([oneByte ? Buffer.of((id << 4) | (value.length - 1)) : Buffer.of(id, value.length), value]),
  );
  const body = Buffer.concat(parts);
  const words = Math.ceil(body.length / 4);
  const out = Buffer.alloc(4 + words * 4);
  out.writeUInt16BE(oneByte ? 0xbede : 0x1000, 0);
  out.writeUInt16BE(words, 2);
  body.copy(out, 4);
  return out;
}
