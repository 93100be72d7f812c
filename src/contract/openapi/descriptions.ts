/** The meanings of the REST API's members for the document, where their schemas do not describe them (contract §1). */

/**
 * By the member's name; where a name means several things, by the name of its holder and its own. Holders are named
 * like members, and those at the top like their schema.
 */
const DESCRIPTIONS: Record<string, string> = {
  cname: 'The channel’s name: up to 63 of the characters channel names may have; in web mode only a label.',
  uid: 'The uid of the recorder in the channel, as text.',
  resourceId: 'The resource id that acquire gave.',
  sid: 'The recording.',
  clientRequest: 'What is asked for.',
  serverResponse: 'What is answered. No other members than these.',

  'clientRequest.excludeResourceIds': 'Has no effect: one server does all the recording.',
  'clientRequest.regionAffinity': 'Has no effect.',
  'clientRequest.region': 'Has no effect.',

  token: 'The RTC token that the app has for the channel and uid. Not needed in web mode.',
  recordingConfig: 'What of the channel is recorded, and how.',
  recordingFileConfig: 'Which types of file are made.',
  snapshotConfig: 'Snapshots of each user’s picture. Without recordingFileConfig, nothing but snapshots is made.',
  extensionServiceConfig: 'The page to record, and where to push it live.',
  storageConfig: 'Where the files go.',
  channelType: '0 communication, 1 live broadcast.',
  streamTypes: '0 sound, 1 picture, 2 both.',
  decryptionMode: '0: the channel is not encrypted. Encrypted channels are refused.',
  secret: 'The secret of an encrypted channel.',
  salt: 'The salt of a channel encrypted in mode 7 or 8, in base64.',
  maxIdleTime: 'Seconds that the channel may be empty before the recording ends by itself.',
  videoStreamType: '0 the high stream, 1 the low one, of those who send simulcast; others have one stream.',
  audioProfile: 'All at 48 kHz: 0 mono with 48 kbit/s, 1 mono with 128 kbit/s, 2 stereo with 192 kbit/s.',
  transcodingConfig: 'The picture of all users. Width times height may be 1920 × 1080 at most.',
  streamMode:
    'default: a playlist each for sound and picture; standard: one of both as well; original: sound as it was sent.',
  subscribeUidGroup:
    'How many users there may be: 0 up to 2, 1 up to 7, 2 up to 12, 3 up to 17, 4 up to 32, 5 up to 49. Without it 0, unless the server is set to refuse that.',
  'transcodingConfig.width': 'Pixels.',
  'transcodingConfig.height': 'Pixels.',
  bitrate: 'Of the picture, kbit/s.',
  mixedVideoLayout: '0 floating, 1 best fit, 2 vertical, 3 the regions of layoutConfig.',
  maxResolutionUid: 'Whose picture is the large one of layout 2.',
  backgroundColor: 'Of the canvas, as #RRGGBB.',
  backgroundImage: 'Address of an image (PNG, JPEG or BMP, at most 6 MB) that covers the canvas, behind everybody.',
  defaultUserBackgroundImage: 'Address of the image shown in the place of who sent no video for 3.5 s.',
  layoutConfig: 'Regions of the canvas; needed for layout 3. Users beyond the last region are heard and not seen.',
  'layoutConfig.uid': 'Whose region it is; without, that of the next user to join.',
  x_axis: 'Left edge, as a part of the canvas’s width.',
  y_axis: 'Top edge, as a part of the canvas’s height.',
  'layoutConfig.width': 'As a part of the canvas’s width; x_axis and width together are 1 at most.',
  'layoutConfig.height': 'As a part of the canvas’s height; y_axis and height together are 1 at most.',
  alpha: '0 is invisible, 1 is opaque.',
  render_mode: '0 fills the region and cuts what overhangs, 1 shows all and leaves bars.',
  backgroundConfig: 'Images of users of their own, instead of defaultUserBackgroundImage.',
  image_url: 'Address of the picture.',
  captureInterval: 'Seconds between two snapshots.',
  combinationPolicy: '"default" has no effect, and "postpone_transcoding" is refused.',

  vendor:
    '0 Qiniu Kodo, 1 Amazon S3, 2 Alibaba Cloud OSS, 3 Tencent COS, 4 Kingsoft KS3, 5 Azure Blob, 6 Google Cloud Storage, 7 Huawei OBS, 8 Baidu BOS, 11 any store that speaks S3, 1000 a folder of the server’s own disk.',
  'StorageConfig.region':
    'A number from the table of the vendor’s regions; without it 0. Without effect for vendors 5, 6, 11 and 1000.',
  bucket: 'The bucket; for vendor 1000 one folder name.',
  accessKey: 'Not needed for vendor 1000.',
  secretKey: 'Not needed for vendor 1000.',
  stsToken: 'The session token of temporary credentials.',
  stsExpiration: 'When temporary credentials end, Unix seconds.',
  fileNamePrefix: 'Folders of the file names, the outermost first; joined with "/" 128 characters at most.',
  extensionParams: 'Further settings of the store.',
  sse: 'Encryption by the store, for vendors 1 and 11.',
  tag: 'A tag on each file.',
  endpoint: 'The store’s host, for vendor 11; with http:// or a port where needed.',

  'extensionServiceConfig.errorHandlePolicy': 'error_abort: when a service fails, so does the recording.',
  'extensionServices.errorHandlePolicy':
    'error_abort: when this service fails, so does the recording; error_ignore: it goes on.',
  apiVersion: 'Has no effect.',
  extensionServices: 'Each service once; one of them web_recorder_service.',
  serviceName: 'Which service.',
  serviceParam: 'What the service is to do.',
  'serviceParam.url': 'The page.',
  videoWidth: 'Pixels; times videoHeight 1920 × 1080 at most.',
  videoHeight: 'Pixels.',
  maxRecordingHour: 'Hours after which the recording ends by itself.',
  videoBitrate: 'kbit/s; by default 2000 from 1280 × 720 pixels on, and 1500 below.',
  videoFps: 'Frames a second.',
  mobile: 'Whether the page is opened as on a phone.',
  maxVideoDuration: 'Minutes after which another MP4 is begun.',
  'serviceParam.onhold': 'Whether to begin paused: the page is opened, and nothing recorded.',
  readyTimeout: 'Seconds within which the page says that it is ready; 0 does not wait for that.',
  outputs: 'Where the page is pushed to; this server takes up to four addresses.',
  rtmpUrl: 'An rtmp:// or rtmps:// address with the key of the stream.',

  streamSubscribe: 'Whom to record from now on.',
  audioUidList: 'Whose sound.',
  videoUidList: 'Whose picture.',
  webRecordingConfig: 'Pauses the page, or goes on.',
  'webRecordingConfig.onhold': 'Whether nothing is recorded for now.',
  rtmpPublishConfig: 'Other addresses to push to, in place of those before.',
  async_stop: 'true: answer at once; false: when all files are uploaded.',

  fileListMode: 'string: fileList is the name of the playlist; json: a list of files.',
  fileList: 'The files so far, their names with the prefix.',
  fileName: 'With the prefix.',
  filename: 'With the prefix.',
  trackType: 'What is in the file.',
  'fileList.uid': 'Whose file it is; "0" when of all users.',
  mixedAllUser: 'Whether all users are in the one file.',
  isPlayable: 'Whether it can be played online.',
  'fileList.sliceStartTime': 'Unix seconds; milliseconds where the server is set so.',
  extensionServiceState: 'One for each service.',
  payload: 'Where the service stands.',
  'payload.onhold': 'Whether the recording is paused.',
  'payload.state': 'init, inProgress or exit.',
  'outputs.status': 'Where the push stands.',
  uploadingStatus:
    'uploaded: all lies in the store; backuped: all is uploaded, and some to the backup store; unknown: not known yet.',

  'ApiError.code': 'What is wrong, for programs.',
  'ApiError.reason': 'What is wrong, in words that may vary.',
  'GatewayError.message': 'What is wrong.',
};

type Schema = {
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
};

/**
 * Adds descriptions to the members of a schema that have none, in place.
 * @param name of what holds the members
 */
export function describeMembers(schema: Schema, name: string): void {
  // It goes without saying that JavaScript can hold the number.
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  for (const option of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])])
    describeMembers(option, name);
  if (schema.items) describeMembers(schema.items, name);
  for (const [member, inner] of Object.entries(schema.properties ?? {})) {
    const description = DESCRIPTIONS[`${name}.${member}`] ?? DESCRIPTIONS[member];
    if (inner.description === undefined && description !== undefined) inner.description = description;
    describeMembers(inner, member);
  }
}
