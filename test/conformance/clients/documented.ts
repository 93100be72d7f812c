/**
 * Request bodies as the contract documents them, but for what libraries spell in a way of their own. Members that are
 * undefined are not sent.
 */
import type { Handle, LayoutSpec, RegionSpec, StartCall, UidLists, UpdateCall } from './calls.ts';

export type Spelling = {
  unSubscribeAudioUids: string;
  unSubscribeVideoUids: string;
  videoBitrate: string;
  /** What `extensionParams` of the storage holds when it is sent. */
  extensionParams: object;
  /** How a fraction is printed. */
  fraction(value: number): unknown;
  /** Sent with every region. */
  alpha?: unknown;
};

export const DOCUMENTED: Spelling = {
  unSubscribeAudioUids: 'unSubscribeAudioUids',
  unSubscribeVideoUids: 'unSubscribeVideoUids',
  videoBitrate: 'videoBitrate',
  extensionParams: { sse: 'aes256' },
  fraction: (value) => value,
};

export function namesOf({ cname, uid }: Pick<Handle, 'cname' | 'uid'>): { cname: string; uid: string } {
  return { cname, uid };
}

export function startRequest(call: StartCall, spelling: Spelling): object {
  const { prefix, withParams, ...storage } = call.storage;
  return {
    token: call.token,
    storageConfig: {
      ...storage,
      fileNamePrefix: prefix,
      extensionParams: withParams ? spelling.extensionParams : undefined,
    },
    recordingConfig: call.mode === 'web' ? undefined : recordingConfig(call, spelling),
    recordingFileConfig: call.fileTypes && { avFileType: call.fileTypes },
    snapshotConfig: call.snapshotIntervalS && { captureInterval: call.snapshotIntervalS, fileType: ['jpg'] },
    extensionServiceConfig: call.page && extensionServices(call.page, spelling),
  };
}

export function updateRequest({ audio, video, onhold }: UpdateCall, spelling: Spelling): object {
  if (onhold !== undefined) return { webRecordingConfig: { onhold } };
  return {
    streamSubscribe: {
      audioUidList: audio && audioUids(audio, spelling),
      videoUidList: video && videoUids(video, spelling),
    },
  };
}

export function layoutRequest({ layout, backgroundColor, regions }: LayoutSpec, spelling: Spelling): object {
  const { fraction, alpha } = spelling;
  const toRegion = ({ uid, x, y, width, height, fit }: RegionSpec) => ({
    uid,
    x_axis: fraction(x),
    y_axis: fraction(y),
    width: fraction(width),
    height: fraction(height),
    alpha,
    render_mode: fit ? 1 : 0,
  });
  return { mixedVideoLayout: layout, backgroundColor, layoutConfig: regions?.map(toRegion) };
}

function recordingConfig({ channelType = 0, uidGroup, audio, video, canvas }: StartCall, spelling: Spelling): object {
  const { width, height, fps, bitrate, ...layout } = canvas ?? {};
  return {
    channelType,
    subscribeUidGroup: uidGroup,
    ...(audio && audioUids(audio, spelling)),
    ...(video && videoUids(video, spelling)),
    ...(canvas && { transcodingConfig: { width, height, fps, bitrate, ...layoutRequest(layout, spelling) } }),
  };
}

function audioUids({ subscribe, unsubscribe }: UidLists, { unSubscribeAudioUids }: Spelling): object {
  return { subscribeAudioUids: subscribe, [unSubscribeAudioUids]: unsubscribe };
}

function videoUids({ subscribe, unsubscribe }: UidLists, { unSubscribeVideoUids }: Spelling): object {
  return { subscribeVideoUids: subscribe, [unSubscribeVideoUids]: unsubscribe };
}

function extensionServices(page: NonNullable<StartCall['page']>, { videoBitrate }: Spelling): object {
  const { url, width, height, bitrate, maxHours, rtmpUrl } = page;
  const recorder = {
    serviceName: 'web_recorder_service',
    errorHandlePolicy: 'error_abort',
    serviceParam: {
      url,
      audioProfile: 0,
      videoWidth: width,
      videoHeight: height,
      [videoBitrate]: bitrate,
      maxRecordingHour: maxHours,
      onhold: false,
    },
  };
  const push = {
    serviceName: 'rtmp_publish_service',
    errorHandlePolicy: 'error_ignore',
    serviceParam: { outputs: [{ rtmpUrl }] },
  };
  return { errorHandlePolicy: 'error_abort', extensionServices: rtmpUrl ? [recorder, push] : [recorder] };
}
