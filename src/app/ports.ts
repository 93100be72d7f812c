/**
 * The session's ports, joined to the channel and the spool.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rooms } from '../channel/room/rooms.ts';
import type { AppDirectory } from '../channel/whip/apps.ts';
import { verifyRtcToken } from '../channel/whip/token.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { writeReport } from '../pipeline/report/write-report.ts';
import type { ChannelPort, SpoolPort } from '../session/ports.ts';
import { readSpool } from '../stages/spool/journal.ts';
import { createSpoolFolder, removeSpoolFolder, spooledSids } from '../stages/spool/spool-folder.ts';

export function channelPort(
  rooms: Pick<Rooms, 'requestKeyFrames' | 'openFeed'>,
  apps: AppDirectory,
  clock: Clock,
): ChannelPort {
  return {
    prepare: (appid, cname) => rooms.requestKeyFrames(appid, cname),
    openFeed: (who) => rooms.openFeed(who),
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

/** @param root folder that holds a folder per recording */
export function spoolPort(root: string): SpoolPort {
  const pathOf = (sid: string) => join(root, sid);
  return {
    pathOf,
    sids: () => spooledSids(root),
    create: (sid) => createSpoolFolder(root, sid),
    async read(sid) {
      try {
        return await readSpool(pathOf(sid));
      } catch (error) {
        // A recording that ended before it was launched has no folder.
        if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
          return { files: [], problems: [], leftovers: [] };
        throw error;
      }
    },
    async readReport(sid, name) {
      try {
        return qualityReportSchema.parse(JSON.parse(await readFile(join(pathOf(sid), name), 'utf8')));
      } catch (cause) {
        throw new Fault('report-unreadable', `${name} cannot be read: ${messageOf(cause)}`, { blame: 'self', cause });
      }
    },
    writeReport: (sid, baseName, report) => writeReport(pathOf(sid), baseName, report),
    remove: (sid) => removeSpoolFolder(pathOf(sid)),
  };
}
