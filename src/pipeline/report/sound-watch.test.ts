/**
 * Sound that is not there is told apart: made up, lost, or not sent.
 */
import { expect, test } from 'vitest';
import { type PlacedSound, SoundWatch } from './sound-watch.ts';

function hear(...blocks: ({ fromMs: number; toMs: number } & Partial<PlacedSound>)[]) {
  const watch = new SoundWatch();
  for (const { fromMs, toMs, ...more } of blocks)
    watch.onSound({
      ...{ startUs: fromMs * 1000, endUs: toMs * 1000, afterLoss: false, concealedUs: 0, madeUp: false, unheardUs: 0 },
      ...more,
    });
  return watch.read();
}

test('sound that goes on, corrected by a few milliseconds, has no silence', () => {
  expect(hear({ fromMs: 0, toMs: 20 }, { fromMs: 20, toMs: 40 }, { fromMs: 43, toMs: 63 })).toEqual({
    ...{ concealedMs: 0, silenceMs: 0, lostMs: 0, dtx: { count: 0, totalMs: 0 } },
  });
});

test('what was lost is made up or silent, what could not be decoded is made up', () => {
  const heard = hear(
    { fromMs: 0, toMs: 20 },
    { fromMs: 60, toMs: 80, afterLoss: true, concealedUs: 46_500 },
    { fromMs: 380, toMs: 400, afterLoss: true },
    { fromMs: 400, toMs: 420, madeUp: true },
  );
  expect(heard).toEqual({ concealedMs: 60, silenceMs: 300, lostMs: 300, dtx: { count: 0, totalMs: 0 } });
});

test('what came too late is silent and lost, and so is what was made up before it', () => {
  const heard = hear(
    { fromMs: 0, toMs: 20 },
    { fromMs: 40, toMs: 60, afterLoss: true, concealedUs: 20_000, unheardUs: 40_000 },
    { fromMs: 60, toMs: 80, unheardUs: 10_000 },
  );
  expect(heard).toEqual({ concealedMs: 0, silenceMs: 50, lostMs: 50, dtx: { count: 0, totalMs: 0 } });
});

test('short pauses without loss are discontinuous transmission, long ones are not', () => {
  const heard = hear(
    { fromMs: 0, toMs: 20 },
    { fromMs: 400, toMs: 420 },
    { fromMs: 800, toMs: 820 },
    { fromMs: 5820, toMs: 5840 },
  );
  expect(heard).toEqual({ concealedMs: 0, silenceMs: 5760, lostMs: 0, dtx: { count: 2, totalMs: 760 } });
});
