/**
 * Made composites: slices as a recorder leaves them, by the product's own encoders and writers, of a participant whose
 * every appearance is known. Flashes and beeps fall on full seconds of wall time.
 */
import type { Segment } from '../../src/media/segment.ts';
import { MixOutput } from '../../src/pipeline/mix/mix-output.ts';
import { PicturePool } from '../../src/stages/codec/picture-pool.ts';
import { MadePicture, madeSound, SOUND_RATE } from './media/made-media.ts';
import { RED } from './media/participants.ts';

/** On a full second. */
const COMPOSITE_ZERO_MS = 1_795_000_000_000;
export const COMPOSITE = { width: 320, height: 180, fps: 30, bitrateKbps: 300 };
const BLOCK = 1024;

export type MadeComposite = {
  /** Exists. */
  dir: string;
  baseName: string;
  /** When it begins, seconds after COMPOSITE_ZERO_MS; another number than 0 for what another node goes on with. */
  fromS?: number;
  /** How long it records, without its hold. */
  seconds: number;
  /** Where in the files it is put on hold, on a block of sound and a frame, and for how long. */
  hold?: { atS: number; lengthS: number };
  /** Left as a recorder has it that is still at work: its last slice is a `.part`. */
  unfinished?: boolean;
};

/** Returns the finished slices in order. */
export async function makeComposite(made: MadeComposite): Promise<Segment[]> {
  const { dir, baseName, fromS = 0, seconds, hold, unfinished = false } = made;
  const files: Segment[] = [];
  const zeroUtcMs = COMPOSITE_ZERO_MS + fromS * 1000;
  const output = await MixOutput.open({
    ...{ video: COMPOSITE, audio: { channels: 1, bitrateKbps: 64 }, files: { hls: true, mp4: false } },
    ...{ mp4Limit: { durationMs: 7_200_000, bytes: 2e9 }, baseName, spoolDir: dir, zeroUtcMs },
    onSliceStart: () => {},
    onFile: (file) => void (file.type === 'slice' && files.push(file)),
  });
  const pool = new PicturePool();
  const drawn = new MadePicture(RED, COMPOSITE);
  let heldS = 0;
  let sample = 0;
  try {
    for (let frame = 0; frame < seconds * COMPOSITE.fps; frame++) {
      const atS = frame / COMPOSITE.fps;
      if (hold && heldS === 0 && atS >= hold.atS) {
        heldS = hold.lengthS;
        await output.hold(frame);
        await output.resume(sample, heldS * 1e6);
      }
      drawn.draw(zeroUtcMs * 1000 + Math.round((atS + heldS) * 1e6));
      const canvas = pool.allocate(COMPOSITE.width, COMPOSITE.height);
      for (const [n, plane] of [drawn.planes.y, drawn.planes.u, drawn.planes.v].entries()) {
        const [width, stride] = [n === 0 ? COMPOSITE.width : COMPOSITE.width / 2, canvas.strides[n]!];
        for (let row = 0; row * width < plane.length; row++)
          plane.copy(canvas.planes[n]!, row * stride, row * width, (row + 1) * width);
      }
      await output.writePicture(canvas, frame);
      canvas.free();
      for (; (sample + BLOCK) / SOUND_RATE <= atS + 1 / COMPOSITE.fps + 1e-9; sample += BLOCK) {
        const content = Math.round((zeroUtcMs / 1000 + heldS) * SOUND_RATE) + sample;
        await output.writeSound({ channels: [madeSound(RED, content, BLOCK)], samples: BLOCK }, sample);
      }
    }
    if (!unfinished) await output.finish();
  } finally {
    output.close();
    pool.close();
  }
  return files;
}
