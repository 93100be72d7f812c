/**
 * A transport stream (ISO/IEC 13818-1) taken apart into its units: a picture or some frames of sound, with the packets
 * that hold them. With it an unfinished slice is cut where everything before is whole, without changing what is kept.
 * Pure.
 */
import type { MediaKind } from '../../../media/track.ts';
import { unwrapTs } from './ts-time.ts';

const PACKET_BYTES = 188;
const SYNC = 0x47;
/** Samples in an AAC frame; one of 48 kHz takes 1920 ticks. */
const AAC_TICKS = 1920;
/** How many units a picture may be decoded before others that are shown earlier. */
const MAX_REORDER = 4;

export type TsUnit = {
  kind: MediaKind;
  /** Ticks of 90 kHz. The file holds 33 bits of them; the reader decides which of the possible moments is meant. */
  pts: number;
  /** For sound: where its last whole frame ends. */
  endPts: number;
  /** False for sound of which the file lacks a part. A picture does not show by itself where it ends. */
  isWhole: boolean;
  /** Positions of its packets in the file, counted in packets. */
  packets: number[];
};

/**
 * The units of `file`, in order of their beginnings. Incomplete packets, and packets before the first unit, are
 * ignored.
 * @param near a time in the file, or at most half a day from one, ticks
 */
export function readTsUnits(file: Buffer, near: number): TsUnit[] {
  const units: { unit: TsUnit; parts: Buffer[] }[] = [];
  const open = new Map<number, (typeof units)[number]>();
  for (let n = 0; (n + 1) * PACKET_BYTES <= file.length; n++) {
    const packet = file.subarray(n * PACKET_BYTES, (n + 1) * PACKET_BYTES);
    if (packet[0] !== SYNC) break;
    const pid = packet.readUInt16BE(1) & 0x1fff;
    const payload = payloadOf(packet);
    if (packet[1]! & 0x40) {
      const begun = payload && beginUnit(payload, near);
      if (begun) {
        const entry = { unit: begun, parts: [] };
        open.set(pid, entry);
        units.push(entry);
      }
    }
    const entry = open.get(pid);
    if (!entry) continue;
    entry.unit.packets.push(n);
    if (payload && entry.unit.kind === 'audio') entry.parts.push(payload);
  }
  for (const { unit, parts } of units) if (unit.kind === 'audio') measureSound(unit, Buffer.concat(parts));
  return units.map(({ unit }) => unit);
}

/** `file` without the packets of `units`. */
export function withoutUnits(file: Buffer, units: readonly TsUnit[]): Buffer {
  const left = new Set(units.flatMap(({ packets }) => packets));
  const kept: Buffer[] = [];
  for (let n = 0; (n + 1) * PACKET_BYTES <= file.length; n++)
    if (!left.has(n)) kept.push(file.subarray(n * PACKET_BYTES, (n + 1) * PACKET_BYTES));
  return Buffer.concat(kept);
}

/**
 * Which of a slice's units are kept, and where each kind begins and ends then, ticks of 90 kHz; undefined for a kind
 * that has none.
 */
export type TsCut = {
  kept: TsUnit[];
  left: TsUnit[];
  videoStart: number | undefined;
  videoEnd: number | undefined;
  audioEnd: number | undefined;
};

/**
 * Leaves out the units that a dead process was writing: it keeps the most pictures that are whole, need none that is
 * left out and have sound beside them, and all whole sound. With `isTorn` false the file was finished, and everything
 * is kept.
 * @param pictureTicks how long a picture lasts
 * @param soundTo up to where there is sound before these units, ticks; undefined in a recording without sound
 */
export function cutUnits(
  units: readonly TsUnit[],
  { isTorn, pictureTicks, soundTo }: { isTorn: boolean; pictureTicks: number; soundTo: number | undefined },
): TsCut {
  const pictures = units.filter(({ kind }) => kind === 'video');
  const sounds = units.filter(({ kind, isWhole }) => kind === 'audio' && (isWhole || !isTorn));
  const audioEnd = sounds.at(-1)?.endPts;
  const limit = soundTo === undefined ? Number.POSITIVE_INFINITY : (audioEnd ?? soundTo);
  let count = pictures.length;
  if (isTorn) {
    count = 0;
    for (let n = 1; n <= pictures.length - 1 - MAX_REORDER; n++) {
      const newest = Math.max(...pictures.slice(Math.max(0, n - MAX_REORDER - 1), n).map(({ pts }) => pts));
      const isClosed = pictures.slice(n, n + MAX_REORDER + 1).every(({ pts }) => pts > newest);
      if (isClosed && newest + pictureTicks <= limit) count = n;
    }
  }
  const shown = pictures.slice(0, count);
  const videoEnd = shown.length > 0 ? Math.max(...shown.slice(-MAX_REORDER - 1).map(({ pts }) => pts)) : undefined;
  const kept = new Set([...shown, ...sounds]);
  return {
    kept: units.filter((unit) => kept.has(unit)),
    left: units.filter((unit) => !kept.has(unit)),
    // A key frame, before which no picture is shown.
    videoStart: shown[0]?.pts,
    videoEnd: videoEnd === undefined ? undefined : videoEnd + pictureTicks,
    audioEnd,
  };
}

/**
 * Whether `next` continues the transport stream that `file` ends with: for each PID that both have, the continuity
 * counter goes on (§2.4.3.3).
 */
export function goesOnFrom(file: Buffer, next: Buffer): boolean {
  const counts = new Map<number, number>();
  for (const { pid, count } of countsOf(file)) counts.set(pid, count);
  for (const { pid, count } of countsOf(next)) {
    const before = counts.get(pid);
    if (before !== undefined && count !== ((before + 1) & 0xf)) return false;
    counts.delete(pid);
    if (counts.size === 0) break;
  }
  return true;
}

/** The continuity counters of packets with a payload; for other packets they do not change. */
function* countsOf(file: Buffer): Generator<{ pid: number; count: number }> {
  for (let at = 0; at + PACKET_BYTES <= file.length && file[at] === SYNC; at += PACKET_BYTES)
    if (file[at + 3]! & 0x10) yield { pid: file.readUInt16BE(at + 1) & 0x1fff, count: file[at + 3]! & 0xf };
}

function payloadOf(packet: Buffer): Buffer | undefined {
  const control = (packet[3]! >> 4) & 3;
  const at = control === 3 ? 5 + packet[4]! : 4;
  return control === 1 || (control === 3 && at < PACKET_BYTES) ? packet.subarray(at) : undefined;
}

/** The unit that begins with a PES packet (§2.4.3.6); undefined for tables, and for units without a time. */
function beginUnit(payload: Buffer, near: number): TsUnit | undefined {
  if (payload.length < 14 || payload.readUIntBE(0, 3) !== 1 || (payload[7]! & 0x80) === 0) return undefined;
  const id = payload[3]!;
  const kind = (id & 0xf0) === 0xe0 ? 'video' : (id & 0xe0) === 0xc0 ? 'audio' : undefined;
  if (!kind) return undefined;
  const ticks =
    ((payload[9]! >> 1) & 7) * 2 ** 30 + (payload.readUInt16BE(10) >> 1) * 2 ** 15 + (payload.readUInt16BE(12) >> 1);
  const pts = unwrapTs(ticks, near);
  return { kind, pts, endPts: pts, isWhole: kind === 'video', packets: [] };
}

function measureSound(unit: TsUnit, pes: Buffer): void {
  const end = 6 + pes.readUInt16BE(4);
  let at = 9 + pes[8]!;
  let frames = 0;
  while (at + 7 <= Math.min(end, pes.length)) {
    const length = ((pes[at + 3]! & 3) << 11) | (pes[at + 4]! << 3) | (pes[at + 5]! >> 5);
    if (length < 7 || at + length > Math.min(end, pes.length)) break;
    frames++;
    at += length;
  }
  unit.endPts = unit.pts + frames * AAC_TICKS;
  unit.isWhole = pes.length >= end;
}
