/**
 * VP9 in two spatial layers, 320×180 and 640×360, as Chromium 156 encodes our own test page: pictures whose upper layer
 * is predicted from the lower one, which no encoder at hand makes. Kept as IVF, so that any player can show them.
 */
import { readFileSync } from 'node:fs';
import { splitSuperframe } from '../../../src/stages/rtp/vp9-frame.ts';

const IVF_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 12;

/** Modes of WebRTC-SVC: every upper frame needs the lower one of its picture, or only that of a key frame does. */
export type LayeredMode = 'l2t1' | 'l3t3-key';

/** The layer frames of each picture, the lowest first. The first picture is a key frame, and no other one. */
export function layeredPictures(mode: LayeredMode): Buffer[][] {
  const ivf = readFileSync(new URL(`./layers/${mode}.ivf`, import.meta.url));
  const pictures: Buffer[][] = [];
  for (let at = IVF_HEADER_BYTES; at < ivf.length; ) {
    const bytes = ivf.readUInt32LE(at);
    at += FRAME_HEADER_BYTES;
    pictures.push(splitSuperframe(ivf.subarray(at, at + bytes)));
    at += bytes;
  }
  return pictures;
}

/**
 * RTP payloads of a picture, one for each layer (RFC 9628 §4.2, non-flexible mode).
 * @param keyFrame whether the picture refers to none before it
 */
export function layerPayloads(layers: Buffer[], keyFrame: boolean): Buffer[] {
  // I P L F B E V Z: layer indices, a frame that begins and ends here.
  const first = 0x2c | (keyFrame ? 0 : 0x40);
  return layers.map((frame, layer) => {
    // The upper layer is predicted from the one below it.
    const indices = (layer << 1) | (layer > 0 ? 1 : 0);
    return Buffer.concat([Buffer.of(first, indices, 0), frame]);
  });
}
