/** The session's ports to the channel and the spool. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rooms } from '../channel/room/rooms.ts';
import type { AppDirectory } from '../channel/whip/apps.ts';
import type { WhipEndpoint } from '../channel/whip/endpoint.ts';
import { verifyRtcToken } from '../channel/whip/token.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { keepAttendance } from '../pipeline/individual/attendance.ts';
import { keepReport } from '../pipeline/report/earlier-report.ts';
import { writeReport } from '../pipeline/report/write-report.ts';
import type { ChannelPort, SpoolPort } from '../session/ports.ts';
import {
  createRunFolder,
  generationOf,
  readRecording,
  runFolder,
  runFolders,
} from '../stages/spool/recording-spool.ts';
import { removeSpoolFolder, spooledSids, sweepFreed } from '../stages/spool/spool-folder.ts';

export function channelPort(
  rooms: Pick<Rooms, 'requestKeyFrames'>,
  openFeed: ChannelPort['openFeed'],
  whip: Pick<WhipEndpoint, 'sendAway'>,
  apps: AppDirectory,
  clock: Clock,
): ChannelPort {
  return {
    sendAway: (appid, cname, graceMs) => whip.sendAway(appid, cname, graceMs),
    prepare: (appid, cname) => rooms.requestKeyFrames(appid, cname),
    openFeed,
    refusalOf({ appid, cname, uid, token }) {
      const app = apps.find(appid);
      const wrong = (message: string) => ({ errorCode: 110, message }) as const;
      if (!app) return wrong(`app ${appid} is not configured`);
      if (app.certificate === undefined) return undefined;
      if (!token) return wrong('the app has a certificate, and the start call brought no token');
      const verdict = verifyRtcToken(token, {
        appId: appid,
        certificate: app.certificate,
        cname,
        uid,
        privileges: ['join'],
        nowS: Math.floor(clock.nowMs() / 1000),
      });
      if (verdict.ok) return undefined;
      const message = `the recorder's token was refused: ${verdict.message}`;
      return verdict.why === 'expired' ? { errorCode: 109, message } : wrong(message);
    },
  };
}

/**
 * @param root folder that holds one folder per recording
 * @param minFreeBytes free space that a recorder needs to begin; what is made after the end may use all of it
 */
export function spoolPort(root: string, minFreeBytes: number): SpoolPort {
  const pathOf = (sid: string) => join(root, sid);
  return {
    pathOf,
    sids: () => spooledSids(root),
    create: (sid, generation, kind) => createRunFolder(root, sid, generation, kind === 'record' ? minFreeBytes : 0),
    runs: (sid) => runsIn(pathOf(sid)),
    async read(sid) {
      try {
        return await readRecording(pathOf(sid));
      } catch (error) {
        // A recording that ended before it was launched has no folder.
        if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
          return { files: [], problems: [], leftovers: [] };
        throw error;
      }
    },
    async readReport({ dir, file }) {
      try {
        return qualityReportSchema.parse(JSON.parse(await readFile(join(dir, file.name), 'utf8')));
      } catch (cause) {
        throw new Fault('report-unreadable', `${file.name} cannot be read: ${messageOf(cause)}`, {
          blame: 'self',
          cause,
        });
      }
    },
    async writeReport(sid, generation, baseName, report) {
      const dir = runFolder(root, sid, generation);
      // The folder is there already when an earlier process of this run made something in it.
      await mkdir(dir, { recursive: true, mode: 0o700 });
      return { dir, file: await writeReport(dir, baseName, report) };
    },
    remove: (sid) => removeSpoolFolder(pathOf(sid)),
    sweep: () => sweepFreed(root),
    async keepLeft(sid, generation, report) {
      const dir = runFolder(root, sid, generation);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await keepReport(dir, report);
      await keepAttendance(dir, report);
      return dir;
    },
  };
}

async function runsIn(recordingDir: string): Promise<{ generation: number; dir: string }[]> {
  try {
    const dirs = await runFolders(recordingDir);
    return dirs.map((dir) => ({ dir, generation: generationOf(dir) }));
  } catch (error) {
    // A recording that ended before it was launched has no folder.
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return [];
    throw error;
  }
}
