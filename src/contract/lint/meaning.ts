/**
 * Finds what in a valid request will not do what its sender probably means, by the meaning of its members (contract
 * §1.2 to §1.4). Bodies are taken as they were sent, before defaults, so that what was not sent is undefined.
 */
import { REGIONS } from '../line/regions.ts';
import type { Mode } from '../rest/fields.ts';
import { FRAME_RATES } from '../rest/media-values.ts';
import { type Canvas, lintLayout } from './layout.ts';
import { lintOverlays } from './overlays.ts';
import { lintLists, lintStreamSubscribe } from './subscription.ts';
import { isEmpty, isObject, memberPath, type Warning } from './warning.ts';

/** Where in a body the members of these functions are. */
const ROOT = 'clientRequest';
/** Contract §1.2.3. */
const DEFAULT_CANVAS: Canvas = { width: 360, height: 640 };

/**
 * Members of clientRequest, and of its recordingConfig, that only some modes have, with the warning for the other
 * modes.
 */
const ONLY_IN: Record<string, { modes: readonly Mode[]; ignored: string }> = {
  recordingConfig: { modes: ['individual', 'mix'], ignored: 'has no effect in web mode, which records a page' },
  snapshotConfig: { modes: ['individual'], ignored: 'has an effect in individual mode only' },
  // Composites once had services too, which sent files on to a video platform or moderated them.
  extensionServiceConfig: {
    modes: ['web'],
    ignored: 'has an effect in web mode only: no file is sent on, and nothing is moderated',
  },
};
const ONLY_IN_CONFIG: typeof ONLY_IN = {
  transcodingConfig: { modes: ['mix'], ignored: 'has an effect in mix mode only: individual mode keeps what is sent' },
  audioProfile: { modes: ['mix'], ignored: 'has an effect in mix mode only' },
  streamMode: { modes: ['individual'], ignored: 'has an effect in individual mode only' },
};

/** Members of `aircheck`, this server's own. */
const ONLY_IN_EXTENSION: typeof ONLY_IN = {
  stereo: { modes: ['mix'], ignored: 'has an effect in mix mode only: elsewhere everybody has files of their own' },
  standby: { modes: ['mix', 'individual'], ignored: 'has no effect in web mode: a page has one recorder' },
  mp4: { modes: ['individual'], ignored: 'has an effect in individual mode only; avFileType is for all modes' },
  speakers: { modes: ['individual'], ignored: 'has an effect in individual mode only' },
  manifest: { modes: ['individual'], ignored: 'has an effect in individual mode only' },
};

/** Checks a start. `clientRequest` may be anything that was sent. */
export function lintStart(mode: Mode, clientRequest: unknown): Warning[] {
  if (!isObject(clientRequest)) return [];
  const warnings = [
    ...lintModes(mode, clientRequest, ONLY_IN, ROOT),
    ...lintRetention(clientRequest),
    ...lintRegion(clientRequest),
  ];
  if (mode === 'web') return [...warnings, ...lintPage(clientRequest)];
  const config = clientRequest['recordingConfig'] ?? undefined;
  if (isObject(config)) warnings.push(...lintRecordingConfig(mode, config, `${ROOT}.recordingConfig`));
  // Optional in mix mode (contract §1.2.1). A request without storage either was hardly meant as a start.
  else if (mode === 'individual' && config === undefined && isObject(clientRequest['storageConfig']))
    warnings.push({
      code: 'replaced',
      path: `${ROOT}.recordingConfig`,
      message:
        'recordingConfig is not given, and its defaults are taken: sound and picture of at most 2 users at a time.',
    });
  if (mode === 'individual') warnings.push(...lintWithdrawn(clientRequest));
  const streamTypes = isObject(config) ? config['streamTypes'] : undefined;
  warnings.push(...lintExtension(mode, clientRequest['aircheck'], streamTypes));
  if (mode === 'mix') warnings.push(...lintOverlays(clientRequest['aircheck'], `${ROOT}.aircheck`, config));
  return warnings;
}

/** Checks an acquire. */
export function lintAcquire(clientRequest: unknown): Warning[] {
  if (!isObject(clientRequest) || clientRequest['scene'] !== 2) return [];
  const message = 'scene 2 is taken for 0: this server does not transcode after the recording.';
  return [{ code: 'replaced', path: `${ROOT}.scene`, message }];
}

const NOT_A_LAYOUT = 'aircheck has no effect in updateLayout, which leaves what it says as it is; update changes it.';

/**
 * Checks an updateLayout.
 * @param canvas of the recording, in pixels; without it no cropping can be found
 */
export function lintUpdateLayout(clientRequest: unknown, canvas?: Canvas): Warning[] {
  if (!isObject(clientRequest)) return [];
  const warnings = lintLayout(clientRequest, ROOT, canvas);
  if (!isEmpty(clientRequest['aircheck']))
    warnings.push({ code: 'ignored', path: `${ROOT}.aircheck`, message: NOT_A_LAYOUT });
  return warnings;
}

/** What is known of how a recording was started, for checks of its changes; an unknown member is not checked. */
export type Begun = {
  streamTypes?: 0 | 1 | 2 | undefined;
  /** The storage of its files, as it was sent. */
  storage?: Readonly<Partial<Record<(typeof KEPT_IN_STORAGE)[number], unknown>>> | undefined;
};
/** Members that an update of storageConfig leaves as they were at the start. */
const KEPT_IN_STORAGE = ['fileNamePrefix', 'extensionParams'] as const;

/** Checks an update. */
export function lintUpdate(mode: Mode, clientRequest: unknown, { streamTypes, storage }: Begun = {}): Warning[] {
  if (!isObject(clientRequest)) return [];
  const { streamSubscribe: subscribe, storageConfig } = clientRequest;
  const warnings = mode === 'web' ? [] : lintExtension(mode, clientRequest['aircheck'], streamTypes);
  if (mode !== 'web' && isObject(subscribe))
    warnings.push(...lintStreamSubscribe(subscribe, `${ROOT}.streamSubscribe`, streamTypes));
  if (mode === 'mix') warnings.push(...lintOverlays(clientRequest['aircheck'], `${ROOT}.aircheck`, { streamTypes }));
  if (storage && isObject(storageConfig))
    for (const name of KEPT_IN_STORAGE) {
      const given = storageConfig[name];
      if (isEmpty(given) || JSON.stringify(given) === JSON.stringify(storage[name])) continue;
      const message = `${name} stays as it was at the start: update renews credentials alone.`;
      warnings.push({ code: 'ignored', path: memberPath(`${ROOT}.storageConfig`, name), message });
    }
  return warnings;
}

function lintModes(mode: Mode, holder: Record<string, unknown>, rules: typeof ONLY_IN, path: string): Warning[] {
  return Object.entries(rules)
    .filter(([name, { modes }]) => !modes.includes(mode) && !isEmpty(holder[name]))
    .map(([name, { ignored }]) => ({
      code: 'ignored',
      path: memberPath(path, name),
      message: `${name} ${ignored}.`,
    }));
}

function lintRecordingConfig(mode: Mode, config: Record<string, unknown>, path: string): Warning[] {
  const { streamMode, streamTypes, privateParams, transcodingConfig: transcoding } = config;
  // Some clients always send the default.
  const warnings = lintModes(
    mode,
    streamMode === 'default' ? omit(config, 'streamMode') : config,
    ONLY_IN_CONFIG,
    path,
  );
  warnings.push(...lintLists(config, path));
  if (mode === 'individual' && (config['subscribeUidGroup'] ?? undefined) === undefined)
    warnings.push({
      code: 'left-out',
      path: memberPath(path, 'subscribeUidGroup'),
      message: 'subscribeUidGroup is not given, and 0 is taken: at most 2 users are recorded at a time.',
    });
  if (mode === 'individual' && streamMode === 'original' && streamTypes !== 0)
    warnings.push({
      code: 'contradictory',
      path: memberPath(path, 'streamMode'),
      message: 'streamMode "original" has an effect only when streamTypes is 0.',
    });
  if (typeof privateParams === 'string' && privateParams !== '' && !isJsonObject(privateParams))
    warnings.push({
      code: 'ignored',
      path: memberPath(path, 'privateParams'),
      message: 'privateParams is no JSON object in a text, and is ignored.',
    });
  if (mode === 'mix' && isObject(transcoding)) {
    const place = memberPath(path, 'transcodingConfig');
    if (streamTypes === 0 && !isEmpty(transcoding))
      warnings.push({
        code: 'contradictory',
        path: place,
        message: 'transcodingConfig has no effect, because streamTypes 0 records no picture.',
      });
    else warnings.push(...lintTranscoding(transcoding, place));
  }
  return warnings;
}

function lintTranscoding(config: Record<string, unknown>, path: string): Warning[] {
  const { width = DEFAULT_CANVAS.width, height = DEFAULT_CANVAS.height, fps } = config;
  const canvas = typeof width === 'number' && typeof height === 'number' ? { width, height } : undefined;
  const warnings = lintLayout(config, path, canvas);
  if (typeof fps === 'number' && !FRAME_RATES.includes(fps)) {
    const message = `fps ${fps} is none of ${FRAME_RATES.join(', ')}, and 15 is used.`;
    warnings.push({ code: 'replaced', path: memberPath(path, 'fps'), message });
  }
  return warnings;
}

function lintExtension(mode: Mode, extension: unknown, streamTypes: unknown): Warning[] {
  if (!isObject(extension)) return [];
  const path = `${ROOT}.aircheck`;
  const warnings = lintModes(mode, extension, ONLY_IN_EXTENSION, path);
  const ofSound = { mix: 'stereo', individual: 'speakers', web: undefined }[mode];
  if (ofSound && streamTypes === 1 && !isEmpty(extension[ofSound]) && extension[ofSound] !== false)
    warnings.push({
      code: 'contradictory',
      path: memberPath(path, ofSound),
      message: `${ofSound} has no effect, because streamTypes 1 records no sound.`,
    });
  return warnings;
}

/** Files are deleted with the keys that they were stored with. */
function lintRetention({ aircheck, storageConfig }: Record<string, unknown>): Warning[] {
  const days = isObject(aircheck) ? aircheck['retentionDays'] : undefined;
  if (!days || !isObject(storageConfig) || isEmpty(storageConfig['stsToken'])) return [];
  const message =
    'retentionDays deletes files with the keys of storageConfig, and stsToken says that these end before: give others to PUT …/retention.';
  return [{ code: 'contradictory', path: `${ROOT}.aircheck.retentionDays`, message }];
}

/** The API wants a region of vendors that have any (contract §1.2.6). */
function lintRegion({ storageConfig: storage }: Record<string, unknown>): Warning[] {
  if (!isObject(storage) || typeof storage['vendor'] !== 'number' || (storage['region'] ?? undefined) !== undefined)
    return [];
  const taken = REGIONS[storage['vendor']]?.[0];
  if (taken === undefined) return [];
  const message = `region is not given, and 0 is taken: ${taken}.`;
  return [{ code: 'left-out', path: `${ROOT}.storageConfig.region`, message }];
}

function lintWithdrawn({ transcodeOptions }: Record<string, unknown>): Warning[] {
  // A client library sends its members empty at every depth (contract §6.15).
  if (!isObject(transcodeOptions) || Object.values(transcodeOptions).every(isEmpty)) return [];
  const message = 'transcodeOptions has no effect: files are not transcoded after the recording.';
  return [{ code: 'ignored', path: `${ROOT}.transcodeOptions`, message }];
}

function lintPage(clientRequest: Record<string, unknown>): Warning[] {
  const config = clientRequest['extensionServiceConfig'];
  const services = isObject(config) ? config['extensionServices'] : undefined;
  if (!Array.isArray(services)) return [];
  // A request has at most 8 services.
  return services.slice(0, 8).flatMap((service: unknown, index): Warning[] => {
    const page = isObject(service) && service['serviceName'] === 'web_recorder_service' ? service['serviceParam'] : {};
    if (!isObject(page)) return [];
    const { videoBitrate, VideoBitrate } = page;
    if (isEmpty(videoBitrate) || isEmpty(VideoBitrate) || videoBitrate === VideoBitrate) return [];
    const path = `${ROOT}.extensionServiceConfig.extensionServices[${index}].serviceParam.VideoBitrate`;
    const message = 'VideoBitrate is another spelling of videoBitrate, and both are given with different values.';
    return [{ code: 'contradictory', path, message }];
  });
}

function omit(holder: Record<string, unknown>, name: string): Record<string, unknown> {
  const { [name]: _left, ...rest } = holder;
  return rest;
}

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text));
  } catch {
    return false;
  }
}
