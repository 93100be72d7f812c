/**
 * Notices: what customers are told about a recording by webhook (contract §3). The types, the document at /openapi.json
 * and the tests' check of every body come from this one schema.
 */
import { z } from 'zod';
import { PUSH_STATUSES } from '../line/push.ts';
import { rungSchema } from '../line/rungs.ts';

const fileEntrySchema = z.object({
  fileName: z.string(),
  trackType: z.enum(['audio', 'video', 'audio_and_video']),
  uid: z.string(),
  mixedAllUser: z.boolean(),
  isPlayable: z.boolean(),
  /** Unix milliseconds, whatever unit the REST API's answers have. */
  sliceStartTime: z.int(),
});

const statusOnly = <const T extends string>(msgName: T) =>
  z.object({ msgName: z.literal(msgName), status: z.literal(0) });
const streamState = <const T extends string>(msgName: T) =>
  z.object({
    msgName: z.literal(msgName),
    streamUid: z.string(),
    /** 0 receiving, 1 not receiving. */
    state: z.union([z.literal(0), z.literal(1)]),
    // The real service documents it with a capital and sends it with a small letter, so both are sent.
    utcMs: z.int(),
    UtcMs: z.int(),
  });
const uploaded = <const T extends string>(msgName: T) =>
  z.object({ msgName: z.literal(msgName), status: z.literal(0), fileList: z.array(fileEntrySchema).optional() });

/** `details` and `serviceType` of every event type this server has (contract §3.4). */
export const NOTICE_TYPES = {
  1: {
    serviceType: 0,
    about: 'Something failed. At errorLevel 5 the recording has ended, or never began.',
    details: z.object({
      msgName: z.literal('cloud_recording_error'),
      /** 0 recorder, 1 uploader, 2 the service, 6 web page recorder. */
      module: z.literal([0, 1, 2, 6]),
      errorLevel: z.int().min(1).max(5),
      errorCode: z.int(),
      stat: z.int(),
      errorMsg: z.string(),
    }),
  },
  2: {
    serviceType: 0,
    about:
      'A file reached its store only after it had been sent again (warnCode 31), or reached the backup store (32).',
    details: z.object({
      msgName: z.literal('cloud_recording_warning'),
      module: z.literal([0, 1]),
      warnCode: z.int(),
    }),
  },
  3: {
    serviceType: 0,
    about: 'A call did not fit the state of the recording.',
    details: z.object({
      msgName: z.literal('cloud_recording_status_update'),
      status: z.int(),
      /** 0 individual, 1 composite. */
      recordingMode: z.int(),
      fileList: z.string(),
    }),
  },
  4: {
    serviceType: 0,
    about: 'The first playlist lies in the store. Once per playlist.',
    details: z.object({ msgName: z.literal('cloud_recording_file_infos'), fileList: z.string() }),
  },
  11: {
    serviceType: 0,
    about: 'The recording is over. exitStatus 0: in good order, with all files stored; 1: not so.',
    details: z.object({ msgName: z.literal('session_exit'), exitStatus: z.literal([0, 1]) }),
  },
  12: {
    serviceType: 0,
    about: 'Another recorder took over, under another uid.',
    details: z.object({ msgName: z.literal('session_failover'), newUid: z.int() }),
  },
  30: { serviceType: 2, about: 'Uploading is ready.', details: statusOnly('uploader_started') },
  31: { serviceType: 2, about: 'All files lie in the store.', details: uploaded('uploaded') },
  32: {
    serviceType: 2,
    about: 'All files are uploaded, and at least one of them to the backup store.',
    details: uploaded('backuped'),
  },
  33: {
    serviceType: 2,
    about: 'How much of what is recorded has been uploaded, each minute.',
    details: z.object({ msgName: z.literal('uploading_progress'), progress: z.int().min(0).max(10_000) }),
  },
  40: { serviceType: 1, about: 'The recorder is in the channel.', details: statusOnly('recorder_started') },
  41: {
    serviceType: 1,
    about: 'The recorder has left. Bits of leaveCode: 2 signal, 4 nobody was there, 16 stopped; 0 it never got in.',
    details: z.object({ msgName: z.literal('recorder_leave'), leaveCode: z.int() }),
  },
  42: {
    serviceType: 1,
    about: 'A slice was begun.',
    details: z.object({
      msgName: z.literal('recorder_slice_start'),
      startUtcMs: z.int(),
      discontinueUtcMs: z.int(),
      mixedAllUser: z.boolean(),
      streamUid: z.string(),
      trackType: z.enum(['audio', 'video', 'audio_and_video']),
    }),
  },
  43: {
    serviceType: 1,
    about: 'A user’s sound began or ceased to arrive.',
    details: streamState('recorder_audio_stream_state_changed'),
  },
  44: {
    serviceType: 1,
    about: 'A user’s picture began or ceased to arrive.',
    details: streamState('recorder_video_stream_state_changed'),
  },
  45: {
    serviceType: 1,
    about: 'A snapshot lies in the store.',
    details: z.object({ msgName: z.literal('recorder_snapshot_file'), fileName: z.string() }),
  },
  70: {
    serviceType: 6,
    about: 'Recording of the web page has begun.',
    details: z.object({ msgName: z.literal('web_recorder_started'), recorderStartTime: z.int() }),
  },
  71: {
    serviceType: 6,
    about: 'Recording of the web page has ended, and why.',
    details: z.object({
      msgName: z.literal('web_recorder_stopped'),
      code: z.int().min(0).max(6),
      message: z.string(),
      details: z.string(),
      fileList: z.array(z.object({ filename: z.string(), sliceStartTime: z.int() })),
    }),
  },
  72: {
    serviceType: 6,
    about: 'The web page asks for more than its recorder may use.',
    details: z.object({
      msgName: z.literal('web_recorder_capability_limit'),
      limitType: z.enum(['resolution', 'WebGL', 'bandwidth']),
    }),
  },
  73: {
    serviceType: 6,
    about: 'The web page was loaded again.',
    details: z.object({
      msgName: z.literal('web_recorder_reload'),
      reason: z.enum(['audio_silence', 'page_load_timeout']),
    }),
  },
  100: {
    serviceType: 6,
    about: 'Where a push of the web page to a live stream stands.',
    details: z.object({
      msgName: z.literal('rtmp_publish_status'),
      /** Without the key of the stream. */
      rtmpUrl: z.string(),
      status: z.enum(PUSH_STATUSES),
    }),
  },
  // Types from 9000 on are this server's own: the contract has one as high as 1001.
  9001: {
    serviceType: 1,
    about: 'A call put the recording of a channel on hold, or has it go on. Beyond the contract.',
    details: z.object({ msgName: z.literal('aircheck_hold_changed'), onhold: z.boolean(), utcMs: z.int() }),
  },
  9002: {
    serviceType: 1,
    about:
      'The machine is too slow for the whole picture, and takes something from it; or it takes less again. Sound is whole. Beyond the contract.',
    details: z.object({
      msgName: z.literal('aircheck_degradation_changed'),
      rung: rungSchema,
      /** How many rungs below the whole picture: 0 is all of it. */
      depth: z.int().min(0),
      /** How late the recording was, milliseconds. */
      lagMs: z.int().min(0),
      utcMs: z.int(),
    }),
  },
} as const;

export type NoticeType = keyof typeof NOTICE_TYPES;
type NoticeDetails<T extends NoticeType = NoticeType> = z.infer<(typeof NOTICE_TYPES)[T]['details']>;

/** What a recording tells, before it has a number of its own. */
export type NoticeDraft = { [T in NoticeType]: { eventType: T; details: NoticeDetails<T> } }[NoticeType];

const SERVICE_SCENES = ['mix_record', 'rtc_record', 'rtc_snapshot', 'web_record'] as const;
export type ServiceScene = (typeof SERVICE_SCENES)[number];

/** The part of a notice that stays the same however often it is sent (contract §3.2). */
export const noticeSchema = z.object({
  /** 32 hexadecimal digits, unique. */
  noticeId: z.string().regex(/^[0-9a-f]{32}$/),
  productId: z.literal(3),
  eventType: z.int(),
  sid: z.string(),
  payload: z.object({
    cname: z.string(),
    uid: z.string(),
    sid: z.string(),
    /** From 0, without gaps, for each recording. */
    sequence: z.int().min(0),
    /** When it happened, Unix milliseconds. */
    sendts: z.int(),
    serviceType: z.int(),
    serviceScene: z.enum(SERVICE_SCENES),
    details: z.looseObject({ msgName: z.string() }),
  }),
});
export type Notice = z.infer<typeof noticeSchema>;

/** The bytes of one sending: compact JSON, as JSON.parse and JSON.stringify give it back unchanged (contract §6.27). */
export function noticeBody({ noticeId, productId, eventType, sid, payload }: Notice, notifyMs: number): string {
  return JSON.stringify({ noticeId, productId, eventType, notifyMs, sid, payload });
}
