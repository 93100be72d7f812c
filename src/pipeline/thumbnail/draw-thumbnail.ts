/** drawThumbnail: a small JPEG of one key frame, upright and with square pixels. */
import { THUMBNAIL_SIDE } from '../../contract/line/thumbnail.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Orientation, Picture } from '../../media/frame.ts';
import type { VideoColor, VideoFormat } from '../../media/track.ts';
import { encodeJpeg } from '../../stages/codec/jpeg-encoder.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { Scaler } from '../../stages/codec/scaler.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { createDepacketizer } from '../../stages/rtp/depacketize/create-depacketizer.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { PictureNotes } from '../tracks/picture-notes.ts';

/**
 * @param datagrams RTP packets of the key frame, in the sender's order
 * @throws Fault `picture-undecodable`, and as of the packets' parser, the decoder and the JPEG encoder
 */
export async function drawThumbnail(format: VideoFormat, datagrams: readonly Buffer[]): Promise<Buffer> {
  const { data, color, orientation } = join(format, datagrams);
  const decoder = new VideoDecoder(format.codec);
  const pictures = [];
  try {
    pictures.push(...decoder.decode({ data, ptsUs: 0, color, orientation }));
    // A decoder that reorders pictures holds it back.
    pictures.push(...decoder.flush());
    const whole = pictures.findLast(({ damaged }) => !damaged);
    if (!whole) throw undecodable('the key frame does not decode');
    return await draw(whole.picture);
  } finally {
    for (const { picture } of pictures) picture.free();
    decoder.close();
  }
}

type Unit = { data: Buffer; color: VideoColor | undefined; orientation: Orientation | undefined };

function join(format: VideoFormat, datagrams: readonly Buffer[]): Unit {
  const depacketizer = createDepacketizer(format);
  const notes = new PictureNotes();
  const samples = datagrams.flatMap((datagram) => {
    const packet = parsePacket(datagram, 0);
    // They are of one picture: its timestamp need not be unwrapped.
    notes.note(packet, packet.timestamp, format);
    return depacketizer.push({ packet, rtpTime: packet.timestamp, lostBefore: 0 });
  });
  samples.push(...depacketizer.flush());
  const sample = samples.find(({ keyFrame }) => keyFrame);
  if (!sample) throw undecodable('the packets hold no whole key frame');
  return { data: sample.data, ...notes.at(sample.rtpTime) };
}

async function draw(picture: Picture): Promise<Buffer> {
  const side = Math.min(THUMBNAIL_SIDE, 2 * Math.ceil(Math.max(picture.width, picture.height) / 2));
  const pool = new PicturePool();
  const scaler = new Scaler(pool);
  const { picture: small } = scaler.scale(picture, { width: side, height: side, render: 'fit' });
  try {
    return await encodeJpeg(small);
  } finally {
    small.free();
    scaler.close();
    pool.close();
  }
}

function undecodable(why: string): Fault {
  return new Fault('picture-undecodable', why, { blame: 'channel' });
}
