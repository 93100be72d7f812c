/**
 * An H.264 access unit to RTP payloads of packetization mode 1: small NAL units together as STAP-A, large ones as FU-A
 * (RFC 6184 §5.6 to §5.8).
 */

/**
 * @param accessUnit Annex B with 3- or 4-byte start codes
 * @param maxPayloadBytes at least 3
 * @returns the payloads in order; the last one's packet carries the marker
 */
export function packetizeH264(accessUnit: Buffer, maxPayloadBytes: number): Buffer[] {
  if (maxPayloadBytes < 3) throw new RangeError(`an FU-A needs at least 3 bytes, got ${maxPayloadBytes}`);
  const payloads: Buffer[] = [];
  let together: Buffer[] = [];
  let togetherBytes = 1;
  const endAggregate = () => {
    if (together.length === 1) payloads.push(together[0]!);
    if (together.length > 1) payloads.push(aggregate(together));
    together = [];
    togetherBytes = 1;
  };
  for (const nal of splitAnnexB(accessUnit)) {
    if (togetherBytes + 2 + nal.length > maxPayloadBytes) endAggregate();
    if (nal.length > maxPayloadBytes) payloads.push(...fragment(nal, maxPayloadBytes));
    else {
      together.push(nal);
      togetherBytes += 2 + nal.length;
    }
  }
  endAggregate();
  return payloads;
}

/** The NAL units of an Annex B byte stream, without start codes and the zero bytes around them (H.264 §B.1). */
export function splitAnnexB(bytes: Buffer): Buffer[] {
  const nals: Buffer[] = [];
  const code = Buffer.from([0, 0, 1]);
  let at = bytes.indexOf(code);
  while (at >= 0) {
    const next = bytes.indexOf(code, at + 3);
    let end = next < 0 ? bytes.length : next;
    while (end > at + 3 && bytes[end - 1] === 0) end--;
    if (end > at + 3) nals.push(bytes.subarray(at + 3, end));
    at = next;
  }
  return nals;
}

/** §5.7.1: the header takes the highest NRI of what it holds. */
function aggregate(nals: Buffer[]): Buffer {
  const nri = Math.max(...nals.map((nal) => nal[0]! & 0x60));
  const parts: Buffer[] = [Buffer.of(nri | 24)];
  for (const nal of nals) parts.push(Buffer.of(nal.length >> 8, nal.length & 0xff), nal);
  return Buffer.concat(parts);
}

function fragment(nal: Buffer, maxPayloadBytes: number): Buffer[] {
  const payloads: Buffer[] = [];
  const header = nal[0]!;
  const step = maxPayloadBytes - 2;
  for (let at = 1; at < nal.length; at += step) {
    const part = nal.subarray(at, at + step);
    const start = at === 1 ? 0x80 : 0;
    const end = at + step >= nal.length ? 0x40 : 0;
    payloads.push(Buffer.concat([Buffer.of((header & 0xe0) | 28, start | end | (header & 0x1f)), part]));
  }
  return payloads;
}
