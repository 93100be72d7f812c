/**
 * Requests and replies as they look on the wire, for the document at /openapi.json. Tests hold each to the schema it
 * stands under, and to what the server reads.
 */

const RESOURCE_ID = 'JyvK8nXHuV1BE64GDkAaBGrEsqp5';
const SID = '38f8e3cfdc474cd56fc1ceba380d7e1a';
const NAMES = { cname: 'ch1', uid: '527841' };
const HANDLE = { ...NAMES, resourceId: RESOURCE_ID, sid: SID };
const TOKEN = '007eJxTYBBa…';
const S3 = {
  vendor: 1,
  region: 0,
  bucket: 'recordings',
  accessKey: 'AKIA…',
  secretKey: '…',
  fileNamePrefix: ['dir1', 'dir2'],
};
const COMPATIBLE = {
  vendor: 11,
  region: 0,
  bucket: 'recordings',
  accessKey: '…',
  secretKey: '…',
  fileNamePrefix: ['dir1'],
  extensionParams: { endpoint: 's3.example.com' },
};
/** Each region shows a whole picture: nobody should copy an example that cuts pictures. */
const REGIONS = [
  { uid: '123', x_axis: 0, y_axis: 0, width: 0.5, height: 1, alpha: 1, render_mode: 1 },
  { x_axis: 0.5, y_axis: 0, width: 0.5, height: 1, render_mode: 1 },
];
const FILE = {
  trackType: 'audio_and_video',
  uid: '0',
  mixedAllUser: true,
  isPlayable: true,
  sliceStartTime: 1562724971,
};
const FILES = [
  { fileName: `dir1/dir2/${SID}_ch1.m3u8`, ...FILE },
  { fileName: `dir1/dir2/${SID}_ch1_0.mp4`, ...FILE },
];
const PAGE_FILES = FILES.map(({ fileName, sliceStartTime }) => ({ filename: fileName, sliceStartTime }));
const pageState = (state: string) => ({
  serviceName: 'web_recorder_service',
  payload: { fileList: PAGE_FILES, onhold: false, state },
});

type Examples = Record<string, { summary: string; value: unknown }>;
const request = (clientRequest: object) => ({ ...NAMES, clientRequest });
const reply = (serverResponse: object) => ({ ...HANDLE, serverResponse });

export const ACQUIRE_REQUESTS = {
  channel: { summary: 'mix and individual', value: request({ scene: 0, resourceExpiredHour: 24 }) },
  web: { summary: 'web', value: request({ scene: 1, resourceExpiredHour: 24 }) },
} satisfies Examples;
export const ACQUIRE_REPLY = { ...NAMES, resourceId: RESOURCE_ID };
export const HANDLE_REPLY = HANDLE;

export const START_REQUESTS = {
  mix: {
    summary: 'mix: one picture of all, as HLS',
    value: request({
      token: TOKEN,
      recordingConfig: {
        channelType: 1,
        maxIdleTime: 120,
        transcodingConfig: { width: 1280, height: 720, fps: 30, bitrate: 3420, mixedVideoLayout: 1 },
      },
      storageConfig: S3,
    }),
  },
  mixCustom: {
    summary: 'mix: regions of one’s own, as HLS and MP4',
    value: request({
      token: TOKEN,
      recordingConfig: {
        channelType: 1,
        streamTypes: 2,
        maxIdleTime: 120,
        audioProfile: 1,
        subscribeVideoUids: ['123', '456'],
        subscribeAudioUids: ['123', '456'],
        transcodingConfig: {
          width: 1280,
          height: 720,
          fps: 30,
          bitrate: 3420,
          mixedVideoLayout: 3,
          backgroundColor: '#000000',
          layoutConfig: REGIONS,
        },
      },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      storageConfig: COMPATIBLE,
    }),
  },
  mixOverlays: {
    summary: 'mix, beyond the API this server speaks: names, a watermark, a clock and who speaks',
    value: request({
      token: TOKEN,
      recordingConfig: { transcodingConfig: { width: 1280, height: 720, fps: 15, bitrate: 1500 } },
      storageConfig: S3,
      aircheck: {
        nameLabels: { names: { 123: 'Ada Lovelace', 456: 'Борис' }, position: 'bottom-left' },
        watermark: { image: 'https://example.com/logo.png', position: 'top-left', size: 0.1, opacity: 0.8 },
        clock: { timeZone: 'Europe/Berlin', format: 'YYYY-MM-DD HH:mm:ss' },
        activeSpeaker: { layout: 'large' },
        hideUsersWithoutVideo: true,
      },
    }),
  },
  individual: {
    summary: 'individual: every stream by itself',
    value: request({
      token: TOKEN,
      recordingConfig: {
        channelType: 0,
        streamTypes: 2,
        streamMode: 'standard',
        maxIdleTime: 30,
        subscribeVideoUids: ['123', '456'],
        subscribeAudioUids: ['123', '456'],
        subscribeUidGroup: 0,
      },
      recordingFileConfig: { avFileType: ['hls'] },
      storageConfig: S3,
    }),
  },
  individualSnapshots: {
    summary: 'individual: snapshots only',
    value: request({
      token: TOKEN,
      recordingConfig: { channelType: 1, subscribeUidGroup: 0 },
      snapshotConfig: { captureInterval: 5, fileType: ['jpg'] },
      storageConfig: S3,
    }),
  },
  web: {
    summary: 'web: a page, pushed live as well',
    value: request({
      extensionServiceConfig: {
        errorHandlePolicy: 'error_abort',
        extensionServices: [
          {
            serviceName: 'web_recorder_service',
            errorHandlePolicy: 'error_abort',
            serviceParam: {
              url: 'https://example.com',
              audioProfile: 0,
              videoWidth: 1280,
              videoHeight: 720,
              maxRecordingHour: 3,
              maxVideoDuration: 200,
            },
          },
          {
            serviceName: 'rtmp_publish_service',
            errorHandlePolicy: 'error_ignore',
            serviceParam: { outputs: [{ rtmpUrl: 'rtmp://example.com/live/key' }] },
          },
        ],
      },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      storageConfig: S3,
    }),
  },
} satisfies Examples;

export const UPDATE_REQUESTS = {
  subscription: {
    summary: 'mix and individual: record other users',
    value: request({
      streamSubscribe: {
        audioUidList: { subscribeAudioUids: ['#allstream#'] },
        videoUidList: { unSubscribeVideoUids: ['444', '555'] },
      },
    }),
  },
  credentials: {
    summary: 'every mode: fresh credentials of the store',
    value: request({ storageConfig: { ...S3, stsToken: '…', stsExpiration: 1893456000 } }),
  },
  hold: {
    summary: 'mix and individual, beyond the API this server speaks: pause',
    value: request({ aircheck: { onhold: true } }),
  },
  stereo: {
    summary: 'mix, beyond the API this server speaks: one user on the left, everybody else on the right',
    value: request({ aircheck: { stereo: { left: ['123'], right: ['#allstream#'] } } }),
  },
  overlays: {
    summary: 'mix, beyond the API this server speaks: other names, and no clock',
    value: request({ aircheck: { nameLabels: { names: { 123: 'Ada King' } }, remove: ['clock'] } }),
  },
  web: {
    summary: 'web: pause',
    value: request({ webRecordingConfig: { onhold: true } }),
  },
} satisfies Examples;

export const UPDATE_LAYOUT_REQUESTS = {
  custom: {
    summary: 'Regions on red',
    value: request({ mixedVideoLayout: 3, backgroundColor: '#FF0000', layoutConfig: REGIONS }),
  },
  vertical: { summary: 'One large window', value: request({ mixedVideoLayout: 2, maxResolutionUid: '123' }) },
} satisfies Examples;

export const QUERY_REPLIES = {
  mix: {
    summary: 'mix, HLS only',
    value: reply({
      status: 5,
      fileListMode: 'string',
      fileList: FILES[0]?.fileName,
      sliceStartTime: 1562724971626,
    }),
  },
  mixMp4: {
    summary: 'mix, HLS and MP4',
    value: reply({ status: 5, fileListMode: 'json', fileList: FILES, sliceStartTime: 1562724971626 }),
  },
  starting: {
    summary: 'Before the first file',
    value: reply({ status: 4, fileListMode: 'json', fileList: [], sliceStartTime: 0 }),
  },
  snapshots: { summary: 'individual, snapshots', value: reply({ status: 5, sliceStartTime: 0 }) },
  web: { summary: 'web', value: reply({ status: 5, extensionServiceState: [pageState('inProgress')] }) },
} satisfies Examples;

export const STOP_REQUESTS = {
  synchronous: { summary: 'Wait until everything is uploaded', value: request({}) },
  asynchronous: { summary: 'Answer at once', value: request({ async_stop: true }) },
} satisfies Examples;

export const STOP_REPLIES = {
  mix: {
    summary: 'mix, HLS only',
    value: reply({ fileListMode: 'string', fileList: FILES[0]?.fileName, uploadingStatus: 'uploaded' }),
  },
  mixMp4: {
    summary: 'mix, HLS and MP4',
    value: reply({ fileListMode: 'json', fileList: FILES, uploadingStatus: 'uploaded' }),
  },
  snapshots: { summary: 'individual, snapshots', value: reply({ uploadingStatus: 'uploaded' }) },
  web: {
    summary: 'web',
    value: reply({
      extensionServiceState: [
        pageState('exit'),
        { serviceName: 'upload_service', payload: { uploadingStatus: 'uploaded' } },
      ],
    }),
  },
} satisfies Examples;
