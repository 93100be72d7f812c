/** A track as all stages know it: one kind of media from one user, in one codec. */
export type MediaKind = 'audio' | 'video';
export type AudioCodec = 'opus' | 'pcmu' | 'pcma';
export type VideoCodec = 'h264' | 'vp8' | 'vp9' | 'av1';

/** The RTP side of a track, as agreed in the offer. */
export type TrackFormat =
  | { kind: 'audio'; codec: 'opus'; payloadType: number; clockRate: 48000; channels: 1 | 2; fmtp: string }
  | { kind: 'audio'; codec: 'pcmu' | 'pcma'; payloadType: number; clockRate: 8000; channels: 1; fmtp: string }
  | {
      kind: 'video';
      codec: VideoCodec;
      payloadType: number;
      clockRate: 90000;
      fmtp: string;
      /** Id of the colour space header extension, where the sender has one. */
      colorExtension?: number | undefined;
      /** Id of the video orientation header extension, where the sender has one. */
      orientationExtension?: number | undefined;
    };

export type VideoFormat = Extract<TrackFormat, { kind: 'video' }>;

/**
 * How the values of a picture mean colours. `matrix` is a code of ITU-T H.273 §8.3: 1 is BT.709, 5 and 6 are BT.601.
 */
export type VideoColor = { matrix: number; fullRange: boolean };

/** Numbered within a feed; a number is never used twice in one feed. */
export type Track = { track: number; uid: string; format: TrackFormat };
