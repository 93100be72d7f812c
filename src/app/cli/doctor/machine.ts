/** Whether this machine has what a server needs: its packages, a clock that is kept, and room on its disks. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../../config/load.ts';
import { environmentName, type SettingKey } from '../../../config/settings.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/fault.ts';
import { childEntry, isBundled } from '../../bundled.ts';
import { type Found, fine, problem, warning } from './finding.ts';

/** As `engines` of package.json says. */
const OLDEST_NODE: [major: number, minor: number] = [22, 18];
/** Each publisher, recorder and upload holds some. */
const FEW_FILES = 4096;
/** A slice is synced before it is told of; a disk that is slower than this holds recordings up. */
const SLOW_SYNC_MS = 500;
const PROBE_BYTES = 4 * 1024 * 1024;
const MB = 1_000_000;

export async function examinePackages(version = process.versions.node): Promise<Found[]> {
  const found: Found[] = [];
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    found.push(problem(`Node ${version} is too old`, `Install Node ${OLDEST_NODE.join('.')} or newer; 24 is best.`));
  else found.push(fine(`Node ${version}`));
  // Both are compiled code, which may be missing for this system, or be made for another.
  const libraries: [string, () => Promise<unknown>][] = [
    ['node-av (FFmpeg)', () => import('../../../stages/codec/video-encoder.ts')],
    ['node-datachannel (WebRTC)', () => import('../../../channel/whip/peer.ts')],
  ];
  for (const [name, load] of libraries)
    await load().then(
      () => found.push(fine(`${name} can be loaded`)),
      (error) =>
        found.push(
          problem(
            `${name} cannot be loaded: ${messageOf(error)}`,
            'Install the packages again on this very system (`npm ci`); it needs glibc 2.28 or newer on x64 or arm64.',
          ),
        ),
    );
  return found;
}

/** Whether what a server starts would begin from a bundle (ADR 0047), which is not made by starting a server alone. */
export function examineBundle(entry = childEntry()): Found[] {
  if (isBundled(entry)) return [fine('recorders begin from their bundle')];
  return [
    warning(
      'there is no bundle of this code: recorders take half as much CPU again to start, and 12 MB more each',
      'In a clone run `sh scripts/setup.sh`, as every `npm` command does. Installed from npm: let the versions of Zod and node-av be those that this package asks for.',
    ),
  ];
}

/** Whether something keeps the machine's clock right; that it is wrong shows where others tell theirs. */
export function examineClock(ask = askTimedatectl): Found[] {
  const isSynchronized = ask();
  if (isSynchronized === undefined)
    return [fine('the system does not say whether its clock is kept right (a container has its host’s)')];
  if (isSynchronized) return [fine('the clock is synchronized')];
  return [
    warning(
      'the clock is not synchronized: stores refuse signatures that are 15 minutes off, tokens end too soon or too late',
      'On Debian: apt-get install systemd-timesyncd, or chrony.',
    ),
  ];
}

function askTimedatectl(): boolean | undefined {
  const { status, stdout } = spawnSync('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    encoding: 'utf8',
    timeout: 5_000,
  });
  return status === 0 ? stdout.trim() === 'yes' : undefined;
}

/** How far another clock is from ours, judged. @param whose in words */
export function wordsOfSkew(whose: string, skewMs: number): Found {
  const seconds = Math.abs(skewMs / 1000);
  const text = `${whose} and the clock of this machine are ${seconds.toFixed(1)} s apart`;
  const advice = 'Find out which of the two is wrong, and have NTP keep it right (systemd-timesyncd, chrony).';
  if (seconds > 300) return problem(text, advice);
  return seconds > 2 ? warning(text, advice) : fine(text);
}

type DiskSettings = Pick<
  Config,
  'dataDir' | 'localStorageDir' | 'backupDir' | 'backupStorage' | 'spoolReserveMb' | 'admissionSpoolMb'
>;

export async function examineDisk(config: DiskSettings, clock: Clock): Promise<Found[]> {
  const folders: [SettingKey, string][] = [
    ['dataDir', config.dataDir],
    ['localStorageDir', config.localStorageDir],
  ];
  if (!config.backupStorage) folders.push(['backupDir', config.backupDir]);
  const found: Found[] = [];
  for (const [key, folder] of folders) found.push(await tryFolder(key, folder, clock));
  found.push(roomOf(config), ...examineOpenFiles());
  return found;
}

/** Writes a file there, or where the folder is going to be made, and removes it. */
async function tryFolder(key: SettingKey, folder: string, clock: Clock): Promise<Found> {
  const place = nearest(folder);
  const named = `${key} ${folder}`;
  let made: string | undefined;
  try {
    made = await mkdtemp(join(place, '.aircheck-doctor-'));
    const file = await open(join(made, 'probe'), 'w');
    const beganUs = clock.monoUs();
    try {
      await file.writeFile(Buffer.alloc(PROBE_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
    const tookMs = Math.round((clock.monoUs() - beganUs) / 1000);
    const text = `${named}: 4 MB are safe on the disk after ${tookMs} ms`;
    if (tookMs <= SLOW_SYNC_MS) return fine(text);
    return warning(text, `That is slow. Set ${environmentName(key)} to a folder on a faster disk.`);
  } catch (error) {
    return problem(
      `${named} cannot be written: ${messageOf(error)}`,
      `Give it to the user that the server runs as, or set ${environmentName(key)} to another folder.`,
    );
  } finally {
    if (made) await rm(made, { recursive: true, force: true });
  }
}

/** The folder, or the nearest above it that exists. */
function nearest(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearest(dirname(folder));
}

function roomOf({ dataDir, spoolReserveMb, admissionSpoolMb }: DiskSettings): Found {
  const { bavail, bsize, files, ffree } = statfsSync(nearest(dataDir));
  const freeMb = Math.floor((bavail * bsize) / MB);
  const neededMb = Math.max(spoolReserveMb, admissionSpoolMb);
  const text = `the disk of the spool has ${freeMb} MB free`;
  if (freeMb < neededMb)
    return problem(
      `${text}, and recordings are begun only with ${neededMb}`,
      'Make room, or set AIRCHECK_DATA_DIR to a folder on a larger disk. An hour at 2 Mbit/s is 900 MB.',
    );
  // File systems without a table of a fixed size say 0.
  if (files > 0 && ffree / files < 0.01)
    return problem(`${text}, but room for ${ffree} more files only`, 'Remove small files (`df -i` says where).');
  return fine(text);
}

function examineOpenFiles(): Found[] {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Not every system tells.
    return [];
  }
  // Node raises its own limit to the hard one.
  const hard = Number(limits.match(/^Max open files\s+\S+\s+(\d+)/m)?.[1] ?? Number.POSITIVE_INFINITY);
  if (hard >= FEW_FILES) return [];
  return [
    warning(
      `a process may have ${hard} files open, which some hundred publishers need`,
      'Raise it: LimitNOFILE=65536 in the unit, `ulimits` of compose, or `ulimit -Hn` of the shell.',
    ),
  ];
}
