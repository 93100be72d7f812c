/**
 * Turns a validated start request into the Plan that a recorder works by, with the contract's defaults (§1.2.2 to
 * §1.2.5). Pure.
 */

import { withOverlays } from '../line/overlays.ts';
import type { IndividualPlan, MixPlan, Plan, Subscription, VideoPlan } from '../line/plan.ts';
import { AUDIO_PROFILES, even, FRAME_RATES } from './media-values.ts';
import { toOverlaysChange } from './overlays.ts';
import type { PlanOptions } from './plan-options.ts';
import { type Lists, type TranscodingConfig, transcodingConfigSchema } from './recording-config.ts';
import type { IndividualStart, MixStart, StartClientRequest } from './start.ts';
import { inStereo, toStereo } from './stereo.ts';
import { toLayout } from './to-layout.ts';
import { toWebPlan } from './to-web-plan.ts';

export type Planned<P extends Plan> = {
  plan: P;
  /** The caller wants the comma after `#EXTINF:<seconds>`. */
  extinfComma: boolean;
};

/** The Plan of a start request of any mode. */
export function toPlan(request: StartClientRequest, options: PlanOptions): Planned<Plan> {
  switch (request.mode) {
    case 'mix':
      return toMixPlan(request, options);
    case 'individual':
      return toIndividualPlan(request, options);
    case 'web':
      return { plan: toWebPlan(request, options), extinfComma: false };
  }
}

export function toMixPlan(request: MixStart, { mp4Limit, ...names }: PlanOptions): Planned<MixPlan> {
  const config = request.recordingConfig;
  const transcoding = config.transcodingConfig ?? transcodingConfigSchema.parse({});
  const types = request.recordingFileConfig?.avFileType ?? ['hls'];
  const { stereo, onhold } = request.aircheck ?? {};
  const profile = config.streamTypes !== 1 ? AUDIO_PROFILES[config.audioProfile] : undefined;
  const audio = profile && stereo ? inStereo(profile) : profile;
  const video = config.streamTypes !== 0 ? toVideoPlan(transcoding) : undefined;
  const overlays = toOverlaysChange(request.aircheck);
  const plan: MixPlan = {
    mode: 'mix',
    ...names,
    ...(video && { video: { ...video, ...(overlays && { overlays: withOverlays(undefined, overlays) }) } }),
    ...(audio && { audio }),
    ...(stereo && { stereo: toStereo(stereo) }),
    subscribe: toSubscriptions(config, { audio: audio !== undefined, video: video !== undefined }),
    ...(config.videoStreamType === 1 && { videoStreamType: 1 }),
    files: { hls: true, mp4: types.includes('mp4') },
    maxIdleMs: config.maxIdleTime * 1000,
    mp4Limit,
    ...(onhold !== undefined && { onhold }),
  };
  return { plan, extinfComma: wantsExtinfComma(config.privateParams) };
}

/** Users of `subscribeUidGroup` 0 to 5 (contract §1.2.2). */
const GROUP_USERS = [2, 7, 12, 17, 32, 49] as const;

function toIndividualPlan(request: IndividualStart, { mp4Limit, ...names }: PlanOptions): Planned<IndividualPlan> {
  const { recordingConfig: config, recordingFileConfig, snapshotConfig, aircheck } = request;
  const records = { audio: config.streamTypes !== 1, video: config.streamTypes !== 0 };
  // A request for snapshots that names no file types means snapshots alone (contract §1.2.5).
  const recordsStreams = !snapshotConfig || recordingFileConfig !== undefined;
  // Sound is passed through only in recordings of sound alone; elsewhere this mode counts as not given (§1.2.2).
  const isOriginal = config.streamMode === 'original' && config.streamTypes === 0;
  const streamMode = config.streamMode === 'original' && !isOriginal ? 'default' : config.streamMode;
  const mp4 = recordsStreams && (aircheck.mp4 || recordingFileConfig?.avFileType.includes('mp4') === true);
  return {
    plan: {
      mode: 'individual',
      ...names,
      records: recordsStreams ? records : { audio: false, video: records.video },
      streamMode: recordsStreams ? streamMode : 'none',
      ...(snapshotConfig && { snapshots: { intervalMs: snapshotConfig.captureInterval * 1000 } }),
      subscribe: toSubscriptions(config, records),
      videoStreamType: config.videoStreamType,
      maxUsers: GROUP_USERS[config.subscribeUidGroup],
      maxIdleMs: config.maxIdleTime * 1000,
      extras: {
        mp4,
        ...(mp4 && { mp4Limit }),
        ...(recordsStreams && records.audio && aircheck.speakers && { speakers: true }),
        manifest: recordsStreams && aircheck.manifest,
      },
      ...(aircheck.onhold !== undefined && { onhold: aircheck.onhold }),
    },
    extinfComma: wantsExtinfComma(config.privateParams),
  };
}

function toVideoPlan(config: TranscodingConfig): VideoPlan {
  return {
    width: even(config.width),
    height: even(config.height),
    fps: FRAME_RATES.includes(config.fps) ? config.fps : 15,
    bitrateKbps: config.bitrate,
    ...toLayout(config),
  };
}

/**
 * The users that the lists of start or update select, for the kinds that are recorded. A list for one kind alone means
 * that the other kind is not wanted at all (contract §1.2.2).
 */
export function toSubscriptions(
  lists: Lists,
  recorded: { audio: boolean; video: boolean },
): { audio: Subscription; video: Subscription } {
  const audio = toSubscription(
    lists.subscribeAudioUids,
    lists.unSubscribeAudioUids ?? lists.unsubscribeAudioUids,
    recorded.audio,
  );
  const video = toSubscription(
    lists.subscribeVideoUids,
    lists.unSubscribeVideoUids ?? lists.unsubscribeVideoUids,
    recorded.video,
  );
  const otherwise: Subscription = audio || video ? { kind: 'none' } : { kind: 'all' };
  return {
    audio: recorded.audio ? (audio ?? otherwise) : { kind: 'none' },
    video: recorded.video ? (video ?? otherwise) : { kind: 'none' },
  };
}

function toSubscription(only: string[] = [], except: string[] = [], wanted = true): Subscription | undefined {
  if (!wanted) return undefined;
  if (only.length > 0) return only[0] === '#allstream#' ? { kind: 'all' } : { kind: 'only', uids: only };
  if (except.length > 0) return except[0] === '#allstream#' ? { kind: 'none' } : { kind: 'except', uids: except };
  return undefined;
}

function wantsExtinfComma(privateParams = ''): boolean {
  try {
    const params = JSON.parse(privateParams || '{}') as { correctEXTINF?: unknown } | null;
    return params?.correctEXTINF === true;
  } catch {
    // The caller gets a warning about it.
    return false;
  }
}
