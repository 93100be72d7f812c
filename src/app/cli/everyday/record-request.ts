/** What `aircheck record` asks a server for: its options, checked by the schemas that the server reads with. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { STORAGE_VENDORS, storageConfigSchema } from '../../../contract/line/storage.ts';
import { isUid, type Mode } from '../../../contract/rest/fields.ts';
import { FRAME_RATES } from '../../../contract/rest/media-values.ts';
import { startRequestSchemas } from '../../../contract/rest/start.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';

/** The options as commander hands them over. */
export type RecordWords = {
  mode: Mode;
  uid?: string;
  token?: string;
  size: string;
  fps: string;
  bitrate?: string;
  layout: (typeof LAYOUTS)[number];
  mp4: boolean;
  storage?: string;
  bucket: string;
  page?: string;
  idle?: string;
  for?: number;
  request?: string;
};

export type Requested = {
  mode: Mode;
  /** `clientRequest` of start, without a token. */
  clientRequest: Record<string, unknown>;
  /** Seconds after which it is stopped; undefined when it goes on until it is told to end. */
  forS: number | undefined;
  /** The folder of the server's own store; undefined where files go elsewhere. */
  bucket: string | undefined;
};

const LAYOUTS = ['floating', 'best-fit', 'vertical'] as const;
/** As the contract's own table has it, about. */
const BITS_PER_PIXEL = 0.1;
const MIN_BITRATE_KBPS = 100;
const RATES = FRAME_RATES.join(', ').replace(/, (?=\d+$)/, ' or ');
const MAX_BITRATE_KBPS = 6_500;
/** Of `subscribeUidGroup`: up to 49 users. */
const MOST_USERS_GROUP = 5;
const WEB_HOURS = 24;

/** Throws a Fault that says which option is wrong and what it may be. */
export function requestOf(words: RecordWords): Requested {
  const { mode, uid, storage } = words;
  if (uid !== undefined && !isUid(uid)) throw refuse(`--uid is ${uid}; it is a whole number from 1 to 4294967295`);
  if (mode === 'web' && words.page === undefined && words.request === undefined)
    throw refuse('--mode web needs --page <address>');
  const given = words.request === undefined ? {} : readJson('--request', words.request);
  const storageConfig =
    storage === undefined
      ? { vendor: STORAGE_VENDORS.localFolder, region: 0, bucket: words.bucket, accessKey: '-', secretKey: '-' }
      : readJson('--storage', storage);
  const clientRequest = { storageConfig, ...madeOf(words), ...given };
  const parsed = startRequestSchemas[mode].safeParse({ cname: 'a', uid: '1', clientRequest });
  if (!parsed.success) throw refuse(`the request is not valid:\n${problemsOf(parsed.error)}`);
  const local = storageConfigSchema.safeParse(clientRequest.storageConfig).data;
  return {
    ...{ mode, clientRequest, forS: words.for },
    bucket: local?.vendor === STORAGE_VENDORS.localFolder ? local.bucket : undefined,
  };
}

function madeOf(words: RecordWords): Record<string, unknown> {
  const { mode, mp4, page } = words;
  const { width, height } = readSize(words.size);
  const fps = whole('--fps', words.fps, 1, 60);
  const idle = words.idle === undefined ? {} : { maxIdleTime: whole('--idle', words.idle, 5, 2_592_000) };
  const usual = Math.round((width * height * fps * BITS_PER_PIXEL) / 1000);
  const bitrate =
    words.bitrate === undefined
      ? Math.min(MAX_BITRATE_KBPS, Math.max(MIN_BITRATE_KBPS, usual))
      : whole('--bitrate', words.bitrate, 1, MAX_BITRATE_KBPS);
  const recordingFileConfig = { avFileType: mp4 ? ['hls', 'mp4'] : ['hls'] };
  switch (mode) {
    case 'individual':
      return {
        recordingConfig: { subscribeUidGroup: MOST_USERS_GROUP, ...idle },
        recordingFileConfig,
        aircheck: { manifest: true },
      };
    case 'mix': {
      // The server would take another rate in silence.
      if (!FRAME_RATES.includes(fps)) throw refuse(`--fps is ${fps}; a composite has ${RATES} frames per second`);
      const mixedVideoLayout = LAYOUTS.indexOf(words.layout);
      const transcodingConfig = { width, height, fps, bitrate, mixedVideoLayout };
      return { recordingConfig: { audioProfile: 1, ...idle, transcodingConfig }, recordingFileConfig };
    }
    case 'web': {
      const size = { videoWidth: width, videoHeight: height, videoFps: fps, videoBitrate: bitrate };
      const serviceParam = { url: page, audioProfile: 1, ...size, maxRecordingHour: WEB_HOURS };
      const extensionServices = [{ serviceName: 'web_recorder_service', serviceParam }];
      return { recordingFileConfig, extensionServiceConfig: { extensionServices } };
    }
  }
}

export function refuse(words: string): Fault {
  return new Fault('options-invalid', words, { blame: 'caller' });
}

/** Width and height of a picture, both even: encoders of 4:2:0 take no others. */
export function readSize(text: string): { width: number; height: number } {
  const [, w, h] = /^(\d{1,4})x(\d{1,4})$/i.exec(text) ?? [];
  const size = { width: Number(w), height: Number(h) };
  if (w === undefined || size.width < 2 || size.height < 2 || size.width % 2 || size.height % 2)
    throw refuse(`--size is ${text}; it is as 1280x720, both even`);
  return size;
}

export function whole(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw refuse(`${option} is ${text}; it is a whole number from ${min} to ${max}`);
}

/** @param given JSON, or a file that holds it; `-` is standard input */
function readJson(option: string, given: string): Record<string, unknown> {
  try {
    const text = given.trimStart().startsWith('{') ? given : readFileSync(given === '-' ? 0 : given, 'utf8');
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof z.ZodError) throw refuse(`${option} is no JSON object`);
    throw refuse(`${option} cannot be read: ${messageOf(error)}`);
  }
}

function problemsOf({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`).join('\n');
}
