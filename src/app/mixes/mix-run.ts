/** MixRun: one attempt at a mix: brings the slices that it reads, and has a process make the MP4 of them. */
import { link, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MixCommand } from '../../contract/line/mix.ts';
import { problem } from '../../contract/problems.ts';
import { type KeptMixRequest, type MixMedia, mediaOf } from '../../contract/rest/mix.ts';
import { Fault } from '../../kernel/fault.ts';
import { attendedOf } from '../../pipeline/individual/attendance.ts';
import { mixManifest, type PlannedMix, planMix } from '../../pipeline/remix/mix-plan.ts';
import type { PastTask } from '../../session/ports.ts';
import { checkFreeBytes } from '../../stages/spool/recording-spool.ts';
import type { TakenMix } from '../../store/mix-tables.ts';
import type { QueuedRuns } from '../../worker/queued-runs.ts';
import { type CutSources, isInStore, type WholeSource } from '../cut-sources.ts';

/** What bringing the slices counts for, of the whole work. */
const BRINGING = 0.1;
/** Containers add less than this to what the bit rates say. */
const OVERHEAD = 1.05;
/** At most this many missing files are named. */
const MOST_NAMED = 5;

export type MixPlanned = PlannedMix &
  Pick<MixCommand, 'manifest'> & {
    media: MixMedia;
    sources: ReadonlyMap<string, WholeSource>;
    /** Whether slices are to be brought from the recording's store. */
    isFar: boolean;
    /** How large the MP4 may become, and what the slices take that are brought. */
    mp4Bytes: number;
    sliceBytes: number;
  };

/**
 * What a request makes of a recording. Throws a problem: `mix-impossible`, `mix-outside`, `nothing-stored`.
 * @param sources all finished slices of it that can be had
 */
export function planned(past: PastTask, whole: readonly WholeSource[], request: KeptMixRequest): MixPlanned {
  const { task, state, quality } = past;
  const { sid, cname, document } = task;
  const { mode } = document.plan;
  if (mode !== 'individual')
    throw problem('mix-impossible', `only a recording of single users can be mixed, and this is a ${mode} one`);
  if (state.phase !== 'ended' && state.phase !== 'uploading')
    throw problem('mix-impossible', 'the recording goes on: it can be mixed once it has ended');
  const { zeroUtcMs } = state;
  if (zeroUtcMs === undefined || whole.length === 0) throw problem('nothing-stored');
  const attended = quality ? attendedOf(quality) : { stays: [], holds: [] };
  const manifest = mixManifest({ sid, cname, zeroUtcMs, attended, files: whole.map(({ file }) => file) });
  const plan = planMix(manifest, request);
  const media = mediaOf(request);
  const sources = new Map(whole.map((each) => [each.file.name, each]));
  const read = plan.slices.flatMap(({ name }) => sources.get(name) ?? []);
  const kbps = (media.video?.bitrateKbps ?? 0) + (media.audio?.bitrateKbps ?? 0);
  return {
    ...{ ...plan, manifest, media, sources },
    isFar: read.some(({ at }) => isInStore(at)),
    mp4Bytes: Math.ceil(((plan.toS - plan.fromS) * kbps * 1000 * OVERHEAD) / 8),
    sliceBytes: read.reduce((sum, { at, file }) => sum + ('key' in at ? file.bytes : 0), 0),
  };
}

export type MixRunOptions = {
  sources: Pick<CutSources, 'whole' | 'fetchFrom' | 'storageOf'>;
  runs: Pick<QueuedRuns, 'run'>;
  /** What must stay free on the disk. */
  reserveBytes: number;
};

type Attempt = {
  past: PastTask;
  mix: TakenMix;
  /** A folder that is made for the attempt, and removed with it, on the disk of `path`. */
  work: string;
  /** The MP4. */
  path: string;
  signal: AbortSignal;
  /** How much is done, 0 to 1. */
  onProgress(progress: number): void;
};

/** Makes the MP4. Throws a Fault or a problem; a retryable one where another attempt may succeed. */
export async function makeMix(
  { sources, runs, reserveBytes }: MixRunOptions,
  { past, mix, work, path, signal, onProgress }: Attempt,
): Promise<{ bytes: number; warnings: string[] }> {
  const plan = planned(past, await sources.whole(mix.sid), mix.request);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  const storage = plan.isFar ? (mix.storage ?? sources.storageOf(mix.sid, past.place)) : undefined;
  const fetch = await sources.fetchFrom(mix.sid, storage);
  const missing: string[] = [];
  const warnings = [...mix.warnings];
  const share = plan.isFar ? BRINGING : 0;
  try {
    await checkFreeBytes(work, plan.mp4Bytes + plan.sliceBytes + reserveBytes);
    for (const [n, { name }] of plan.slices.entries()) {
      signal.throwIfAborted();
      const at = plan.sources.get(name)!.at;
      const own = join(work, name);
      // The spool may be freed meanwhile.
      const linked =
        'path' in at &&
        (await link(at.path, own).then(
          () => true,
          () => false,
        ));
      if (!linked) {
        try {
          await fetch.fetch(name, at, own, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof Fault) || error.code !== 'object-missing') throw error;
          missing.push(name);
        }
      }
      onProgress((share * (n + 1)) / plan.slices.length);
    }
    if (missing.length === plan.slices.length) throw problem('nothing-stored');
    if (missing.length > 0) warnings.push(wordsOf(missing));
    const { manifest, fromUs, toUs, media } = plan;
    const { video, audio, stereo } = media;
    const command: MixCommand = {
      ...{ dir: work, name: 'mix.mp4', slicesDir: work, manifest, missing, fromUs, toUs },
      ...(mix.request.users && { uids: mix.request.users }),
      ...{ ...(video && { video }), ...(audio && { audio }), ...(stereo && { stereo }) },
    };
    const lines = await runs.run(command, {
      signal,
      onLine(line) {
        const part = /^progress ([\d.]+)$/.exec(line)?.[1];
        if (part !== undefined) onProgress(share + (1 - share) * Number(part));
        const problem = /^problem (.*)$/.exec(line)?.[1];
        if (problem !== undefined) warnings.push(problem);
      },
    });
    const bytes = Number(/^bytes (\d+)$/.exec(lines.at(-1) ?? '')?.[1] ?? Number.NaN);
    if (Number.isNaN(bytes)) throw new Fault('mix-failed', 'its process did not say what it made', { blame: 'self' });
    signal.throwIfAborted();
    await rename(join(work, 'mix.mp4'), path);
    return { bytes, warnings };
  } finally {
    fetch.close();
    await rm(work, { recursive: true, force: true });
  }
}

function wordsOf(missing: readonly string[]): string {
  const named = missing.slice(0, MOST_NAMED).join(', ');
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : '';
  return `files of the recording are missing, and their time is left without sound and with the picture before: ${named}${more}`;
}
