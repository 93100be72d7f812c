/**
 * Encoded samples as the payloads of RTMP's audio, video and data messages (Adobe's "Flash Video File Format", 10.1,
 * §E.4). Pure.
 */
import type { EncodedSample } from '../../media/sample.ts';
import { encodeAmf } from './amf.ts';

/** What is pushed: H.264 and AAC-LC that is encoded already. */
export type PushedStreams = {
  /** `extradata` is SPS and PPS in Annex B. */
  video: { width: number; height: number; fps: number; bitrateKbps: number; extradata: Buffer };
  /** `extradata` is the AudioSpecificConfig (ISO 14496-3 §1.6.2). */
  audio: { sampleRate: number; channels: number; bitrateKbps: number; extradata: Buffer };
};

const AVC = 7;
const AAC = 10;
const FRAME = { key: 1, inter: 2 } as const;
const PACKET = { header: 0, data: 1 } as const;
/** For AAC it means nothing and must be this: 44 kHz, 16 bits, stereo. */
const SOUND = (AAC << 4) | 0b1111;

/** Tells players, before the first sample, what will come. */
export function metadata({ video, audio }: PushedStreams): Buffer {
  return encodeAmf('@setDataFrame', 'onMetaData', {
    width: video.width,
    height: video.height,
    framerate: video.fps,
    videodatarate: video.bitrateKbps,
    videocodecid: AVC,
    audiodatarate: audio.bitrateKbps,
    audiosamplerate: audio.sampleRate,
    audiosamplesize: 16,
    stereo: audio.channels === 2,
    audiocodecid: AAC,
    encoder: 'Aircheck',
  });
}

/** The AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1) as a video message. */
export function videoHeader({ video }: PushedStreams): Buffer {
  const units = unitsOf(video.extradata);
  const [sets, pictures] = [units.filter((unit) => typeOf(unit) === 7), units.filter((unit) => typeOf(unit) === 8)];
  const sps = sets[0] ?? Buffer.alloc(4);
  const listed = (all: Buffer[]) => all.flatMap((unit) => [Buffer.of(unit.length >> 8, unit.length & 0xff), unit]);
  return Buffer.concat([
    videoTag(FRAME.key, PACKET.header, 0),
    Buffer.of(1, sps[1]!, sps[2]!, sps[3]!, 0xff, 0xe0 | sets.length),
    ...listed(sets),
    Buffer.of(pictures.length),
    ...listed(pictures),
  ]);
}

export function audioHeader({ audio }: PushedStreams): Buffer {
  return Buffer.concat([Buffer.of(SOUND, PACKET.header), audio.extradata]);
}

/** One sample as a message. */
export function toPayload({ kind, data, keyFrame, ptsUs, dtsUs }: EncodedSample): Buffer {
  if (kind === 'audio') return Buffer.concat([Buffer.of(SOUND, PACKET.data), data]);
  const shownLaterMs = Math.round(ptsUs / 1000) - Math.round(dtsUs / 1000);
  const units = unitsOf(data).flatMap((unit) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(unit.length);
    return [length, unit];
  });
  return Buffer.concat([videoTag(keyFrame ? FRAME.key : FRAME.inter, PACKET.data, shownLaterMs), ...units]);
}

function videoTag(frame: number, packet: number, shownLaterMs: number): Buffer {
  const tag = Buffer.alloc(5);
  tag.writeUInt8((frame << 4) | AVC);
  tag.writeUInt8(packet, 1);
  tag.writeIntBE(shownLaterMs, 2, 3);
  return tag;
}

const START_CODE = Buffer.from([0, 0, 1]);

/** The NAL units of an Annex B stream, without start codes. */
function unitsOf(annexB: Buffer): Buffer[] {
  const units: Buffer[] = [];
  let start = annexB.indexOf(START_CODE);
  while (start >= 0) {
    const next = annexB.indexOf(START_CODE, start + 3);
    let end = next < 0 ? annexB.length : next;
    // Zeros before a start code belong to the code, not to the unit, which never ends in zero.
    while (end > start + 3 && annexB[end - 1] === 0) end--;
    if (end > start + 3) units.push(annexB.subarray(start + 3, end));
    start = next;
  }
  return units;
}

function typeOf(unit: Buffer): number {
  return unit[0]! & 31;
}
