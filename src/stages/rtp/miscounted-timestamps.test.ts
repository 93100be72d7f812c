/**
 * Senders that miscount, or whose capture stalls, are back in step within seconds, and nobody else is moved by it. Each
 * scenario is played as a recorder would use it, a second behind, and every packet's place is compared to its true one.
 */
import { describe, expect, test } from 'vitest';
import { RtpTimeline } from './rtp-timeline.ts';
import { ParticipantClock } from './sender-clock.ts';

const S = 1_000_000;
const NTP = 3_900_000_000_000_000;
/** What the recorder waits before it uses anything. */
const BEHIND_US = S;

type Scenario = {
  seconds: number;
  /** Of all streams, or of one by its name. */
  reportsEveryS?: number | { [stream: string]: number };
  streams?: Partial<Stream>[];
  /** Spans of true time in which nothing is captured, and of which the timestamps know nothing. */
  stalls?: { stream: string; atS: number; forS: number }[];
  /** From then on all timestamps are so much ahead, or behind. */
  steps?: { stream: string; atS: number; byS: number }[];
  /** One frame whose timestamp is so far off. */
  strays?: { stream: string; atS: number; byS: number }[];
  /** Nothing comes through meanwhile; what is sent waits and comes at once after. */
  heldUp?: { atS: number; forS: number; stream?: string };
  /** From then on all packets are so much longer on their way. */
  slower?: { atS: number; byS: number };
  /** What a report says instead of the truth. */
  nonsense?: { stream: string; report: number; byS: number }[];
  /** All reports name the same moment. */
  stopped?: boolean;
};
type Stream = { name: string; rate: number; periodUs: number; delayUs: number; jitterUs: number };
type Placed = { trueUs: number; errorUs: number; usedUs: number; isStray: boolean };

const STREAMS: Stream[] = [
  { name: 'sound', rate: 48000, periodUs: 20_000, delayUs: 30_000, jitterUs: 10_000 },
  { name: 'picture', rate: 90000, periodUs: 33_333, delayUs: 50_000, jitterUs: 20_000 },
];

function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function play(scenario: Scenario): Record<string, Placed[]> {
  const participant = new ParticipantClock();
  const events: { atUs: number; run: () => void }[] = [];
  const placed: Record<string, Placed[]> = {};
  const waiting: { trueUs: number; rtpTime: number; isStray: boolean }[][] = [];
  const streams = STREAMS.map((stream, n) => ({ ...stream, ...scenario.streams?.[n] }));
  const commonUs = Math.min(...streams.map(({ delayUs }) => delayUs));
  for (const [n, { name, rate, periodUs, delayUs, jitterUs }] of streams.entries()) {
    const random = noise(n + 7);
    const line = new RtpTimeline(rate, name === 'sound' ? 'audio' : 'video');
    const clock = participant.addStream(rate, name);
    const queue: (typeof waiting)[number] = [];
    const done: Placed[] = [];
    waiting.push(queue);
    placed[name] = done;
    const of = <T extends { stream?: string }>(list: T[] | undefined) => (list ?? []).filter((x) => x.stream === name);
    const start = Math.floor(random() * 2 ** 32);
    const timestamp = (trueUs: number) => {
      let mediaUs = trueUs;
      for (const { atS, forS } of of(scenario.stalls)) mediaUs -= Math.min(Math.max(0, trueUs - atS * S), forS * S);
      for (const { atS, byS } of of(scenario.steps)) if (trueUs >= atS * S) mediaUs += byS * S;
      return mediaUs;
    };
    const wrap = (mediaUs: number) => (((start + Math.round((mediaUs * rate) / S)) % 2 ** 32) + 2 ** 32) % 2 ** 32;
    const strays = of(scenario.strays);
    let lastUs = 0;
    for (let trueUs = 0; trueUs < scenario.seconds * S; trueUs += periodUs) {
      if (of(scenario.stalls).some(({ atS, forS }) => trueUs > atS * S && trueUs < (atS + forS) * S)) continue;
      const stray = strays.findIndex(({ atS }) => trueUs >= atS * S);
      const byUs = stray < 0 ? 0 : strays.splice(stray, 1)[0]!.byS * S;
      const stamp = wrap(timestamp(trueUs) + byUs);
      let arrivalUs = trueUs + delayUs + Math.floor(random() * jitterUs);
      const { heldUp, slower } = scenario;
      if (slower && trueUs >= slower.atS * S) arrivalUs += slower.byS * S;
      if (heldUp && (heldUp.stream ?? name) === name && arrivalUs >= heldUp.atS * S)
        arrivalUs = Math.max(arrivalUs, (heldUp.atS + heldUp.forS) * S);
      arrivalUs = Math.max(arrivalUs, lastUs);
      lastUs = arrivalUs;
      events.push({
        atUs: arrivalUs,
        run: () => {
          const rtpTime = line.unwrap(stamp, arrivalUs, true);
          clock.onPacket(rtpTime, arrivalUs);
          queue.push({ trueUs, rtpTime, isStray: byUs !== 0 });
        },
      });
    }
    const every = scenario.reportsEveryS ?? 1;
    const everyS = typeof every === 'number' ? every : (every[name] ?? 1);
    let report = 0;
    for (let us = 0.4 * S + n * 130_000; us < scenario.seconds * S; us += everyS * S) {
      const lie = of(scenario.nonsense).find((x) => x.report === report);
      report++;
      const ntp = NTP + (scenario.stopped ? 0 : us + (lie?.byS ?? 0) * S);
      const stamp = wrap(timestamp(us));
      let arrivalUs = us + delayUs;
      if (scenario.slower && us >= scenario.slower.atS * S) arrivalUs += scenario.slower.byS * S;
      events.push({
        atUs: arrivalUs,
        run: () => clock.onSenderReport(ntp, line.rtpTimeOf(stamp, arrivalUs), arrivalUs),
      });
    }
    for (let us = 0; us < (scenario.seconds + 2) * S; us += 10_000)
      events.push({
        atUs: us,
        run: () => {
          while (queue[0] && clock.peekLocalUs(queue[0].rtpTime) <= us - BEHIND_US) {
            const { trueUs, rtpTime, isStray } = queue.shift()!;
            done.push({ trueUs, errorUs: clock.toLocalUs(rtpTime) - trueUs - commonUs, usedUs: us, isStray });
          }
        },
      });
  }
  events.sort((a, b) => a.atUs - b.atUs);
  for (const { run } of events) run();
  return placed;
}

/** The worst error within `fromS` to `toS` of true time, milliseconds. */
function worstMs(placed: Placed[], fromS: number, toS: number): number {
  const errors = placed.filter(({ trueUs }) => trueUs >= fromS * S && trueUs < toS * S).map(({ errorUs }) => errorUs);
  expect(errors.length).toBeGreaterThan(0);
  return errors.reduce((worst, us) => (Math.abs(us) > Math.abs(worst) ? us : worst), 0) / 1000;
}
/** How many came too late to be used: their place had been taken. */
function lost(placed: Placed[], fromS: number, toS = Number.POSITIVE_INFINITY): number {
  return placed.filter(
    ({ trueUs, errorUs, usedUs }) =>
      trueUs >= fromS * S && trueUs < toS * S && trueUs + errorUs < usedUs - BEHIND_US - 150_000,
  ).length;
}
/** How far the place of one sample after the other is off the time that passed, at most, milliseconds. */
function draggedMs(placed: Placed[], fromS: number): number {
  const from = placed.filter(({ trueUs }) => trueUs >= fromS * S);
  const errors = from.map(({ errorUs }) => errorUs);
  return (Math.max(...errors) - Math.min(...errors)) / 1000;
}
const all = (scenario: Scenario, check: (played: Record<string, Placed[]>) => void) => check(play(scenario));

/** How senders report: each second, each five, never, or one of them never. */
const REPORTS = [
  ['each second', 1],
  ['each 5 s', 4.9],
  ['never', 1e6],
] as const;
const other = { sound: 'picture', picture: 'sound' } as const;

describe.each(REPORTS)('reports %s', (_, reportsEveryS) => {
  const inStep = reportsEveryS === 4.9 ? 5.2 : 2.5;

  describe.each(['sound', 'picture'] as const)('%s', (stream) => {
    test.each([0.05, 0.08, 0.15, 0.3, 0.7, 1, 1.5, 1.8, 2, 3, 6])('stalls for %d s', (forS) => {
      // Less than what is late on good networks cannot be told without reports.
      const limit = forS < 0.06 && reportsEveryS === 1e6 ? 55 : 35;
      all({ seconds: 40, reportsEveryS, stalls: [{ stream, atS: 15, forS }] }, (played) => {
        expect(Math.abs(worstMs(played[stream]!, 15 + forS + inStep, 40))).toBeLessThan(limit);
        expect(lost(played[stream]!, 15 + forS + 3)).toBe(0);
        expect(draggedMs(played[other[stream]]!, 13)).toBeLessThan(15);
      });
    });

    test.each([0.1, 0.2, 0.35, 1, 1.5, 2, 3, 9, 3600, -0.35, -1, -1.5, -2, -3, -9, -3600])(
      'timestamps step by %d s',
      (byS) => {
        const limit = reportsEveryS === 1e6 && Math.abs(byS) < 0.3 ? 85 : 40;
        all({ seconds: 40, reportsEveryS, steps: [{ stream, atS: 15, byS }] }, (played) => {
          expect(Math.abs(worstMs(played[stream]!, 15 + inStep, 40))).toBeLessThan(limit);
          expect(lost(played[stream]!, 18)).toBe(0);
          expect(draggedMs(played[other[stream]]!, 13)).toBeLessThan(15);
        });
      },
    );

    test.each([1, 3, 5, 9, 100, -1, -3, -5, -9, -100])('one frame is stamped %d s ahead', (byS) => {
      all({ seconds: 40, reportsEveryS, strays: [{ stream, atS: 15, byS }] }, (played) => {
        for (const name of ['sound', 'picture']) {
          const others = played[name]!.filter(({ isStray }) => !isStray);
          expect(Math.abs(worstMs(others, 12, 40))).toBeLessThan(35);
          expect(lost(others, 0)).toBe(0);
        }
      });
    });
  });

  test('many small stalls do not add up', () => {
    const stalls = Array.from({ length: 12 }, (_, n) => ({ stream: 'sound', atS: 12 + 2.7 * n, forS: 0.09 }));
    all({ seconds: 60, reportsEveryS, stalls }, (played) => {
      expect(Math.abs(worstMs(played['sound']!, 12, 60))).toBeLessThan(reportsEveryS === 4.9 ? 230 : 140);
      expect(Math.abs(worstMs(played['sound']!, 50, 60))).toBeLessThan(40);
      expect(draggedMs(played['picture']!, 12)).toBeLessThan(15);
    });
  });

  test('both stall at once', () => {
    const stalls = ['sound', 'picture'].map((stream) => ({ stream, atS: 15, forS: 1.5 }));
    all({ seconds: 40, reportsEveryS, stalls }, (played) => {
      for (const name of ['sound', 'picture']) {
        expect(Math.abs(worstMs(played[name]!, 16.5 + inStep, 40))).toBeLessThan(35);
        expect(lost(played[name]!, 19.5)).toBe(0);
      }
    });
  });

  test('packets that the network holds up keep their places', () => {
    all({ seconds: 40, reportsEveryS, heldUp: { atS: 15, forS: 0.8 } }, (played) => {
      for (const name of ['sound', 'picture']) {
        expect(Math.abs(worstMs(played[name]!, 12, 40))).toBeLessThan(35);
        expect(lost(played[name]!, 12)).toBe(0);
      }
    });
  });
});

test('a network that is slower from now on moves nothing where reports tell', () => {
  all({ seconds: 25, slower: { atS: 15, byS: 0.2 } }, (played) => {
    for (const name of ['sound', 'picture']) expect(Math.abs(worstMs(played[name]!, 12, 24))).toBeLessThan(35);
  });
});

test.each(['sound', 'picture'])('a first report of nonsense of %s is not believed, and not shown', (stream) => {
  all({ seconds: 20, nonsense: [{ stream, report: 0, byS: -3947.9 }] }, (played) => {
    for (const name of ['sound', 'picture']) expect(Math.abs(worstMs(played[name]!, 12, 20))).toBeLessThan(35);
  });
  const participant = new ParticipantClock();
  const [sound, picture] = [participant.addStream(S), participant.addStream(S)];
  for (let us = 0; us < 3 * S; us += 20_000) {
    for (const clock of [sound, picture]) clock.onPacket(us, us);
    if (us === S) sound.onSenderReport(NTP + us - 3947 * S, us, us);
    if (us > S && us % (S / 2) === 0) picture.onSenderReport(NTP + us, us, us);
  }
  expect(sound.reading()).toMatchObject({ hasReports: false, wallOffsetUs: undefined });
  expect(picture.reading()).toMatchObject({ hasReports: true, wallOffsetUs: -NTP });
});

test('one report of nonsense amid others moves nothing', () => {
  for (const byS of [-3600, 0.3, 7])
    all({ seconds: 30, nonsense: [{ stream: 'sound', report: 15, byS }] }, (played) => {
      for (const name of ['sound', 'picture']) expect(draggedMs(played[name]!, 12)).toBeLessThan(15);
    });
});

test('a wall clock that stands still is none: streams go by arrival', () => {
  const played = play({ seconds: 20, streams: [{ delayUs: 30_000 }, { delayUs: 170_000 }], stopped: true });
  // As it came, as of senders without reports, and not where the same moment in both reports would put it.
  expect(Math.abs(worstMs(played['sound']!, 6, 20))).toBeLessThan(15);
  expect(Math.abs(worstMs(played['picture']!, 6, 20) - 140)).toBeLessThan(15);
  const participant = new ParticipantClock();
  const streamsThere = [participant.addStream(S, 'sound'), participant.addStream(S, 'picture')];
  for (let us = 0; us < 3 * S; us += 20_000)
    for (const clock of streamsThere) {
      clock.onPacket(us, us);
      if (us % (S / 2) === 0) clock.onSenderReport(NTP, us, us);
    }
  for (const clock of streamsThere)
    expect(clock.reading()).toMatchObject({ hasReports: false, wallOffsetUs: undefined });
});
