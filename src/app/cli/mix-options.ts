/**
 * What `aircheck mix` is asked for: the words of the command line, checked and turned into plans, or into the call that
 * has a server make the mix. Layouts are those of `start` (contract §1.2.3, §4.7).
 */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { AudioPlan, MixPlan, VideoPlan } from '../../contract/line/plan.ts';
import type { Stereo } from '../../contract/line/stereo.ts';
import { isUid } from '../../contract/rest/fields.ts';
import { checkRegions, type LayoutMembers, layoutMembers } from '../../contract/rest/layout.ts';
import { AUDIO_PROFILES } from '../../contract/rest/media-values.ts';
import { MIX_PICTURE, usualBitrateKbps, withoutEffect } from '../../contract/rest/mix.ts';
import { MAX_BITRATE_KBPS } from '../../contract/rest/recording-config.ts';
import { inStereo } from '../../contract/rest/stereo.ts';
import { toLayout } from '../../contract/rest/to-layout.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { AccessWords } from './everyday/access.ts';

const LAYOUTS = ['floating', 'best-fit', 'vertical', 'custom'] as const;

/** The options as commander hands them over. */
export type MixWords = AccessWords & {
  layout?: (typeof LAYOUTS)[number];
  layoutConfig?: string;
  maxResolutionUid?: string;
  backgroundColor?: string;
  size: string;
  fps: string;
  bitrate?: string;
  audioProfile: string;
  left?: string;
  right?: string;
  mp4MaxDuration: string;
  mp4MaxBytes: string;
  users?: string;
  from?: string | undefined;
  to?: string | undefined;
  output?: string;
  hls?: boolean;
  video: boolean;
  audio: boolean;
  strict?: boolean;
  force?: boolean;
  quiet?: boolean;
  keys?: string;
};

export type MixRequest = {
  video: VideoPlan | undefined;
  audio: AudioPlan | undefined;
  /** Who is heard on which side; undefined when everybody is on both. */
  stereo: Stereo | undefined;
  /** Where an MP4 ends, and the next begins. */
  mp4Limit: MixPlan['mp4Limit'];
  uids: string[] | undefined;
  /** Microseconds of the recording; undefined where its own beginning or end is meant. */
  fromUs: RecordingUs | undefined;
  toUs: RecordingUs | undefined;
  /** Members of the layout that have no effect. */
  ignored: string[];
};

const MAX_MP4_S = 86_400;
const MIN_MP4_BYTES = 1_000_000;
const MAX_MP4_BYTES = 1_000_000_000_000;
/** In --left and --right: everybody whom the other option does not name. */
const OTHERS = 'others';

const layoutSchema = z.object(layoutMembers).superRefine(checkRegions);

export function refuse(words: string): Fault {
  return new Fault('mix-refused', words, { blame: 'caller' });
}

/** Throws a Fault that says which option is wrong and what it may be. */
export function readRequest(words: MixWords): MixRequest {
  if (!words.video && !words.audio) throw refuse('--no-video and --no-audio together leave nothing to mix');
  const { layout, ignored } = readLayout(words);
  const fps = whole('--fps', words.fps, 1, MIX_PICTURE.mostFps);
  const { width, height } = readSize(words.size);
  const bitrateKbps =
    words.bitrate === undefined
      ? usualBitrateKbps({ width, height, fps })
      : whole('--bitrate', words.bitrate, 1, MAX_BITRATE_KBPS);
  const profile = AUDIO_PROFILES[whole('--audio-profile', words.audioProfile, 0, 2) as 0 | 1 | 2];
  const stereo = readStereo(words);
  const fromUs = seconds('--from', words.from);
  const toUs = seconds('--to', words.to);
  if (fromUs !== undefined && toUs !== undefined && toUs <= fromUs) throw refuse('--to must lie after --from');
  return {
    video: words.video ? { width, height, fps, bitrateKbps, ...layout } : undefined,
    audio: words.audio ? (stereo ? inStereo(profile) : profile) : undefined,
    stereo,
    mp4Limit: {
      durationMs: whole('--mp4-max-duration', words.mp4MaxDuration, 1, MAX_MP4_S) * 1000,
      bytes: whole('--mp4-max-bytes', words.mp4MaxBytes, MIN_MP4_BYTES, MAX_MP4_BYTES),
    },
    uids: words.users === undefined ? undefined : readUids('--users', words.users),
    fromUs,
    toUs,
    ignored,
  };
}

/** How a server is asked for the same; without the stretch and without keys. Throws a Fault as `readRequest` does. */
export function readCall(words: MixWords): object {
  const { video, audio, uids, mp4Limit } = readRequest({ ...words, from: undefined, to: undefined });
  if (words.hls) throw refuse('--hls is for manifests: a server makes an MP4 alone');
  if (words.strict) throw refuse('--strict is for manifests');
  if (mp4Limit.durationMs !== 7_200_000 || mp4Limit.bytes !== 2_000_000_000)
    throw refuse('--mp4-max-duration and --mp4-max-bytes are for manifests: a server makes one MP4');
  const { width, height, fps, bitrateKbps: bitrate } = video ?? {};
  const stereo = readStereo(words);
  const side = (name: 'left' | 'right') => (stereo?.others === name ? ['#allstream#'] : stereo?.[name]);
  return {
    users: uids,
    streamTypes: video && audio ? 2 : video ? 1 : 0,
    audioProfile: Number(words.audioProfile),
    ...(stereo && { stereo: { left: side('left'), right: side('right') } }),
    ...(video && { transcodingConfig: { width, height, fps, bitrate, ...readMembers(words) } }),
  };
}

function readLayout(words: MixWords): { layout: Pick<VideoPlan, 'layout' | 'backgroundColor'>; ignored: string[] } {
  const data = readMembers(words);
  const { layout, backgroundColor } = toLayout(data);
  return { layout: { layout, backgroundColor }, ignored: withoutEffect(data) };
}

function readMembers(words: MixWords): LayoutMembers {
  const { layout, layoutConfig, maxResolutionUid, backgroundColor } = words;
  const given = layoutConfig === undefined ? {} : readLayoutConfig(layoutConfig);
  // Regions mean the layout that has regions, unless the caller names another.
  const named = layout ?? ('layoutConfig' in given && !('mixedVideoLayout' in given) ? 'custom' : undefined);
  const result = layoutSchema.safeParse({
    ...given,
    ...(named && { mixedVideoLayout: LAYOUTS.indexOf(named) }),
    ...(maxResolutionUid !== undefined && { maxResolutionUid }),
    ...(backgroundColor !== undefined && { backgroundColor }),
  });
  if (!result.success) throw refuse(`the layout is not one:\n${problemsOf(result.error)}`);
  const { data } = result;
  if (maxResolutionUid !== undefined && data.mixedVideoLayout !== 2)
    throw refuse('--max-resolution-uid is for --layout vertical');
  if (layout !== undefined && layout !== 'custom' && 'layoutConfig' in given)
    throw refuse(`--layout-config places users itself, so it cannot go with --layout ${layout}`);
  return data;
}

/** The regions alone, or an object such as `transcodingConfig` that holds them as `layoutConfig`. */
function readLayoutConfig(text: string): object {
  const isFile = !/^\s*[[{]/.test(text);
  if (isFile && !existsSync(text)) throw refuse(`--layout-config ${text}: there is no such file, and it is no JSON`);
  let value: unknown;
  try {
    value = JSON.parse(isFile ? readFileSync(text, 'utf8') : text);
  } catch (error) {
    throw refuse(`--layout-config${isFile ? ` ${text}` : ''} is not JSON: ${messageOf(error)}`);
  }
  if (Array.isArray(value)) return { layoutConfig: value };
  if (typeof value === 'object' && value !== null) return value;
  throw refuse('--layout-config is a list of regions, or an object with such a list as layoutConfig');
}

function readSize(text: string): { width: number; height: number } {
  const [, w, h] = /^(\d{1,5})x(\d{1,5})$/i.exec(text) ?? [];
  const [width, height] = [Number(w), Number(h)];
  const { mostSide, mostPixels } = MIX_PICTURE;
  const fits = width >= 2 && height >= 2 && width <= mostSide && height <= mostSide && width * height <= mostPixels;
  if (!fits) throw refuse(`--size ${text}: it is <width>x<height>, at most ${mostSide} a side and 1920x1080 in all`);
  if (width % 2 || height % 2) throw refuse(`--size ${text}: both sides must be even`);
  return { width, height };
}

function readStereo({ left, right, audio }: MixWords): Stereo | undefined {
  if (left === undefined && right === undefined) return undefined;
  if (!audio) throw refuse('--left and --right place sound, so they cannot go with --no-audio');
  if (left === OTHERS && right === OTHERS) throw refuse('--left others and --right others exclude each other');
  const uidsOf = (option: string, text: string | undefined) =>
    text === undefined || text === OTHERS ? [] : readUids(option, text);
  const sides = { left: uidsOf('--left', left), right: uidsOf('--right', right) };
  const twice = sides.left.find((uid) => sides.right.includes(uid));
  if (twice !== undefined) throw refuse(`--left and --right: user ${twice} cannot be on both; who is on neither is`);
  return { ...sides, others: left === OTHERS ? 'left' : right === OTHERS ? 'right' : 'both' };
}

function readUids(option: string, text: string): string[] {
  const uids = text.split(',').map((uid) => uid.trim());
  const wrong = uids.find((uid) => !isUid(uid));
  if (wrong !== undefined) throw refuse(`${option}: "${wrong}" is not a uid; they are listed as 1,2,3`);
  return [...new Set(uids)];
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,13}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw refuse(`${option} ${text}: it is a whole number from ${min} to ${max}`);
  return value;
}

function seconds(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,7}(\.\d{1,6})?$/.test(text))
    throw refuse(`${option} ${text}: it is seconds of the recording, such as 90 or 2.5`);
  return Math.round(Number(text) * US);
}

/** The first few problems that a schema found, one a line, each with its place. */
export function problemsOf(error: z.ZodError): string {
  const MOST = 8;
  const lines = error.issues.slice(0, MOST).map(({ path, message }) => {
    const where = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
    return `  ${where.replace(/^\./, '') || 'the whole'}: ${message}`;
  });
  const more = error.issues.length - MOST;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}
