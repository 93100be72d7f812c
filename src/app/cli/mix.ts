/**
 * `aircheck mix`: a composite made later from a recording of single users, by its manifest and the files beside it.
 */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type Manifest, manifestSchema } from '../../contract/line/manifest.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, US } from '../../kernel/time.ts';
import type { Segment, SpooledFile } from '../../media/segment.ts';
import { castOf, mixedSlices } from '../../pipeline/remix/cast.ts';
import { readSlicesIn } from '../../pipeline/remix/read-slice.ts';
import { remix } from '../../pipeline/remix/remix.ts';
import { renderPlaylist } from '../../stages/mux/hls/playlist.ts';
import { baseName } from '../../stages/mux/names.ts';
import { type MixRequest, type MixWords, problemsOf, readRequest, refuse } from './mix-options.ts';
import { print, printJson } from './print.ts';
import { Progress } from './progress.ts';

/** At most this many missing files are named. */
const MOST_NAMED = 20;
/** At most this many further problems are told; a torn disk has thousands. */
const MOST_PROBLEMS = 50;

/**
 * Makes the mix and prints the path of each MP4. Throws a Fault for wrong options or a recording that cannot be read,
 * before anything is written. Whatever happens, no half file is left.
 */
export async function mix(manifestPath: string, words: MixWords): Promise<void> {
  const request = readRequest(words);
  const manifest = readManifest(manifestPath);
  const folder = dirname(manifestPath);
  const output = words.output ?? join(folder, `${baseName(manifest.sid, manifest.cname)}_mix.mp4`);
  const targets = targetsOf(output, words);
  const selection = { uids: request.uids, audio: words.audio, video: words.video };
  checkUsers(manifest, '--users', request.uids);
  checkUsers(manifest, '--left', request.stereo?.left);
  checkUsers(manifest, '--right', request.stereo?.right);

  let progress: Progress | undefined;
  // A warning begins on a line of its own.
  const warn = warner(() => progress?.end());
  for (const member of request.ignored) warn(`${member} has no effect`);
  const missing = missingOf(manifest, selection, folder, warn);
  if (missing.size > 0) tellMissing(missing, words.strict ?? false, warn);
  const cast = castOf(manifest, { ...selection, missing });
  const { fromUs, toUs } = spanOf(cast.span, request, manifest);
  if (mayBeCut(request, (toUs - fromUs) / US)) checkParts(targets, words);

  const stop = new AbortController();
  const end = (signal: NodeJS.Signals) => stop.abort(refuse(`ended by ${signal}; nothing was written`));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  const work = makeFolder(dirname(output));
  progress = words.quiet ? undefined : new Progress(systemClock, process.stderr, (toUs - fromUs) / US);
  const startedUs = systemClock.monoUs();
  try {
    const files = await remix({
      ...{
        cast,
        fromUs,
        toUs,
        holds: manifest.holds,
        zeroUtcMs: manifest.zeroUtcMs,
        video: request.video,
        audio: request.audio,
        stereo: request.stereo,
      },
      files: { mp4: true, hls: words.hls ?? false },
      mp4Limit: request.mp4Limit,
      ...{ dir: work, baseName: targets.stem, threads: availableParallelism() },
      read: readSlicesIn(folder),
      onProgress: (doneUs) => progress?.show(doneUs / US),
      onProblem: warn,
      signal: stop.signal,
    });
    const placed = place(files, work, targets);
    progress?.end(`wrote ${placed.join(', ')}: ${told((toUs - fromUs) / US, files, systemClock, startedUs)}`);
    if (words.json) printJson({ files: placed, playlist: targets.playlist ?? null, from: fromUs / US, to: toUs / US });
    else print(placed.join('\n'));
  } catch (error) {
    progress?.end();
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  }
}

function readManifest(path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw refuse(`cannot read the manifest ${path}: ${messageOf(error)}`);
  }
  const result = manifestSchema.safeParse(value);
  if (!result.success) throw refuse(`${path} is not a manifest:\n${problemsOf(result.error)}`);
  return result.data;
}

type Targets = { folder: string; stem: string; mp4: string; playlist: string | undefined };

/** Where the files go. Throws a Fault when something lies there that must not be lost. */
function targetsOf(output: string, { hls, force }: MixWords): Targets {
  if (!/.\.mp4$/i.test(basename(output))) throw refuse(`--output ${output}: the name must end in .mp4`);
  const folder = dirname(output);
  if (!existsSync(folder)) throw refuse(`--output ${output}: there is no folder ${folder}`);
  const stem = basename(output).slice(0, -'.mp4'.length);
  const playlist = hls ? join(folder, `${stem}.m3u8`) : undefined;
  const taken = [output, playlist].find((path) => path !== undefined && existsSync(path));
  if (taken !== undefined && (!force || statSync(taken).isDirectory()))
    throw refuse(`${taken} exists already${force ? ' and is a folder' : '; --force replaces it'}`);
  return { folder, stem, mp4: output, playlist };
}

/** Whether the mix may become more than one MP4: by its length, or by its size where encoders overshoot. */
function mayBeCut({ video, audio, mp4Limit }: MixRequest, lengthS: number): boolean {
  const kbps = (video?.bitrateKbps ?? 0) + (audio?.bitrateKbps ?? 0);
  return lengthS * 1000 > mp4Limit.durationMs || lengthS * kbps * (1000 / 8) * 2 > mp4Limit.bytes;
}

/** Throws a Fault when a further MP4 lies there already that must not be lost. */
function checkParts({ folder, stem }: Targets, { force }: MixWords): void {
  const parts = readdirSync(folder).filter((name) => name.startsWith(`${stem}_`));
  const taken = parts.find((name) => /^\d+\.mp4$/.test(name.slice(stem.length + 1)));
  if (taken !== undefined && !force) throw refuse(`${join(folder, taken)} exists already; --force replaces it`);
}

function checkUsers(manifest: Manifest, option: string, uids: readonly string[] | undefined): void {
  const known = new Set([...manifest.users, ...manifest.slices].map(({ uid }) => uid));
  const unknown = uids?.filter((uid) => !known.has(uid)) ?? [];
  if (unknown.length > 0)
    throw refuse(`${option}: the recording has no user ${unknown.join(', ')}; it has ${[...known].join(', ')}`);
}

/** Names of slices that are missing. A slice of another size is warned of, and read as far as it goes. */
function missingOf(
  manifest: Manifest,
  selection: { uids: string[] | undefined; audio: boolean; video: boolean },
  folder: string,
  warn: (what: string) => void,
): Set<string> {
  const missing = new Set<string>();
  for (const { name, bytes } of mixedSlices(manifest, selection)) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (!found?.isFile()) missing.add(name);
    else if (found.size !== bytes)
      warn(`${name} has ${found.size} bytes instead of ${bytes}; what can be read of it is`);
  }
  return missing;
}

function tellMissing(missing: ReadonlySet<string>, strict: boolean, warn: (what: string) => void): void {
  const named = [...missing].slice(0, MOST_NAMED).map((name) => `\n  ${name}`);
  const more = missing.size > MOST_NAMED ? `\n  and ${missing.size - MOST_NAMED} more` : '';
  const list = `${missing.size} of the recording's files are not there:${named.join('')}${more}`;
  if (strict) throw refuse(list);
  warn(`${list}\ntheir time is left without sound, and with the picture before`);
}

function spanOf(
  span: { startUs: RecordingUs; endUs: RecordingUs } | undefined,
  { fromUs, toUs }: MixRequest,
  manifest: Manifest,
): { fromUs: RecordingUs; toUs: RecordingUs } {
  if (!span) throw refuse('there is nothing to mix: none of the files that were asked for are there');
  const from = fromUs ?? span.startUs;
  const to = Math.min(toUs ?? span.endUs, manifest.endUs);
  if (to <= from)
    throw refuse(`there is nothing to mix: it would begin at ${from / US} s of the recording and end at ${to / US} s`);
  return { fromUs: from, toUs: to };
}

function makeFolder(beside: string): string {
  try {
    // The folder is on the target's disk, so that finished files only have to be renamed.
    return mkdtempSync(join(beside, '.aircheck-mix-'));
  } catch (error) {
    throw refuse(`cannot write in ${beside}: ${messageOf(error)}`);
  }
}

/**
 * Gives finished files their names; a playlist gets its name after the files that it lists. Returns the paths of the
 * MP4s.
 */
function place(files: readonly SpooledFile[], work: string, { folder, stem, mp4, playlist }: Targets): string[] {
  const slices = files.filter((file): file is Segment => file.type === 'slice');
  for (const { name } of slices) renameSync(join(work, name), join(folder, name));
  if (playlist !== undefined) writeFileSync(playlist, renderPlaylist(slices, { extinfComma: true }));
  return files
    .filter((file) => file.type === 'mp4')
    .map(({ name, index }) => {
      const path = index === 0 ? mp4 : join(folder, `${stem}_${index}.mp4`);
      renameSync(join(work, name), path);
      return path;
    });
}

function warner(before: () => void): (what: string) => void {
  let count = 0;
  return (what) => {
    count++;
    before();
    if (count <= MOST_PROBLEMS) process.stderr.write(`aircheck: warning: ${what}\n`);
    if (count === MOST_PROBLEMS) process.stderr.write('aircheck: warning: there are more; they are not told\n');
  };
}

function told(lengthS: number, files: readonly SpooledFile[], clock: Clock, startedUs: HostUs): string {
  const tookS = (clock.monoUs() - startedUs) / US;
  const megabytes = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
  return `${lengthS.toFixed(1)} s, ${megabytes.toFixed(1)} MB, in ${tookS.toFixed(1)} s (${(lengthS / tookS).toFixed(1)}× real time)`;
}
