/**
 * The session's ports, joined to the channel, the spool and the uploader.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rooms } from '../channel/room/rooms.ts';
import type { AppDirectory } from '../channel/whip/apps.ts';
import { verifyRtcToken } from '../channel/whip/token.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import { writeReport } from '../pipeline/report/write-report.ts';
import type { ChannelPort, SpoolPort, UploadPort } from '../session/ports.ts';
import { renderMpd } from '../stages/mux/dash/mpd.ts';
import { renderPlaylist } from '../stages/mux/hls/playlist.ts';
import { readSpool } from '../stages/spool/journal.ts';
import { createSpoolFolder, removeSpoolFolder, spooledSids } from '../stages/spool/spool-folder.ts';
import { RecordingUpload } from '../stages/upload/recording-upload.ts';
import { createTarget } from '../stages/upload/target/target.ts';

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

export function uploadPort(options: { localStorageDir: string; clock: Clock; log: Log }): UploadPort {
  const { localStorageDir, clock, log } = options;
  return {
    async begin({ sid, storage, spoolDir, extinfComma }, onEvent) {
      const options = { localStorageDir, clock, warn: (text: string) => log.warn({ sid }, text) };
      let target = await createTarget(storage, options);
      let addedBytes = 0;
      let storedBytes = 0;
      const upload = new RecordingUpload({
        target,
        prefix: storage.fileNamePrefix,
        spoolDir,
        renderIndex: (name, rows) =>
          name.endsWith('.mpd') ? renderMpd(rows) : renderPlaylist(rows.flat(), { extinfComma }),
        clock,
        log: log.child({ sid }),
        onEvent(event) {
          if (event.type === 'fileStored') {
            storedBytes += event.file.bytes;
            const { file, key } = event;
            if (file.type === 'mp4')
              onEvent({ type: 'mp4Stored', key, startUtcMs: file.startUtcMs, owner: file.owner });
            if (file.type === 'snapshot') onEvent({ type: 'snapshotStored', key, startUtcMs: file.startUtcMs });
            if (event.attempts > 1 && file.type !== 'document') onEvent({ type: 'fileResent' });
          }
          // Failures that may pass are logged and tried again by the upload itself, and told when they have lasted a while.
          if (event.type === 'uploadFailed' && (!event.fault.retryable || event.lasting))
            onEvent({ type: 'storeRefused', message: event.fault.message, forGood: !event.fault.retryable });
          if (event.type === 'playlistStored')
            onEvent({
              type: 'playlistStored',
              key: event.key,
              startUtcMs: event.firstStartUtcMs,
              owner: event.owner,
              playable: event.playable,
            });
        },
      });
      return {
        add(file) {
          addedBytes += file.bytes;
          upload.add(file);
        },
        progress: () => ({ storedBytes, addedBytes }),
        async useStorage(renewed) {
          target = await createTarget(renewed, options);
          // What is under way breaks off with the old connections, and is sent again.
          upload.useTarget(target).close();
        },
        async finish() {
          const { lost } = await upload.finish();
          target.close();
          if (lost.length > 0) {
            const names = lost.map((file) => file.name).join(', ');
            throw new Fault('spool-files-lost', `gone from the spool before they were stored: ${names}`, {
              blame: 'self',
            });
          }
        },
        abort() {
          upload.abort();
          target.close();
        },
      };
    },
  };
}
