import { expect, test } from 'vitest';
import { VideoEncoder } from '../../test/support/media/encode.ts';
import { av1ConfigOf, av1SequenceOf } from './av1-sequence.ts';

test('the configuration record says what the sequence header does, and holds it', () => {
  const size = { width: 320, height: 180 };
  const encoder = new VideoEncoder({ codec: 'av1', ...size, fps: 15, bitrateKbps: 300, gopFrames: 30 });
  const [first] = [...encoder.encode(Buffer.alloc(320 * 180 * 1.5, 90), 0), ...encoder.flush()];
  encoder.close();
  const sequence = av1SequenceOf(first!.data)!;
  expect(sequence).toMatchObject({ ...size, profile: 0, highBitDepth: false, monochrome: false, highTier: false });
  const config = av1ConfigOf(first!.data)!;
  // Version 1; main profile and the level; 8 bits, chroma halved both ways, its position; no delay said.
  expect([...config.subarray(0, 4)]).toEqual([0x81, sequence.level, 0x0c | sequence.chromaPosition, 0]);
  expect(first!.data.includes(config.subarray(4))).toBe(true);
});

test('there is none without a whole sequence header', () => {
  for (const hex of ['', '1200', '0a0b00', '0a', '80'])
    expect(av1ConfigOf(Buffer.from(hex, 'hex')), hex).toBeUndefined();
});
