/**
 * The one schema of all settings. A key `syncStopTimeoutS` is set by AIRCHECK_SYNC_STOP_TIMEOUT_S in the environment or
 * by its own name in aircheck.yaml; the environment wins. docs/reference/configuration.md is generated from here.
 */
import { z } from 'zod';
import { RUNG_NAMES, rungSchema } from '../contract/line/rungs.ts';
import { storageConfigSchema } from '../contract/line/storage.ts';
import { MOST_RETENTION_DAYS } from '../contract/rest/retention.ts';
import { fleetSettings } from './fleet-settings.ts';
import { mixSettings } from './mix-settings.ts';
import { observeSettings } from './observe-settings.ts';
import { pageSettings } from './page-settings.ts';
import { flag, flagWords, networkList, setting, text, urlText, whole, wholeWords, words } from './setting.ts';
import { watchSettings } from './watch-settings.ts';

const hexId = () => text().regex(/^([0-9a-fA-F]{32})?$/);
const hexWords = '32 hexadecimal characters';

/** Numbers of event types: a list, or one text with commas, as in the environment. */
const eventList = () =>
  z
    .preprocess(
      (value) =>
        typeof value === 'string'
          ? value
              .split(',')
              .map((part) => part.trim())
              .filter((part) => part !== '')
              .map(Number)
          : value,
      z.array(z.int().min(1).max(9999)),
    )
    .default([]);
const secretKeyList = () => z.preprocess(words, z.array(z.string().regex(/^[0-9a-fA-F]{64}$/))).default([]);

// Strict: a certificate or a list of apps that is misspelt would open what it was to close.
const appSchema = z.strictObject({
  id: text().regex(/^[0-9a-fA-F]{32}$/),
  certificate: hexId().default(''),
  /** When false the app exists but may not record. */
  recording: z.boolean().default(true),
  /** As the setting of this name, for this app alone. */
  retentionDays: z.int().min(0).max(MOST_RETENTION_DAYS).optional(),
  notifications: z
    .strictObject({
      url: urlText().min(1),
      secret: text().min(1),
      events: z.array(z.int().min(1).max(9999)).default([]),
    })
    .optional(),
});
const customerSchema = z.strictObject({
  id: text()
    .min(1)
    .regex(/^[^:]*$/),
  secret: text().min(1),
  /** App IDs this customer may use; all of them when absent. */
  apps: z.array(text()).optional(),
});

export const settingsShape = {
  host: setting(text().min(1).default('127.0.0.1'), {
    description: 'Address the HTTP server listens on.',
    allowed: 'a host name or IP address',
  }),
  port: setting(whole(0, 65535, 7300), {
    description: 'Port of the HTTP server: REST API, WHIP and the publish page. 0 takes a free one.',
    allowed: wholeWords(0, 65535),
  }),
  ...observeSettings,
  dataDir: setting(text().min(1).default('./data'), {
    description: 'Folder for everything the server keeps: database, credentials, recordings that are being made.',
    allowed: 'a path; a relative one starts at the working folder',
  }),
  appId: setting(hexId().default(''), {
    description: 'App ID that REST paths and WHIP addresses name.',
    allowed: hexWords,
    otherwise: 'made at the first start',
  }),
  appCertificate: setting(hexId().default(''), {
    description:
      'App Certificate that RTC tokens are checked with. With an App ID and no certificate, tokens are not required.',
    allowed: hexWords,
    otherwise: 'made at the first start, together with the App ID',
    secret: true,
  }),
  customerId: setting(
    text()
      .regex(/^[^:]*$/)
      .default(''),
    {
      description: 'User name of the REST API (HTTP Basic).',
      allowed: 'any text without a colon',
      otherwise: 'made at the first start',
    },
  ),
  customerSecret: setting(text().default(''), {
    description: 'Password of the REST API (HTTP Basic).',
    allowed: 'any text',
    otherwise: 'made at the first start',
    secret: true,
  }),
  apps: setting(z.array(appSchema).default([]), {
    description:
      'Further apps, each with `id` and, if tokens are required, `certificate`; `retentionDays` where it differs from the setting of that name; `notifications` as notifyUrl, notifySecret and notifyEvents have them; `recording: false` for one that may not record. Only in aircheck.yaml.',
    allowed: `a list of { id, certificate, retentionDays, notifications: { url, secret, events }, recording }, the first two each ${hexWords}`,
    otherwise: 'none',
    secret: true,
  }),
  customers: setting(z.array(customerSchema).default([]), {
    description:
      'Further customers, each with `id`, `secret` and, to limit them, `apps` (a list of App IDs). Only in aircheck.yaml.',
    allowed: 'a list of { id, secret, apps }',
    otherwise: 'none',
    secret: true,
  }),
  databaseUrl: setting(
    text()
      .regex(/^(postgres(ql)?:\/\/.+)?$/)
      .default(''),
    {
      description: 'Postgres to keep state in.',
      allowed: 'a postgres:// address',
      otherwise: 'a PGlite database in the data folder',
      secret: true,
    },
  ),
  ...fleetSettings,
  rtcHost: setting(text().min(1).default('127.0.0.1'), {
    description: 'Address that WebRTC media is received on, and that publishers are told to send to.',
    allowed: 'an IP address of this machine',
  }),
  rtcPort: setting(whole(1, 65535, 7301), {
    description:
      'UDP port for the media of all publishers. A publisher with FFmpeg takes one more, any that is free, because it does not keep up the consent that WebRTC asks for.',
    allowed: wholeWords(1, 65535),
  }),
  localStorageDir: setting(text().default(''), {
    description: 'Folder under which the buckets of storage vendor 1000 (this machine) lie.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: '`recordings` in the data folder',
  }),
  retentionDays: setting(whole(0, MOST_RETENTION_DAYS, 0), {
    description:
      'How many days after its end the files of a recording are kept, in whatever store; then they are deleted. 0 keeps them for ever. What holds when a recording starts holds for it; an app of `apps`, and a recording, may have their own.',
    allowed: wholeWords(0, MOST_RETENTION_DAYS),
  }),
  storageNetworks: setting(networkList(), {
    description:
      'Networks that are no public internet and that customers may store into all the same: `loopback` (this machine), `private`, and ranges. Without it a `storageConfig` could have this server knock at doors that only it can reach.',
    allowed: 'loopback, private, addresses and ranges such as 10.1.0.0/16, separated by commas; or none',
    otherwise: '`loopback` while `host` is a loopback address, else none',
  }),
  storagePlainHttp: setting(flag(false), {
    description:
      'Whether customers may store over plain http beyond storageNetworks. Within them they may. Whoever listens on the way reads the files, not the keys.',
    allowed: flagWords,
  }),
  storageTest: setting(flag(true), {
    description:
      'Whether a small object is put into a customer’s store at the start of a recording, and removed again, so that a wrong key, bucket or address is told (event 1, code 32) within three seconds. Not for vendor 1000.',
    allowed: flagWords,
  }),
  backupDir: setting(text().default(''), {
    description: 'Folder of the backup store, for files whose own store is away when their recording has ended.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: '`backup` in the data folder',
  }),
  backupStorage: setting(storageConfigSchema.optional(), {
    description:
      'A bucket to use as backup store instead of backupDir: vendor, region, bucket, accessKey, secretKey and extensionParams as in `storageConfig`. Only in aircheck.yaml.',
    allowed: 'a storageConfig of a vendor that speaks S3',
    otherwise: 'none',
    secret: true,
  }),
  backupAfterS: setting(whole(0, 3600, 5), {
    description:
      'A store that fails for this long after the end of a recording has its files put into the backup store; stop then answers `backuped`.',
    allowed: wholeWords(0, 3600),
  }),
  backupKeepHours: setting(whole(72, 8760, 72), {
    description:
      'How long files in the backup store are tried to be moved on, before they are given up with an event. They stay where they are then.',
    allowed: wholeWords(72, 8760),
  }),
  secretKeys: setting(secretKeyList(), {
    description:
      'Keys that storage keys, tokens and the like are sealed with in the database (AES-256-GCM). The first seals; put a new one before the old one, start, and take the old one out at the next start.',
    allowed: '64 hexadecimal characters each, separated by commas',
    otherwise: 'made at the first start, in `secret.key` of the data folder',
    secret: true,
  }),
  imageNetworks: setting(networkList(), {
    description:
      'Networks that are no public internet and that background images of composites may be fetched from all the same: `loopback` (this machine), `private`, and ranges. Without it a caller could have this server knock at doors that only it can reach.',
    allowed: 'loopback, private, addresses and ranges such as 10.1.0.0/16, separated by commas; or none',
    otherwise: '`loopback` while `host` is a loopback address, else none',
  }),
  ...pageSettings,
  ...watchSettings,
  ...mixSettings,
  logLevel: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'), {
    description: 'The least severe log lines written.',
    allowed: 'trace, debug, info, warn, error or silent',
  }),
  sliceStartTimeUnit: setting(z.enum(['s', 'ms']).default('s'), {
    description: 'Unit of `sliceStartTime` inside a `fileList`. The one beside a `fileList` is always in ms.',
    allowed: 's or ms',
  }),
  forceExtinfComma: setting(flag(false), {
    description: 'Write the comma after `#EXTINF:<seconds>` in every playlist, as Safari and RFC 8216 want it.',
    allowed: flagWords,
  }),
  failoverNames: setting(flag(false), {
    description:
      'Whether a recorder that takes over from a lost one begins files, playlists and MP4s of its own, named `bak0_…`, then `bak1_…`, as the service this one stands in for does. Otherwise it goes on with those of the lost one. Counts for recordings that are started from then on.',
    allowed: flagWords,
  }),
  syncStopTimeoutS: setting(whole(1, 600, 20), {
    description: 'A synchronous stop waits this long for uploads before it answers code 50; uploading goes on.',
    allowed: wholeWords(1, 600),
  }),
  resourceLifeS: setting(whole(1, 86400, 300), {
    description: 'How long a resource id from acquire can be used for start.',
    allowed: wholeWords(1, 86400),
  }),
  mp4MaxDurationS: setting(whole(1, 86400, 7200), {
    description: 'An MP4 file is ended, and the next begun, at this length.',
    allowed: wholeWords(1, 86400),
  }),
  mp4MaxBytes: setting(whole(1_000_000, 1_000_000_000_000, 2_000_000_000), {
    description: 'An MP4 file is ended, and the next begun, at this size.',
    allowed: wholeWords(1_000_000, 1_000_000_000_000),
  }),
  lowestRung: setting(rungSchema.default('oneASecond'), {
    description:
      'How much may be taken from the picture of a composite or a web page while the machine is too slow for it, rung by rung as the guide to composites lists them. `full` takes nothing: a recording that falls further behind than keepS then loses what it has not read, sound too.',
    allowed: RUNG_NAMES.join(', ').replace(/, (?=\w+$)/, ' or '),
  }),
  qualityReport: setting(z.enum(['local', 'always', 'never']).default('local'), {
    description:
      'Whether a recording’s quality report is stored beside its files: `local` does it for storage vendor 1000 (this machine). Whatever it says, `GET …/aircheck/recordings/{sid}` has the report.',
    allowed: 'local, always or never',
  }),
  recorderReadyTimeoutS: setting(whole(1, 600, 60), {
    description:
      'A recorder process that is not ready after this time is replaced by another. The recording is not lost: what its channel sends meanwhile is kept for it.',
    allowed: wholeWords(1, 600),
  }),
  warmRecorders: setting(whole(0, 100, 1), {
    description:
      'Recorder processes that are kept ready for each mode in use, so that a start need not wait for a process to begin. Each holds 35 to 55 MB. 0 keeps none.',
    allowed: wholeWords(0, 100),
  }),
  recordingsPerRecorder: setting(whole(1, 64, 8), {
    description:
      'Individual recordings (without snapshots) that share one recorder process, counted as recordings of two users: one of up to 7 users (`subscribeUidGroup` 1) counts as three and a half, and one that may have more users than this number goes alone. Sharing saves most of a recording’s memory; when the process dies, each recording in it goes on in one of its own. 1: none share.',
    allowed: wholeWords(1, 64),
  }),
  completeParallel: setting(whole(1, 64, 1), {
    description:
      'Recordings that are completed at once after their end (repair after a crash, MP4s of single users, manifests). Others wait for their turn.',
    allowed: wholeWords(1, 64),
  }),
  completeTimeoutS: setting(whole(10, 86_400, 7200), {
    description:
      'Completing a recording is given up after this time; what lies finished on the spool is stored all the same.',
    allowed: wholeWords(10, 86_400),
  }),
  maxPublishers: setting(whole(1, 100_000, 1000), {
    description: 'Publishers at once, those who are connecting among them. More are answered 503.',
    allowed: wholeWords(1, 100_000),
  }),
  maxPublishersPerApp: setting(whole(1, 100_000, 1000), {
    description: 'Publishers of one App ID at once. More are answered 403.',
    allowed: wholeWords(1, 100_000),
  }),
  maxTracksPerChannel: setting(whole(1, 10_000, 200), {
    description: 'Tracks (microphones, cameras, screens) in one channel at once. Whoever brings more is answered 403.',
    allowed: wholeWords(1, 10_000),
  }),
  iceGatherTimeoutMs: setting(whole(100, 60_000, 5000), {
    description: 'A publisher is answered 503 when the server has not found its own addresses by then.',
    allowed: wholeWords(100, 60_000),
  }),
  keepS: setting(whole(10, 3600, 120), {
    description:
      'How long packets are kept for a recorder that is not there yet, is behind, or must begin again after a crash, in seconds. ' +
      'What came since the last key frame of a stream is kept for longer, within keepStreamMb.',
    allowed: wholeWords(10, 3600),
  }),
  keepStreamMb: setting(whole(1, 4096, 32), {
    description:
      'Packets that are kept of one stream at most, in MB. A stream whose key frames are further apart is not kept whole, ' +
      'and a recording that starts between two of them begins with the next.',
    allowed: wholeWords(1, 4096),
  }),
  keepTotalMb: setting(whole(16, 1_048_576, 512), {
    description:
      'Packets that are kept of all streams together at most, in MB. Beyond it the oldest are given up, ' +
      'which the quality report of a recording that needed them says.',
    allowed: wholeWords(16, 1_048_576),
  }),
  recorderStopTimeoutS: setting(whole(1, 600, 15), {
    description: 'A recorder process that has not finished its files this long after a stop is ended by force.',
    allowed: wholeWords(1, 600),
  }),
  tlsCertFile: setting(text().default(''), {
    description:
      'Certificate chain (PEM) to serve HTTPS with, HTTP/2 and HTTP/1.1 on the same port. Needs tlsKeyFile. Without both, plain HTTP is served.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: 'none',
  }),
  tlsKeyFile: setting(text().default(''), {
    description: 'Private key (PEM) of tlsCertFile.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: 'none',
  }),
  rateLimitPerS: setting(whole(0, 1_000_000, 10), {
    description: 'Calls a second that one App ID may make; more are answered 429. 0 sets no limit.',
    allowed: wholeWords(0, 1_000_000),
  }),
  maxRecordings: setting(whole(1, 100_000, 50), {
    description: 'Recordings that one App ID may run at once; acquire and start answer code 406 beyond.',
    allowed: wholeWords(1, 100_000),
  }),
  admissionCpuPercent: setting(whole(0, 10_000, 100), {
    description:
      'How much of the machine’s cores (a container’s share of them) recorders may take together, measured and, for new ones, estimated; start is refused beyond. 0 sets no limit.',
    allowed: wholeWords(0, 10_000),
  }),
  admissionMemoryPercent: setting(whole(0, 100, 95), {
    description:
      'How much of the machine’s memory (a container’s share of it) may be in use, by whatever, once a recording is begun; start is refused beyond. 0 sets no limit.',
    allowed: wholeWords(0, 100),
  }),
  admissionSpoolMb: setting(whole(0, 100_000_000, 500), {
    description:
      'Free space, in MB, that the disk of the spool (`spool` in the data folder) must have for a recording to be begun. 0 sets no limit.',
    allowed: wholeWords(0, 100_000_000),
  }),
  spoolReserveMb: setting(whole(0, 100_000_000, 200), {
    description:
      'Below this much free space, in MB, on the disk of the spool, running recordings are ended in order, the largest of the app that takes most first, with event 1 (code 500), and none is begun. 0 sets no limit: a disk that is full then costs what could not be written.',
    allowed: wholeWords(0, 100_000_000),
  }),
  spoolTotalMb: setting(whole(0, 1_000_000_000, 0), {
    description:
      'What all recordings together may take of the spool, in MB. Beyond it none is begun, and the largest running one is ended. 0 sets no limit but the disk.',
    allowed: wholeWords(0, 1_000_000_000),
  }),
  spoolRecordingMb: setting(whole(0, 1_000_000_000, 200_000), {
    description:
      'What one recording may take of the spool, in MB; beyond it, it is ended in order. The default is 24 hours at the highest bit rate, with an MP4. 0 sets no limit.',
    allowed: wholeWords(0, 1_000_000_000),
  }),
  spoolAppPercent: setting(whole(1, 100, 50), {
    description:
      'With several apps: how much of the disk (or of spoolTotalMb) the files of one of them may take that are not in their store, those in backupDir on the same disk among them. Beyond it no recording of the app is begun, and its largest is ended, so that one store that is away leaves room to the others. 100 sets no limit.',
    allowed: wholeWords(1, 100),
  }),
  callTimeoutMs: setting(whole(100, 60_000, 4000), {
    description:
      'A call that the database or a recorder keeps waiting for this long is answered with a timeout (code 62, 65 or 504), and start goes on. A synchronous stop has its own, syncStopTimeoutS.',
    allowed: wholeWords(100, 60_000),
  }),
  legacyErrorCodes: setting(flag(false), {
    description:
      'Answer with the codes that were in use until 2026 where they were finer than code 2: 8, 432, 433, 1001, 1003, 1013 and 1028.',
    allowed: flagWords,
  }),
  clampBitrate: setting(flag(false), {
    description: 'Take a bitrate over 6500 kbit/s for 6500 instead of refusing it.',
    allowed: flagWords,
  }),
  refuseIndividualMp4: setting(flag(false), {
    description:
      'Refuse `avFileType` `["hls","mp4"]` in individual mode, as the service this one stands in for does. Otherwise an MP4 of each user is made when the recording ends.',
    allowed: flagWords,
  }),
  requireUidGroup: setting(flag(false), {
    description:
      'Refuse a start in individual mode without `subscribeUidGroup`, as the service this one stands in for does. Otherwise a missing one is taken for 0 (2 users), as its Go library leaves out what is 0, and a missing `recordingConfig` for one of defaults.',
    allowed: flagWords,
  }),
  notifyUrl: setting(urlText().default(''), {
    description: 'Where the events of the App ID `appId` are posted (webhooks). Empty posts none.',
    allowed: 'an http:// or https:// address',
    otherwise: 'none',
  }),
  notifySecret: setting(text().default(''), {
    description: 'Secret that webhooks are signed with. Needed with notifyUrl.',
    allowed: 'any text',
    otherwise: 'none',
    secret: true,
  }),
  notifyEvents: setting(eventList(), {
    description: 'Event types that are posted; none named means all of them.',
    allowed: 'numbers of event types, separated by commas',
    otherwise: 'all',
  }),
  notifyRetryHours: setting(whole(0, 720, 24), {
    description:
      'How long an event that its receiver does not take is sent again, at growing intervals, before it is given up as dead.',
    allowed: wholeWords(0, 720),
  }),
  notifyMaxRetries: setting(whole(0, 1000, 0), {
    description:
      'How often an event is sent again at most. 0 sets no limit but notifyRetryHours; 3 is how the service this one stands in for does it.',
    allowed: wholeWords(0, 1000),
  }),
  notifyTimeoutS: setting(whole(1, 60, 10), {
    description: 'A receiver that has not answered 200 after this time has failed.',
    allowed: wholeWords(1, 60),
  }),
  eventRetentionDays: setting(whole(1, 3650, 30), {
    description: 'How long events can be read back and sent again.',
    allowed: wholeWords(1, 3650),
  }),
  notifySourceIps: setting(
    z
      .preprocess(
        (value) =>
          typeof value === 'string'
            ? value
                .split(',')
                .map((part) => part.trim())
                .filter((part) => part !== '')
            : value,
        z.array(z.union([z.ipv4(), z.ipv6()])),
      )
      .default([]),
    {
      description: 'Addresses that webhooks come from, as `/v1/ncs/ip` tells them to whoever keeps a firewall.',
      allowed: 'IP addresses, separated by commas',
      otherwise: 'the addresses of this machine',
    },
  ),
  shutdownTimeoutS: setting(whole(1, 3600, 30), {
    description:
      'At shutdown, running recordings are given this long to finish and upload; the next start does the rest.',
    allowed: wholeWords(1, 3600),
  }),
};

const settingsSchema = z.object(settingsShape);
export type Settings = z.output<typeof settingsSchema>;
export type SettingKey = keyof Settings;

/** The environment variable of a setting: `rtcPort` is AIRCHECK_RTC_PORT. */
export function environmentName(key: string): string {
  return `AIRCHECK_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Settings that a single variable cannot hold. */
export const YAML_ONLY: ReadonlySet<string> = new Set(['apps', 'customers', 'backupStorage']);
