import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ActiveSpeaker } from './active-speaker.ts';

const RATE = 48_000;
const WINDOW_US = 50_000;
/** Levels that are said in full, dBFS. */
const LOUD = -20;
const SOFT = -40;
const SILENT = -70;

/** Who is heard how loud, from when to when, seconds. */
type Span = { uid: string; fromS: number; toS: number; db: number };

/** Square waves: their level is that of each sample. */
function soundOf(samples: number, db: number) {
  const level = 10 ** (db / 20);
  return { channels: [new Float32Array(samples).map((_, i) => (i % 2 ? level : -level))], samples };
}

type Playing = { stepUs?: number; blockSamples?: number; present?: (atUs: number) => string[] };

/** Who is the speaker at the end of each window from 0 to `toS` that is also one of a step. */
function play(spans: Span[], toS: number, { stepUs = WINDOW_US, blockSamples = 960, present }: Playing = {}) {
  const speaker = new ActiveSpeaker();
  const all = [...new Set(spans.map(({ uid }) => uid))].toSorted();
  const there = present ?? (() => all);
  const told: (string | undefined)[] = new Array(Math.floor((toS * 1e6) / WINDOW_US));
  let fed = 0;
  for (let atUs = 0; atUs < toS * 1e6; ) {
    atUs = Math.min(atUs + stepUs, toS * 1e6);
    fed = feed(speaker, spans, fed, atUs + 120_000, blockSamples);
    speaker.advance(atUs, there);
    told[Math.floor(atUs / WINDOW_US) - 1] = speaker.recent[0];
  }
  return told;
}

/** Feeds blocks that begin before `untilUs`, and says where the next begins. */
function feed(speaker: ActiveSpeaker, spans: Span[], from: number, untilUs: number, blockSamples: number): number {
  let at = from;
  for (; (at * 1e6) / RATE < untilUs; at += blockSamples)
    for (const { uid, fromS, toS, db } of spans) {
      const [first, last] = [Math.max(at, fromS * RATE), Math.min(at + blockSamples, toS * RATE)];
      if (last > first) speaker.add(uid, first, soundOf(last - first, db));
    }
  return at;
}

/** The moments at which another one becomes the speaker, seconds. */
function turns(told: (string | undefined)[]): [atS: number, uid: string | undefined][] {
  return told.flatMap((uid, i) => (uid === told[i - 1] ? [] : [[((i + 1) * WINDOW_US) / 1e6, uid]]));
}

describe('ActiveSpeaker', () => {
  test('takes who has spoken for the attack, 0.3 s', () => {
    const [turn, ...more] = turns(play([{ uid: 'a', fromS: 1, toS: 4, db: LOUD }], 5));
    expect(turn?.[1]).toBe('a');
    expect(turn?.[0]).toBeGreaterThanOrEqual(1.3);
    expect(turn?.[0]).toBeLessThanOrEqual(1.45);
    expect(more).toEqual([]);
  });

  test('takes nobody for a cough, for noise, or in silence', () => {
    // It is over before the attack is, although the level falls slowly.
    expect(turns(play([{ uid: 'a', fromS: 1, toS: 1.2, db: -3 }], 3))).toEqual([]);
    expect(turns(play([{ uid: 'a', fromS: 0, toS: 5, db: SILENT }], 5))).toEqual([]);
  });

  test('keeps the last speaker while all are silent', () => {
    expect(turns(play([{ uid: 'a', fromS: 0, toS: 1, db: LOUD }], 60)).map(([, uid]) => uid)).toEqual(['a']);
  });

  test('lets another follow once the speaker was silent for the release', () => {
    const spans = [
      { uid: 'a', fromS: 0, toS: 4, db: LOUD },
      { uid: 'b', fromS: 4, toS: 8, db: SOFT },
    ];
    const told = turns(play(spans, 8));
    expect(told.map(([, uid]) => uid)).toEqual(['a', 'b']);
    // The level falls by 60 dB in a second from -20 to -50, and then there is half a second of silence.
    expect(told[1]?.[0]).toBeGreaterThanOrEqual(4.9);
    expect(told[1]?.[0]).toBeLessThanOrEqual(5.2);
  });

  test('lets only somebody much louder follow who still speaks, and only after a second of it', () => {
    const both = (db: number) => [
      { uid: 'a', fromS: 0, toS: 10, db: -30 },
      { uid: 'b', fromS: 4, toS: 10, db },
    ];
    expect(turns(play(both(-26), 10)).map(([, uid]) => uid)).toEqual(['a']);
    const told = turns(play(both(-20), 10));
    expect(told.map(([, uid]) => uid)).toEqual(['a', 'b']);
    expect(told[1]?.[0]).toBeGreaterThanOrEqual(5);
    expect(told[1]?.[0]).toBeLessThanOrEqual(5.3);
  });

  test('takes the first of those equally loud, and stays with whom it has', () => {
    const spans = ['b', 'a'].map((uid) => ({ uid, fromS: 0, toS: 9, db: LOUD }));
    expect(turns(play(spans, 9)).map(([, uid]) => uid)).toEqual(['a']);
    expect(turns(play(spans, 9, { present: () => ['b', 'a'] })).map(([, uid]) => uid)).toEqual(['b']);
  });

  test('goes back to who spoke before when the speaker leaves, until somebody speaks', () => {
    const spans = [
      { uid: 'a', fromS: 0, toS: 1, db: LOUD },
      { uid: 'b', fromS: 3, toS: 4, db: LOUD },
      { uid: 'c', fromS: 7, toS: 8, db: LOUD },
    ];
    const told = turns(play(spans, 9, { present: (us) => (us < 6e6 ? ['a', 'b', 'c'] : ['a', 'c']) }));
    expect(told.map(([, uid]) => uid)).toEqual(['a', 'b', 'a', 'c']);
    // Nobody is held who is only shown again.
    expect(told[3]?.[0]).toBeLessThanOrEqual(7.45);
  });

  test('hears from where it is told to go on', () => {
    const speaker = new ActiveSpeaker();
    speaker.seek(100 * RATE);
    const spans = [{ uid: 'a', fromS: 100, toS: 102, db: LOUD }];
    feed(speaker, spans, 100 * RATE, 101e6, 960);
    speaker.advance(101e6, () => ['a']);
    expect(speaker.recent).toEqual(['a']);
  });

  const UIDS = ['a', 'b', 'c'];
  const conversation = fc.array(
    fc.record({
      uid: fc.constantFrom(...UIDS),
      fromS: fc.integer({ min: 0, max: 160 }).map((n) => n / 16),
      lengthS: fc.integer({ min: 1, max: 48 }).map((n) => n / 16),
      db: fc.constantFrom(LOUD, LOUD, -30, SOFT, -55),
    }),
    { maxLength: 10 },
  );
  const spansOf = (parts: { uid: string; fromS: number; lengthS: number; db: number }[]): Span[] =>
    parts.map(({ uid, fromS, lengthS, db }) => ({ uid, fromS, toS: fromS + lengthS, db }));
  const everyone = { present: () => UIDS };

  test('never flaps: each stays for 1.5 s, and nobody is shown who never spoke', () => {
    fc.assert(
      fc.property(conversation, (parts) => {
        const told = turns(play(spansOf(parts), 13, everyone));
        for (const [n, [atS, uid]] of told.entries()) {
          if (n > 0) expect(atS - told[n - 1]![0]).toBeGreaterThan(1.49);
          expect(parts.some((part) => part.uid === uid && part.fromS < atS && part.db > -50)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('says the same however sound is cut into blocks and time into steps', () => {
    const cuts = fc.record({
      stepUs: fc.constantFrom(20_000, 33_333, 66_667, 1_000_000),
      blockSamples: fc.constantFrom(120, 960, 2880, 4801),
    });
    fc.assert(
      fc.property(conversation, cuts, (parts, how) => {
        const spans = spansOf(parts);
        const whole = play(spans, 13, everyone);
        const told = Object.entries(play(spans, 13, { ...everyone, ...how }));
        expect(told.length).toBeGreaterThan(12);
        expect(told).toEqual(told.map(([window]) => [window, whole[Number(window)]]));
      }),
      { numRuns: 40 },
    );
  });

  test('goes on from any moment as if it had never stopped', () => {
    fc.assert(
      fc.property(conversation, fc.integer({ min: 1, max: 250 }), (parts, atWindow) => {
        const spans = spansOf(parts);
        const whole = play(spans, 13, everyone);
        let speaker = new ActiveSpeaker();
        let fed = 0;
        const told: (string | undefined)[] = [];
        for (let window = 1; window <= 260; window++) {
          fed = feed(speaker, spans, fed, window * WINDOW_US + 120_000, 960);
          speaker.advance(window * WINDOW_US, everyone.present);
          told.push(speaker.recent[0]);
          if (window !== atWindow) continue;
          const kept = JSON.parse(JSON.stringify(speaker.save()));
          speaker = new ActiveSpeaker();
          speaker.restore(kept);
        }
        expect(told).toEqual(whole);
      }),
      { numRuns: 40 },
    );
  });

  test('keeps nothing of those who left', () => {
    const speaker = new ActiveSpeaker();
    feed(speaker, [{ uid: 'a', fromS: 0, toS: 2, db: LOUD }], 0, 1e6, 960);
    speaker.advance(1e6, () => ['a']);
    expect(speaker.recent).toEqual(['a']);
    speaker.advance(2e6, () => []);
    expect(speaker.save()).toMatchObject({ energies: [], voices: [], recent: [] });
  });
});
