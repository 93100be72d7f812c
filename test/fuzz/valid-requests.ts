/**
 * Requests that the whole REST API takes, one for each endpoint and mode, with all the members that the contract has
 * for it: what fuzz tests start from.
 */
import { STORAGE } from '../support/rest-api.ts';

export type Endpoint =
  | 'acquire'
  | 'start'
  | 'update'
  | 'updateLayout'
  | 'query'
  | 'stop'
  | 'participants'
  | 'report'
  | 'events'
  | 'redeliver'
  | 'ncs';
export type Mode = 'individual' | 'mix' | 'web';
/** The parts of a path; empty ones where the path has none. */
export type Path = { appid: string; resourceId: string; sid: string; mode: string };
export type ValidRequest = {
  endpoint: Endpoint;
  mode: Mode;
  method: 'GET' | 'POST';
  url(path: Path): string;
  body: unknown;
};

export const CNAME = 'ch1';
/** Who the running recording is, and who each start is to be: one uid records once. */
export const UIDS = { running: '527841', mix: '101', individual: '102', web: '103' } as const;

const LISTS = { subscribeAudioUids: ['123', '456'], unSubscribeVideoUids: ['7'] };
const LAYOUT = {
  mixedVideoLayout: 3,
  maxResolutionUid: '1',
  backgroundColor: '#FF8000',
  backgroundImage: 'https://example.com/a.png',
  defaultUserBackgroundImage: '',
  layoutConfig: [
    { uid: '1', x_axis: 0, y_axis: 0, width: 0.5, height: 1, alpha: 1, render_mode: 0 },
    { x_axis: 0.5, y_axis: 0, width: 0.30000001, height: 1 },
  ],
  backgroundConfig: [{ uid: '1', image_url: 'https://example.com/b.png', render_mode: 1 }],
};
const SHARED = { channelType: 1, streamTypes: 2, decryptionMode: 0, maxIdleTime: 30, videoStreamType: 0, ...LISTS };
const OUTPUTS = [{ rtmpUrl: 'rtmp://example.com/live/key' }];

const CLIENT_REQUESTS: Record<Mode, object> = {
  mix: {
    token: '',
    storageConfig: { ...STORAGE, stsToken: null, extensionParams: { endpoint: 's3.example.com', sse: '', tag: 'a' } },
    recordingConfig: {
      ...SHARED,
      audioProfile: 1,
      privateParams: '{"correctEXTINF":true}',
      transcodingConfig: { width: 640, height: 360, fps: 15, bitrate: 500, ...LAYOUT },
    },
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
  },
  individual: {
    storageConfig: STORAGE,
    recordingConfig: { ...SHARED, streamMode: 'standard', subscribeUidGroup: 0 },
    recordingFileConfig: { avFileType: ['hls'] },
    snapshotConfig: { captureInterval: 5, fileType: ['jpg'] },
    appsCollection: { combinationPolicy: 'default' },
    transcodeOptions: { transConfig: { transMode: 'postponeTranscoding' }, audio: {} },
  },
  web: {
    storageConfig: STORAGE,
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    extensionServiceConfig: {
      errorHandlePolicy: 'error_abort',
      extensionServices: [
        {
          serviceName: 'web_recorder_service',
          errorHandlePolicy: 'error_abort',
          serviceParam: {
            url: 'https://example.com/page',
            audioProfile: 0,
            videoWidth: 1280,
            videoHeight: 720,
            maxRecordingHour: 3,
            videoBitrate: 900,
            videoFps: 30,
            mobile: false,
            maxVideoDuration: 120,
            onhold: false,
            readyTimeout: 5,
          },
        },
        { serviceName: 'rtmp_publish_service', serviceParam: { outputs: OUTPUTS } },
      ],
    },
  },
};
const CHANNEL_UPDATE = {
  streamSubscribe: {
    audioUidList: { subscribeAudioUids: ['#allstream#'] },
    videoUidList: { unSubscribeVideoUids: ['444', '555'] },
  },
  storageConfig: STORAGE,
};
const UPDATES: Record<Mode, object> = {
  mix: CHANNEL_UPDATE,
  individual: CHANNEL_UPDATE,
  web: { webRecordingConfig: { onhold: true }, rtmpPublishConfig: { outputs: OUTPUTS } },
};

const recording = ({ appid }: Path) => `/v1/apps/${appid}/cloud_recording`;
const aircheck = ({ appid }: Path) => `/v1/apps/${appid}/aircheck`;
const started = (verb: string) => (path: Path) =>
  `${recording(path)}/resourceid/${path.resourceId}/sid/${path.sid}/mode/${path.mode}/${verb}`;

function ofMode(mode: Mode): ValidRequest[] {
  const post = (endpoint: Endpoint, url: (path: Path) => string, clientRequest: object): ValidRequest => ({
    endpoint,
    mode,
    method: 'POST',
    url,
    body: { cname: CNAME, uid: endpoint === 'start' ? UIDS[mode] : UIDS.running, clientRequest },
  });
  return [
    post('acquire', (path) => `${recording(path)}/acquire`, {
      scene: mode === 'web' ? 1 : 0,
      resourceExpiredHour: 24,
      startParameter: CLIENT_REQUESTS[mode],
      excludeResourceIds: ['a'],
      regionAffinity: 1,
      region: 'EU',
    }),
    post(
      'start',
      (path) => `${recording(path)}/resourceid/${path.resourceId}/mode/${path.mode}/start`,
      CLIENT_REQUESTS[mode],
    ),
    post('update', started('update'), UPDATES[mode]),
    post('updateLayout', started('updateLayout'), LAYOUT),
    post('stop', started('stop'), { async_stop: false }),
    { endpoint: 'query', mode, method: 'GET', url: started('query'), body: undefined },
  ];
}
const get = (endpoint: Endpoint, url: (path: Path) => string): ValidRequest => ({
  endpoint,
  mode: 'mix',
  method: 'GET',
  url,
  body: undefined,
});

export const VALID_REQUESTS: readonly ValidRequest[] = [
  ...ofMode('mix'),
  ...ofMode('individual'),
  ...ofMode('web'),
  get('participants', (path) => `${aircheck(path)}/channels/ch1`),
  get('report', (path) => `${aircheck(path)}/recordings/${path.sid}`),
  get('events', (path) => `${aircheck(path)}/events?sid=${path.sid}&after=0&limit=10&state=pending`),
  { ...get('redeliver', (path) => `${aircheck(path)}/events/${path.sid}/redeliver`), method: 'POST' },
  get('ncs', () => '/v2/ncs/ip'),
];
