/**
 * Made files: recordings whose every property is known, for testing the judges and as input of measurements.
 * Participants stand in best-fit cells (or fill the picture when alone) and all beep together. Faults can be built in
 * on purpose.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { AV_PKT_FLAG_KEY } from 'node-av/constants';
import { Dictionary, FormatContext, Packet, Rational } from 'node-av/lib';
import { AudioEncoder, type Encoded, must, type VideoCodecName, VideoEncoder } from './encode.ts';
import { MadePicture, madeSound, SOUND_RATE, splitPlanes } from './made-media.ts';
import type { Participant } from './participants.ts';

/** A canvas about to be encoded, and the moment it stands for, seconds from the file's start. */
type Canvas = { i420: Buffer; width: number; height: number; atS: number };

export type MadeFile = {
  /** `.mp4`, `.ts`, `.m3u8` or `.mkv`. */
  path: string;
  participants: readonly Participant[];
  width: number;
  height: number;
  fps: number;
  seconds: number;
  motion?: 'calm' | 'busy';
  /** Content time at the file's start, microseconds; the marks fall on its full seconds. */
  contentStartUs?: number;
  /** Sound is this much late against the picture (early when negative), milliseconds. */
  soundLateMs?: number;
  /** Leaves the file without sound, or without picture. */
  only?: 'video' | 'audio';
  /** Changes a canvas before it is encoded; false leaves the frame out of the file. */
  eachCanvas?: (canvas: Canvas) => boolean | undefined;
  /** Changes a block of mono sound before it is encoded; `atS` is its start. */
  eachSound?: (samples: Float32Array, atS: number) => void;
  /** Put on every time stamp, seconds. */
  startS?: number;
  /**
   * `live` encodes as WebRTC senders do: these codecs, no B-frames. By default H.264 and AAC as recordings have them.
   */
  live?: VideoCodecName;
  videoBitrateKbps?: number;
  gopFrames?: number;
  globalHeader?: boolean;
  /** Options of FFmpeg's muxer, such as `movflags`. */
  muxer?: Record<string, string>;
};

/** Columns and rows of a best-fit grid of `n` (contract §4.7). */
function gridOf(n: number): { columns: number; rows: number } {
  if (n <= 1) return { columns: 1, rows: 1 };
  if (n === 2) return { columns: 2, rows: 1 };
  const side = Math.ceil(Math.sqrt(n));
  return { columns: side, rows: side };
}

/** Writes the file; overwrites what is there. Throws an Error naming the step that FFmpeg refused. */
export function writeMadeFile(file: MadeFile): void {
  mkdirSync(dirname(file.path), { recursive: true });
  const format = new FormatContext();
  must(format.allocOutputContext2(null, null, file.path), `choosing a format for ${file.path}`);
  const header = file.globalHeader ?? /\.(mp4|mkv)$/.test(file.path);
  const { width, height, fps } = file;
  const video =
    file.only === 'audio'
      ? undefined
      : new VideoEncoder({
          codec: file.live ?? 'h264',
          width,
          height,
          fps,
          bitrateKbps: file.videoBitrateKbps ?? 1500,
          gopFrames: file.gopFrames ?? fps * 2,
          use: file.live ? 'live' : 'file',
          globalHeader: header,
        });
  const audio =
    file.only === 'video'
      ? undefined
      : new AudioEncoder({
          codec: file.live ? 'opus' : 'aac',
          channels: file.live ? 2 : 1,
          bitrateKbps: file.live ? 64 : 128,
          globalHeader: header,
        });
  const streams: { stream: ReturnType<FormatContext['newStream']>; num: number; den: number }[] = [];
  for (const encoder of [video, audio]) {
    if (!encoder) continue;
    const stream = format.newStream();
    stream.timeBase = encoder.context.timeBase;
    must(stream.codecpar.fromContext(encoder.context), 'describing a stream');
    if (encoder === video) stream.avgFrameRate = new Rational(fps, 1);
    streams.push({ stream, num: encoder.context.timeBase.num, den: encoder.context.timeBase.den });
  }
  const write = (index: number, encoded: Encoded[]) => {
    const target = streams[index] as (typeof streams)[number];
    const shift = Math.round(((file.startS ?? 0) * target.den) / target.num);
    for (const e of encoded) {
      using packet = new Packet();
      packet.alloc();
      packet.data = e.data;
      packet.pts = BigInt(e.pts + shift);
      packet.dts = BigInt(e.dts + shift);
      packet.duration = BigInt(e.duration || (index === 0 && video ? 1 : 0));
      packet.streamIndex = index;
      if (e.keyFrame) packet.flags = AV_PKT_FLAG_KEY;
      packet.rescaleTs({ num: target.num, den: target.den }, target.stream.timeBase);
      must(format.interleavedWriteFrameSync(packet), 'writing a packet');
    }
  };
  try {
    if (!file.path.endsWith('.m3u8')) must(format.openOutputSync(), `opening ${file.path}`);
    must(format.writeHeaderSync(Dictionary.fromObject(file.muxer ?? {})), 'writing the header');
    encodeAll(file, video, audio, write);
    must(format.writeTrailerSync(), 'finishing the file');
  } finally {
    video?.close();
    audio?.close();
    if (file.path.endsWith('.m3u8')) format.freeContext();
    else format.closeOutputSync();
  }
}

function encodeAll(
  file: MadeFile,
  video: VideoEncoder | undefined,
  audio: AudioEncoder | undefined,
  write: (index: number, encoded: Encoded[]) => void,
): void {
  const canvas = makeCanvas(file);
  const zeroUs = file.contentStartUs ?? 0;
  const lateSamples = Math.round(((file.soundLateMs ?? 0) * SOUND_RATE) / 1000);
  const audioIndex = video ? 1 : 0;
  const totalSamples = Math.round(file.seconds * SOUND_RATE);
  let samplesDone = 0;
  for (let n = 0; n < Math.round(file.seconds * file.fps); n++) {
    const atS = n / file.fps;
    if (video) {
      canvas.draw(zeroUs + Math.round((n * 1_000_000) / file.fps));
      const shown = { i420: canvas.i420, width: file.width, height: file.height, atS };
      if (file.eachCanvas?.(shown) !== false) write(0, video.encode(canvas.i420, n));
    }
    while (audio && samplesDone < Math.min(totalSamples, (atS + 1 / file.fps) * SOUND_RATE)) {
      const at = samplesDone + (zeroUs * SOUND_RATE) / 1_000_000 - lateSamples;
      const mono = new Float32Array(audio.frameSamples);
      for (const p of file.participants) {
        const part = madeSound(p, Math.max(0, at) % (SOUND_RATE * 3600), audio.frameSamples);
        for (let i = 0; i < mono.length; i++) mono[i] = (mono[i] as number) + (part[i] as number);
      }
      file.eachSound?.(mono, samplesDone / SOUND_RATE);
      write(audioIndex, audio.encode(mono, samplesDone));
      samplesDone += audio.frameSamples;
    }
  }
  if (video) write(0, video.flush());
  if (audio) write(audioIndex, audio.flush());
}

/** Draws all participants' pictures into their cells of one canvas. */
function makeCanvas(file: MadeFile): { i420: Buffer; draw(tUs: number): void } {
  const { width, height, participants } = file;
  const { columns, rows } = gridOf(participants.length);
  const cellWidth = Math.floor(width / columns / 2) * 2;
  const cellHeight = Math.floor(height / rows / 2) * 2;
  const i420 = Buffer.alloc((width * height * 3) / 2);
  const canvas = splitPlanes(i420, width, height);
  const pictures = participants.map(
    (p) =>
      new MadePicture(p, { width: cellWidth, height: cellHeight, ...(file.motion ? { motion: file.motion } : {}) }),
  );
  return {
    i420,
    draw(tUs) {
      canvas.y.fill(16);
      canvas.u.fill(128);
      canvas.v.fill(128);
      pictures.forEach((picture, i) => {
        picture.draw(tUs);
        const x = (i % columns) * cellWidth;
        const y = Math.floor(i / columns) * cellHeight;
        paste(picture.planes.y, cellWidth, canvas.y, width, x, y);
        paste(picture.planes.u, cellWidth / 2, canvas.u, width / 2, x / 2, y / 2);
        paste(picture.planes.v, cellWidth / 2, canvas.v, width / 2, x / 2, y / 2);
      });
    },
  };
}

function paste(from: Buffer, width: number, to: Buffer, stride: number, x: number, y: number): void {
  for (let row = 0; row < from.length / width; row++) {
    from.copy(to, (y + row) * stride + x, row * width, (row + 1) * width);
  }
}
