/** Which codec is taken of those that a section of an offer names, and how SDP writes it. */
import type { MediaDescription } from 'sdp-transform';
import type { TrackFormat, VideoCodec } from '../../media/track.ts';

/** Words for refusals. */
export const CODECS_TAKEN = 'audio sections with Opus, PCMU or PCMA and video sections with H.264, VP8, VP9 or AV1';

type Rtp = MediaDescription['rtp'][number];

/** Payload types that need no `a=rtpmap` (RFC 3551 §6). */
const STATIC: Record<number, Rtp> = {
  0: { payload: 0, codec: 'PCMU', rate: 8000 },
  8: { payload: 8, codec: 'PCMA', rate: 8000 },
};
/** As `a=rtpmap` names them. */
const ENCODINGS: Record<TrackFormat['codec'], string> = {
  opus: 'opus/48000/2',
  pcmu: 'PCMU/8000',
  pcma: 'PCMA/8000',
  h264: 'H264/90000',
  vp8: 'VP8/90000',
  vp9: 'VP9/90000',
  av1: 'AV1/90000',
};

/**
 * The first codec of the offer that we take; for H.264 the first with packetization-mode=1, in which fragments may have
 * any size.
 */
export function chooseCodec(line: MediaDescription): TrackFormat | undefined {
  const offered = String(line.payloads ?? '')
    .split(' ')
    .map(Number)
    .flatMap((payload) => line.rtp.find((rtp) => rtp.payload === payload) ?? STATIC[payload] ?? []);
  const fmtpOf = (rtp: Rtp) => line.fmtp.find((f) => f.payload === rtp.payload)?.config ?? '';
  if (line.type === 'audio') {
    for (const rtp of offered) {
      const format = audioFormat(rtp, fmtpOf(rtp));
      if (format) return format;
    }
    return undefined;
  }
  const usable = offered.flatMap((rtp) => {
    const fmtp = fmtpOf(rtp);
    const codec = videoCodec(rtp, fmtp);
    return codec ? [{ codec, payloadType: rtp.payload, fmtp }] : [];
  });
  const first = usable[0];
  if (!first) return undefined;
  const better = usable.find(({ codec, fmtp }) => codec === 'h264' && /packetization-mode=1\b/.test(fmtp));
  const chosen = first.codec === 'h264' ? (better ?? first) : first;
  return { kind: 'video', ...chosen, clockRate: 90000 };
}

function audioFormat({ codec, rate, encoding, payload }: Rtp, fmtp: string): TrackFormat | undefined {
  const name = codec.toLowerCase();
  if (name === 'opus' && rate === 48000)
    return {
      kind: 'audio',
      codec: 'opus',
      payloadType: payload,
      clockRate: 48000,
      channels: 2,
      fmtp: opusAnswer(fmtp),
    };
  if ((name === 'pcmu' || name === 'pcma') && rate === 8000 && (encoding === undefined || Number(encoding) === 1))
    return { kind: 'audio', codec: name, payloadType: payload, clockRate: 8000, channels: 1, fmtp };
  return undefined;
}

/** The video codecs that can be decoded. Of VP9 and AV1 that is profile 0, which is also meant when none is named. */
function videoCodec(rtp: Rtp, fmtp: string): VideoCodec | undefined {
  if (rtp.rate !== 90000) return undefined;
  switch (rtp.codec.toLowerCase()) {
    case 'vp8':
      return 'vp8';
    case 'h264':
      return isUsableH264(fmtp) ? 'h264' : undefined;
    case 'vp9':
      return isProfile0(/(?:^|;)\s*profile-id=(\d+)/, fmtp) ? 'vp9' : undefined;
    case 'av1':
      return isProfile0(/(?:^|;)\s*profile=(\d+)/, fmtp) ? 'av1' : undefined;
    default:
      return undefined;
  }
}

function isProfile0(profile: RegExp, fmtp: string): boolean {
  return Number(profile.exec(fmtp)?.[1] ?? 0) === 0;
}

/**
 * Baseline (66), main (77) and high (100); no profile means baseline (RFC 6184 §8.1). Mode 2 is interleaved and not
 * taken.
 */
function isUsableH264(fmtp: string): boolean {
  if (/packetization-mode=2\b/.test(fmtp)) return false;
  const profile = /profile-level-id=([0-9a-f]{2})[0-9a-f]{4}/i.exec(fmtp)?.[1];
  return profile === undefined || ['42', '4d', '64'].includes(profile.toLowerCase());
}

/** A sender of stereo sends it only to a receiver that says `stereo=1` (RFC 7587 §6.1, §7). */
function opusAnswer(fmtp: string): string {
  if (!/\bsprop-stereo=1\b/.test(fmtp) || /(^|;)\s*stereo=1\b/.test(fmtp)) return fmtp;
  return `${fmtp};stereo=1`;
}

/** The `a=rtpmap` line of a format in an answer. */
export function rtpmapOf(format: TrackFormat): string {
  return `a=rtpmap:${format.payloadType} ${ENCODINGS[format.codec]}`;
}
