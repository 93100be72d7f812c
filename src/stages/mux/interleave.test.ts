import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EncodedSample } from '../../media/sample.ts';
import { Interleaver, MAX_HELD_US } from './interleave.ts';

const audio = (ms: number): EncodedSample => sample('audio', ms, ms, true);
const video = (ptsMs: number, dtsMs = ptsMs, keyFrame = false): EncodedSample =>
  sample('video', ptsMs, dtsMs, keyFrame);
function sample(kind: EncodedSample['kind'], ptsMs: number, dtsMs: number, keyFrame: boolean): EncodedSample {
  return { kind, ptsUs: ptsMs * 1000, dtsUs: dtsMs * 1000, durationUs: 1000, keyFrame, data: Buffer.alloc(0) };
}
const order = (samples: EncodedSample[]) => samples.map((s) => `${s.kind[0]}${s.ptsUs / 1000}`).join(' ');

describe('Interleaver', () => {
  test('waits for the other kind, and gives the rest at the end', () => {
    const line = new Interleaver(['audio', 'video']);
    expect(order(line.push(audio(0)))).toBe('');
    expect(order(line.push(audio(20)))).toBe('');
    expect(order(line.push(video(0, 0, true)))).toBe('v0');
    expect(order(line.push(video(40)))).toBe('a0 a20');
    expect(order(line.flush())).toBe('v40');
    expect(order(line.flush())).toBe('');
  });

  test('puts a key frame after all sound before it, although it is decoded earlier', () => {
    const line = new Interleaver(['audio', 'video']);
    const out = [
      video(0, -80, true),
      video(120, -40),
      video(40, 0),
      audio(0),
      audio(60),
      audio(120),
      audio(180),
      video(160, 80, true),
      video(280, 120),
      audio(240),
    ].flatMap((s) => line.push(s));
    expect(order([...out, ...line.flush()])).toBe('v0 v120 v40 a0 a60 a120 v160 v280 a180 a240');
  });

  test('does not hold one kind for ever when the other stays away', () => {
    const line = new Interleaver(['audio', 'video']);
    let out = 0;
    const n = 4000;
    for (let i = 0; i < n; i++) out += line.push(audio(i * 20)).length;
    expect(n - out).toBeLessThanOrEqual(MAX_HELD_US / 20_000 + 1);
    expect(out).toBeGreaterThan(0);
  });

  test('leaves out a kind that was not announced', () => {
    const line = new Interleaver(['audio']);
    expect(line.push(video(0))).toEqual([]);
    expect(order(line.push(audio(0)))).toBe('a0');
  });

  test('loses nothing and keeps each kind in its order, however the two arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (arrivals) => {
        const line = new Interleaver(['audio', 'video']);
        const sent: EncodedSample[] = [];
        let [a, v] = [0, 0];
        for (const isAudio of arrivals) sent.push(isAudio ? audio(a++ * 21) : video(v * 33, v * 33, v++ % 10 === 0));
        const out = [...sent.flatMap((s) => line.push(s)), ...line.flush()];
        for (const kind of ['audio', 'video'])
          expect(out.filter((s) => s.kind === kind)).toEqual(sent.filter((s) => s.kind === kind));
        expect(out.every((s, i) => i === 0 || out[i - 1]!.ptsUs <= s.ptsUs)).toBe(true);
      }),
    );
  });
});
