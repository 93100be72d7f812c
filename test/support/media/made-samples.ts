/**
 * Samples as the stages before a muxer hand them on, made of made media: pictures as WebRTC senders code them, Opus as
 * it came, AAC. Content time is recording time, so flash and beep fall on the recording's full seconds.
 */
import type { EncodedSample } from '../../../src/media/sample.ts';
import type { VideoCodec } from '../../../src/media/track.ts';
import { AudioEncoder, type Encoded, VideoEncoder } from './encode.ts';
import { MadePicture, madeSound, SOUND_RATE } from './made-media.ts';
import { PARTICIPANTS } from './participants.ts';

/** Content time must not be negative, and its full seconds stay full. */
const CONTENT_ZERO_S = 3600;

export type MadePictures = {
  codec: VideoCodec;
  width: number;
  height: number;
  /** Recording time of the first picture, seconds. */
  fromS: number;
  seconds: number;
  fps?: number;
  /** Seconds from key frame to key frame. */
  gopS?: number;
  /** Leaves out pictures and moves others, as networks and busy senders do. Those that show a flash begin are kept. */
  unsteady?: boolean;
  /** From and until when, in seconds from the first, no pictures come; the first one after is a key frame. */
  without?: readonly [number, number];
};

/** Each lasts until the next, the last one for one picture's time. */
export function makeVideoSamples(made: MadePictures): EncodedSample[] {
  const { codec, width, height, fromS, seconds, fps = 15, gopS = 2, without = [0, 0] } = made;
  const encoder = new VideoEncoder({ codec, width, height, fps, bitrateKbps: 400, gopFrames: 100_000 });
  const picture = new MadePicture(PARTICIPANTS[0]!, { width, height });
  const times: number[] = [];
  const encoded: Encoded[] = [];
  let keyAtS = Number.NEGATIVE_INFINITY;
  try {
    for (let n = 0; n < Math.round(seconds * fps); n++) {
      const atS = n / fps;
      if (atS >= without[0] && atS < without[1]) continue;
      if (made.unsteady && isLeftOut(n, fps)) continue;
      const jitterUs = made.unsteady ? ((n * 7919) % 11) * 1000 : 0;
      const ptsUs = Math.round((fromS + atS) * 1e6) + jitterUs;
      const isKey =
        atS - keyAtS >= gopS - 1e-9 || (times.length > 0 && without[1] > 0 && atS >= without[1] && keyAtS < without[0]);
      if (isKey) keyAtS = atS;
      picture.draw(CONTENT_ZERO_S * 1_000_000 + ptsUs);
      encoded.push(...encoder.encode(picture.i420, times.length, isKey));
      times.push(ptsUs);
    }
    encoded.push(...encoder.flush());
  } finally {
    encoder.close();
  }
  return encoded.map(({ data, keyFrame }, i) => {
    const ptsUs = times[i]!;
    const durationUs = (times[i + 1] ?? ptsUs + Math.round(1e6 / fps)) - ptsUs;
    return { kind: 'video', ptsUs, dtsUs: ptsUs, durationUs, keyFrame, data };
  });
}

/** About a third of the pictures, never two in a row. */
function isLeftOut(n: number, fps: number): boolean {
  return n % fps > 2 && n % 3 === 1;
}

export type MadeSounds = { fromS: number; seconds: number; channels: 1 | 2 };

/** Packets of 20 ms. */
export function makeOpusSamples(made: MadeSounds): EncodedSample[] {
  return encodeSound({ ...made, codec: 'opus' }).samples;
}

/** Raw AAC-LC whose first sample is the encoder's priming, which ends at `fromS`. */
export function makeAacSamples(made: MadeSounds): { samples: EncodedSample[]; config: Buffer } {
  return encodeSound({ ...made, codec: 'aac' });
}

function encodeSound({ fromS, seconds, channels, codec }: MadeSounds & { codec: 'opus' | 'aac' }) {
  const encoder = new AudioEncoder({ codec, channels, bitrateKbps: 64, globalHeader: true });
  const size = encoder.frameSamples;
  const us = (samples: number) => Math.round(fromS * 1e6 + (samples * 1e6) / SOUND_RATE);
  const samples: EncodedSample[] = [];
  const take = (encoded: Encoded[]) => {
    for (const { data, pts } of encoded) {
      // Of Opus, what was received has its times from the sender's clock, which knows no pre-skip.
      const at = codec === 'opus' ? samples.length * size : pts;
      samples.push({
        kind: 'audio',
        ptsUs: us(at),
        dtsUs: us(at),
        durationUs: us(at + size) - us(at),
        keyFrame: true,
        data,
      });
    }
  };
  try {
    const first = Math.round((CONTENT_ZERO_S + fromS) * SOUND_RATE);
    for (let at = 0; at + size <= seconds * SOUND_RATE; at += size)
      take(encoder.encode(madeSound(PARTICIPANTS[0]!, first + at, size), at));
    if (codec === 'aac') take(encoder.flush());
    return { samples, config: Buffer.from(encoder.context.extraData ?? []) };
  } finally {
    encoder.close();
  }
}
