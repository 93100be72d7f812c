/**
 * Attendance: who was in the channel of an individual recording, and when, kept beside its journal. What is made when
 * the recording is over (a manifest, MP4s) needs it, even after a crash of the recorder.
 */

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FeedEvent } from '../../contract/line/feed.ts';
import type { QualityReport } from '../../contract/line/quality-report.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { HeldSpan, Stay } from './manifest.ts';

export const ATTENDANCE_NAME = 'attendance.json';
/** At most this many holds are kept, the first ones. */
const MAX_HOLDS = 20_000;
/** At most this many stays are kept; where people come and go more often, the first ones. */
const MAX_STAYS = 20_000;

const attendanceSchema = z.object({
  /** UTC of the recording's zero, Unix milliseconds. */
  zeroUtcMs: z.number(),
  /** Where the recording ended, microseconds of it; null while it has not. */
  endUs: z.number().nullable(),
  /** In order of joining; `leftUs` is null while the user is there. */
  stays: z.array(z.object({ uid: z.string(), joinedUs: z.number(), leftUs: z.number().nullable() })),
  /**
   * When the recording was on hold, in order; `untilUs` is null while the hold goes on. Absent when it never was on
   * hold.
   */
  holds: z.array(z.object({ fromUs: z.number(), untilUs: z.number().nullable() })).optional(),
});
export type StoredAttendance = z.infer<typeof attendanceSchema>;
/** What was kept; a stay or hold without an end ends at infinity. */
export type Attended = { stays: Stay[]; holds: HeldSpan[] };

export class Attendance {
  readonly #dir: string;
  readonly #zeroUtcMs: number;
  readonly #stays: Stay[];
  readonly #holds: HeldSpan[];
  #endUs: RecordingUs | null = null;
  #writing: Promise<void> = Promise.resolve();
  #stale = false;

  /**
   * @param dir the run's spool folder
   * @param zeroUtcMs UTC of the recording's zero
   * @param earlier what an earlier run of the recording knew
   */
  constructor(dir: string, zeroUtcMs: number, earlier: Attended = { stays: [], holds: [] }) {
    this.#dir = dir;
    this.#zeroUtcMs = zeroUtcMs;
    this.#stays = earlier.stays.map((stay) => ({ ...stay }));
    this.#holds = earlier.holds.map((hold) => ({ ...hold }));
    this.#save();
  }

  /** @param atUs of the recording */
  onEvent(event: FeedEvent, atUs: RecordingUs): void {
    if (event.type === 'userJoined') {
      // A feed that is read again also tells of users who came before.
      if (this.#stays.some((stay) => stay.uid === event.uid && stay.leftUs > atUs)) return;
      if (this.#stays.length < MAX_STAYS)
        this.#stays.push({ uid: event.uid, joinedUs: atUs, leftUs: Number.POSITIVE_INFINITY });
    } else if (event.type === 'userLeft') {
      for (const stay of this.#stays)
        if (stay.uid === event.uid && stay.leftUs === Number.POSITIVE_INFINITY && stay.joinedUs <= atUs)
          stay.leftUs = Math.max(atUs, stay.joinedUs);
    } else return;
    this.#save();
  }

  /** The recording is put on hold, or goes on, from moment `atUs` on. What was told before may be told again. */
  onHold(atUs: RecordingUs, onhold: boolean): void {
    const last = this.#holds.at(-1);
    const isOpen = last?.untilUs === Number.POSITIVE_INFINITY;
    if (last && isOpen && !onhold) last.untilUs = Math.max(atUs, last.fromUs);
    else if (onhold && !isOpen && (!last || atUs > last.untilUs) && this.#holds.length < MAX_HOLDS)
      this.#holds.push({ fromUs: atUs, untilUs: Number.POSITIVE_INFINITY });
    else return;
    this.#save();
  }

  /**
   * Resolves when it is on disk. Rejects with the system's error when it cannot be written. @param endUs of the
   * recording
   */
  async finish(endUs: RecordingUs): Promise<void> {
    this.#endUs = endUs;
    this.#save();
    await this.#writing;
  }

  /** Resolves when what is known is on disk. Rejects with the system's error when it cannot be written. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Resolves when nothing is being written. Never rejects. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  /** The file is written anew as a whole; changes during a write are written after it, once. */
  #save(): void {
    if (this.#stale) return;
    this.#stale = true;
    // A write that failed is made up for by the next.
    const before = this.#writing.catch(() => undefined);
    this.#writing = before.then(async () => {
      this.#stale = false;
      const orNull = (us: number) => (us === Number.POSITIVE_INFINITY ? null : us);
      const stays = this.#stays.map(({ leftUs, ...stay }) => ({ ...stay, leftUs: orNull(leftUs) }));
      const holds = this.#holds.map(({ fromUs, untilUs }) => ({ fromUs, untilUs: orNull(untilUs) }));
      const stored: StoredAttendance = { zeroUtcMs: this.#zeroUtcMs, endUs: this.#endUs, stays };
      if (holds.length > 0) stored.holds = holds;
      const path = join(this.#dir, ATTENDANCE_NAME);
      await writeFile(`${path}.new`, JSON.stringify(stored), { mode: 0o600, flush: true });
      await rename(`${path}.new`, path);
    });
    // `finish` tells of it; the recording goes on without.
    this.#writing.catch(() => undefined);
  }
}

/**
 * What the newest readable file in the folders of the given runs, oldest first, holds; nothing when none can be read.
 */
export async function readEarlierAttendance(dirs: readonly string[]): Promise<Attended> {
  for (const dir of dirs.toReversed()) {
    const stored = await readAttendance(dir).catch(() => undefined);
    if (stored) return attendedIn(stored);
  }
  return { stays: [], holds: [] };
}

export function attendedIn({ stays, holds = [] }: StoredAttendance): Attended {
  const orOpen = (us: number | null) => us ?? Number.POSITIVE_INFINITY;
  return {
    stays: stays.map(({ leftUs, ...stay }) => ({ ...stay, leftUs: orOpen(leftUs) })),
    holds: holds.map(({ fromUs, untilUs }) => ({ fromUs, untilUs: orOpen(untilUs) })),
  };
}

/** Reads what was kept in a spool folder. Throws a Fault when there is none, or it is damaged. */
export async function readAttendance(dir: string): Promise<StoredAttendance> {
  const path = join(dir, ATTENDANCE_NAME);
  try {
    return attendanceSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new Fault('attendance-unreadable', `cannot read ${path}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
}

/**
 * What a quality report tells of who was there: less exact than what a run keeps, and all that there is when that lies
 * on another node's disk. Whoever was there at its end had gone by then.
 */
export function attendedOf({ participants, holds = [], endedMs, measuredMs }: QualityReport): Attended {
  const lastMs = endedMs ?? measuredMs;
  const stays = participants.flatMap(({ uid, presence }) =>
    presence.map((stay) => ({ uid, joinedUs: stay.joinedMs * 1000, leftUs: (stay.leftMs ?? lastMs) * 1000 })),
  );
  const spans = holds.map(({ fromMs, durationMs }) => {
    const untilUs = durationMs === null ? Number.POSITIVE_INFINITY : (fromMs + durationMs) * 1000;
    return { fromUs: fromMs * 1000, untilUs };
  });
  return { stays: stays.sort((a, b) => a.joinedUs - b.joinedUs), holds: spans };
}

/** Keeps what a report tells in a folder, as a run would have. Rejects with the system's error. */
export async function keepAttendance(dir: string, report: QualityReport): Promise<void> {
  const attendance = new Attendance(dir, report.zeroUtcMs, attendedOf(report));
  await attendance.written();
}
