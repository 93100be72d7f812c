/**
 * Made recordings of single users: slices and a manifest as a recorder leaves them, of participants whose every
 * appearance is known. Flashes and beeps fall on the full seconds of the recording.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../src/contract/line/manifest.ts';
import type { EncodedSample } from '../../src/media/sample.ts';
import type { Segment } from '../../src/media/segment.ts';
import { manifestOf, type Stay } from '../../src/pipeline/individual/manifest.ts';
import { AAC_BLOCK, AudioEncoder } from '../../src/stages/codec/audio-encoder.ts';
import { baseName, documentName, playlistName, userBaseName } from '../../src/stages/mux/names.ts';
import type { SliceContainer } from '../../src/stages/mux/slice-container.ts';
import { Slices } from '../../src/stages/mux/slices.ts';
import { TsContainer } from '../../src/stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../../src/stages/mux/webm/webm-container.ts';
import { AudioEncoder as LiveAudioEncoder, VideoEncoder } from './media/encode.ts';
import { MadePicture, madeSound, SOUND_RATE, splitPlanes } from './media/made-media.ts';
import type { Participant } from './media/participants.ts';

type MadeSpan = { fromS: number; toS: number };

type MadeCodec = 'h264' | 'vp8' | 'vp9' | 'av1';

type MadeUser = {
  uid: string;
  participant: Participant;
  stays: MadeSpan[];
  /**
   * When there is picture; between two spans nothing comes. `rotate` is how it must be turned, anticlockwise degrees.
   */
  video?: { spans: (MadeSpan & { codec: MadeCodec })[]; rotate?: 0 | 90; motion?: 'calm' | 'busy' };
  audio?: { codec: 'aac' | 'opus'; spans: MadeSpan[] };
};

export type MadeRecording = {
  /** An empty folder. */
  dir: string;
  users: MadeUser[];
  endS: number;
  /** Of the pictures as they are seen. */
  size: { width: number; height: number };
  fps: number;
  bitrateKbps?: number;
};

const SID = '00112233445566778899aabbccddeeff';
/** On a full second, so that content time is the recording's. */
const MADE_ZERO_UTC_MS = 1_795_000_000_000;

/** Writes the files and returns the manifest with its path. */
export async function makeRecording(made: MadeRecording): Promise<{ path: string; manifest: Manifest }> {
  const base = baseName(SID, 'room');
  const files: Segment[] = [];
  for (const user of made.users) {
    await writeVideo(made, user, base, files);
    await writeAudio(made, user, base, files);
  }
  const us = (s: number) => Math.round(s * 1e6);
  const stays: Stay[] = made.users
    .flatMap(({ uid, stays }) => stays.map(({ fromS, toS }) => ({ uid, joinedUs: us(fromS), leftUs: us(toS) })))
    .sort((a, b) => a.joinedUs - b.joinedUs);
  const zero = { sid: SID, cname: 'room', zeroUtcMs: MADE_ZERO_UTC_MS };
  const manifest = manifestOf({ ...zero, endUs: us(made.endS), stays, files });
  const path = join(made.dir, documentName(base, 'manifest'));
  writeFileSync(path, JSON.stringify(manifest));
  return { path, manifest };
}

async function writeVideo(made: MadeRecording, { uid, participant, video }: MadeUser, base: string, files: Segment[]) {
  if (!video) return;
  const { dir, fps, size } = made;
  const { rotate = 0, motion = 'calm' } = video;
  const sent = rotate === 90 ? { width: size.height, height: size.width } : size;
  const name = userBaseName(base, uid, 'video');
  let firstIndex = 0;
  for (const { fromS, toS, codec } of video.spans) {
    const slices = new Slices(
      {
        ...{ dir, baseName: name, playlist: playlistName(name), kinds: ['video'], firstIndex },
        ...{ zeroUtcMs: MADE_ZERO_UTC_MS, shape: { ...sent, rotate }, forced: codec === 'h264' },
        ...{ owner: { uid, trackType: 'video' }, codecs: { video: codec } },
        onFile: (file) => void files.push(file),
      },
      () => containerOf(codec, sent),
    );
    const bitrateKbps = made.bitrateKbps ?? 400;
    const encoder = new VideoEncoder({ codec, ...sent, fps, bitrateKbps, gopFrames: fps * 2 });
    const picture = new MadePicture(participant, { ...size, motion });
    for (let n = 0; n < Math.round((toS - fromS) * fps); n++) {
      const atUs = Math.round(fromS * 1e6 + (n * 1e6) / fps);
      picture.draw(MADE_ZERO_UTC_MS * 1000 + atUs);
      const i420 = rotate === 90 ? turnedClockwise(picture.i420, size.width, size.height) : picture.i420;
      for (const { data, keyFrame } of encoder.encode(i420, n)) {
        const times = { ptsUs: atUs, dtsUs: atUs, durationUs: Math.round(1e6 / fps) };
        slices.write({ kind: 'video', ...times, keyFrame, data });
      }
    }
    encoder.close();
    await slices.finish();
    firstIndex = slices.nextIndex;
  }
}

async function writeAudio(
  { dir }: MadeRecording,
  { uid, participant, audio }: MadeUser,
  base: string,
  files: Segment[],
) {
  if (!audio) return;
  const { codec } = audio;
  const name = userBaseName(base, uid, 'audio');
  let firstIndex = 0;
  for (const { fromS, toS } of audio.spans) {
    const encoder = codec === 'aac' ? new Aac() : new Opus();
    const slices = new Slices(
      {
        ...{ dir, baseName: name, playlist: playlistName(name), kinds: ['audio'], firstIndex },
        ...{ zeroUtcMs: MADE_ZERO_UTC_MS, owner: { uid, trackType: 'audio' }, codecs: { audio: codec } },
        onFile: (file) => void files.push(file),
      },
      () => new TsContainer({ audio: encoder.stream }),
    );
    const end = Math.round(toS * SOUND_RATE);
    for (let at = Math.round(fromS * SOUND_RATE); at < end; at += encoder.block) {
      const mono = madeSound(participant, (MADE_ZERO_UTC_MS / 1000) * SOUND_RATE + at, encoder.block);
      for (const sample of encoder.encode(mono, at)) slices.write(sample);
    }
    for (const sample of encoder.end()) slices.write(sample);
    await slices.finish();
    firstIndex = slices.nextIndex;
  }
}

class Aac {
  readonly block = AAC_BLOCK;
  readonly #encoder = new AudioEncoder({ channels: 1, bitrateKbps: 48 });
  readonly stream = { sampleRate: SOUND_RATE, channels: 1 as const, extradata: this.#encoder.extradata };

  encode(mono: Float32Array, at: number): EncodedSample[] {
    return this.#encoder.encode({ channels: [mono], samples: mono.length }, at);
  }

  end(): EncodedSample[] {
    const last = this.#encoder.flush();
    this.#encoder.close();
    return last;
  }
}

class Opus {
  readonly stream = { codec: 'opus', sampleRate: SOUND_RATE, channels: 2 } as const;
  readonly #encoder = new LiveAudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 32 });
  readonly block = this.#encoder.frameSamples;

  encode(mono: Float32Array, at: number): EncodedSample[] {
    const ptsUs = Math.round((at * 1e6) / SOUND_RATE);
    const times = { ptsUs, dtsUs: ptsUs, durationUs: (this.block * 1e6) / SOUND_RATE };
    return this.#encoder.encode(mono, at).map(({ data }) => ({ kind: 'audio', ...times, keyFrame: true, data }));
  }

  end(): EncodedSample[] {
    this.#encoder.close();
    return [];
  }
}

function containerOf(codec: MadeCodec, size: { width: number; height: number }): SliceContainer {
  if (codec === 'h264') return new TsContainer({ video: size });
  return new WebmContainer(codec);
}

/** An I420 picture turned a quarter clockwise. */
function turnedClockwise(i420: Buffer, width: number, height: number): Buffer {
  const out = Buffer.alloc(i420.length);
  const from = splitPlanes(i420, width, height);
  const to = splitPlanes(out, height, width);
  const turn = (source: Buffer, target: Buffer, w: number, h: number) => {
    for (let row = 0; row < w; row++)
      for (let column = 0; column < h; column++)
        target[row * h + column] = source[(h - 1 - column) * w + row] as number;
  };
  turn(from.y, to.y, width, height);
  turn(from.u, to.u, width / 2, height / 2);
  turn(from.v, to.v, width / 2, height / 2);
  return out;
}
