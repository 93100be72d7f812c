/** The newest key frame of an encoding, out of the packets that its log keeps anyway; and waiting for the next one. */
import type { Clock } from '../../kernel/clock.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { VideoFormat } from '../../media/track.ts';
import type { Encoding, EncodingReader } from '../room/encoding.ts';

export type KeyFrame = {
  format: VideoFormat;
  /** Its packets, in the sender's order, behind what its decoding needs and they do not bring. */
  datagrams: Buffer[];
  /** When it began to come in, monotonic microseconds. */
  arrivalUs: HostUs;
};

/** A packet of the frame that was lost comes again at most this many packets behind the others. */
const MAX_LATE = 2048;

/** Copies of the packets of the newest key frame; undefined while there is none, or a part of it is missing. */
export function readKeyFrame(encoding: Encoding): KeyFrame | undefined {
  const { format, log, keyFrameTimestamp: timestamp, keyFrameUs: arrivalUs } = encoding;
  if (format.kind !== 'video' || timestamp === undefined || arrivalUs === undefined) return undefined;
  if (!log.hasStart) return undefined;
  const parts: { index: number; sequence: number; isLast: boolean }[] = [];
  const from = log.startOf(Number.POSITIVE_INFINITY);
  for (let index = from, others = 0; index < log.end && others < MAX_LATE; index++) {
    if (log.kind(index) !== 'rtp') continue;
    const datagram = log.datagram(index);
    others++;
    if (datagram.readUInt32BE(4) !== timestamp) continue;
    others = 0;
    parts.push({ index, sequence: datagram.readUInt16BE(2), isLast: (datagram[1]! & 0x80) !== 0 });
  }
  const zero = parts[0]?.sequence ?? 0;
  const place = (sequence: number) => ((sequence - zero) << 16) >> 16;
  parts.sort((a, b) => place(a.sequence) - place(b.sequence));
  // Padding may follow under the same timestamp.
  const frame = parts.slice(0, parts.findIndex(({ isLast }) => isLast) + 1);
  const [first] = frame;
  if (!first || frame.some(({ sequence }, n) => sequence !== ((first.sequence + n) & 0xffff))) return undefined;
  const own = frame.map(({ index }) => Buffer.from(log.datagram(index)));
  return { format, datagrams: [...encoding.setsBefore(first.index), ...own], arrivalUs };
}

/**
 * Resolves when a whole key frame is there that is not `former`; to undefined when none has come within `limitMs`.
 * @param ask whether to ask the sender for one
 */
export function nextKeyFrame(
  encoding: Encoding,
  former: KeyFrame | undefined,
  { clock, limitMs, ask }: { clock: Clock; limitMs: number; ask: boolean },
): Promise<KeyFrame | undefined> {
  return new Promise((resolve) => {
    const end = (found: KeyFrame | undefined) => {
      timer.cancel();
      encoding.readers.delete(reader);
      resolve(found);
    };
    const reader: EncodingReader = {
      onPacket() {
        const found = encoding.keyFrameUs === former?.arrivalUs ? undefined : readKeyFrame(encoding);
        if (found) end(found);
      },
      onRtcp() {},
      // The newest key frame is kept for whoever comes.
      needs: () => Number.POSITIVE_INFINITY,
    };
    const timer = clock.after(limitMs, () => end(undefined));
    encoding.readers.add(reader);
    if (ask) encoding.wantKeyFrame();
  });
}
