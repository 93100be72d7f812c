/**
 * Sound and picture of one person keep their true relation on our clock, whatever the network, the clocks and the order
 * of reports do; and time never runs backwards or jumps where it need not.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { participantClockStateSchema } from '../../contract/line/reception-state.ts';
import { Fault } from '../../kernel/fault.ts';
import { ParticipantClock, type StreamClock } from './sender-clock.ts';

const NTP = 3_900_000_000_000_000;
const S = 1_000_000;

/** Repeatable noise in 0..1. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Sent = {
  rate: number;
  periodUs: number;
  /** Timestamp of the true time 0. */
  rtpZero?: number;
  delayUs: number;
  jitterUs?: number;
  /** When the sender reports; every 5 s from 1 s on when absent. */
  reportsFromUs?: number;
  ntpZero?: number;
  /** How much faster than true time the sender's media and wall clocks run. */
  skewPpm?: number;
  /** The receiver stands still: what is sent in its first `keptUs` waits for it, and what comes later is sent again. */
  still?: { fromUs: number; toUs: number; keptUs: number };
};
type Step = { captureUs: number; localUs: number };

/**
 * Sends streams of one person for `untilUs` of true time, which is also our clock, and asks for each packet's moment as
 * soon as all before it are in, as a recorder does (`delayAskUs` later when given). Returns, per stream, true capture
 * times and moments.
 */
function play(streams: Sent[], untilUs: number, delayAskUs = 0): Step[][] {
  const participant = new ParticipantClock();
  const events: { atUs: number; run: () => void }[] = [];
  const results = streams.map((sent, index): Step[] => {
    const clock = participant.addStream(sent.rate);
    const steps: Step[] = [];
    const random = noise(index + 1);
    const speed = 1 + (sent.skewPpm ?? 0) / 1e6;
    const rtpAt = (us: number) => Math.round((sent.rtpZero ?? 1000) + (us * speed * sent.rate) / S);
    const { still } = sent;
    /** When what would come in at `us` does; `askedForUs` is how long it takes to be sent again. */
    const arrivalOf = (us: number, askedForUs = 0) => {
      if (!still || us < still.fromUs || us >= still.toUs) return us;
      const isKept = us - still.fromUs < still.keptUs;
      return still.toUs + (us - still.fromUs) / 1000 + (isKept ? 0 : askedForUs);
    };
    let askUs = 0;
    for (let us = 0; us < untilUs; us += sent.periodUs) {
      const arrivalUs = arrivalOf(us + sent.delayUs + Math.floor(random() * (sent.jitterUs ?? 0)), 150_000);
      events.push({ atUs: arrivalUs, run: () => clock.onPacket(rtpAt(us), arrivalUs) });
      // In order of capture, as behind a jitter buffer.
      askUs = Math.max(askUs, us + sent.delayUs + (sent.jitterUs ?? 0) + delayAskUs, arrivalUs + delayAskUs);
      events.push({
        atUs: askUs,
        run: () => steps.push({ captureUs: us, localUs: clock.toLocalUs(rtpAt(us)) }),
      });
    }
    for (let us = sent.reportsFromUs ?? S; us < untilUs; us += 5 * S) {
      const ntp = (sent.ntpZero ?? NTP) + us * speed;
      const arrivalUs = arrivalOf(us + sent.delayUs);
      events.push({ atUs: arrivalUs, run: () => clock.onSenderReport(ntp, rtpAt(us), arrivalUs) });
    }
    return steps;
  });
  events.sort((a, b) => a.atUs - b.atUs);
  for (const event of events) event.run();
  for (const steps of results) expectMonotone(steps);
  return results;
}

function expectMonotone(steps: Step[]): void {
  for (let n = 1; n < steps.length; n++) expect(steps[n]!.localUs).toBeGreaterThanOrEqual(steps[n - 1]!.localUs);
}

/** How far each moment is behind its capture, over the steps from `fromUs` on: least and most. */
function lag(steps: Step[], fromUs: number): { least: number; most: number } {
  const lags = steps.filter((s) => s.captureUs >= fromUs).map((s) => s.localUs - s.captureUs);
  return { least: Math.min(...lags), most: Math.max(...lags) };
}

const AUDIO: Sent = { rate: 48000, periodUs: 20_000, rtpZero: 123_456, delayUs: 30_000 };
const VIDEO: Sent = { rate: 90000, periodUs: 33_333, rtpZero: 77, delayUs: 30_000 };
const never = { reportsFromUs: Number.POSITIVE_INFINITY };

test('with delays of their own, sound and picture are brought to the delay of the faster', () => {
  const [audio, video] = play([AUDIO, { ...VIDEO, delayUs: 230_000 }], 30 * S);
  expect(lag(audio!, 0)).toEqual({ least: 30_000, most: 30_000 });
  const settled = lag(video!, 10 * S);
  expect(settled.least).toBeGreaterThan(29_900);
  expect(settled.most).toBeLessThan(30_100);
});

test('delay jitter moves nothing', () => {
  const [audio, video] = play(
    [
      { ...AUDIO, jitterUs: 80_000 },
      { ...VIDEO, delayUs: 90_000, jitterUs: 150_000 },
    ],
    120 * S,
  );
  for (const steps of [audio!, video!]) {
    const settled = lag(steps, 20 * S);
    expect(settled.least).toBeGreaterThan(29_000);
    expect(settled.most).toBeLessThan(33_000);
  }
});

test('before use, the first report steps; nothing is slewed', () => {
  const [audio, video] = play(
    [
      { ...AUDIO, reportsFromUs: 500_000 },
      { ...VIDEO, delayUs: 230_000, reportsFromUs: 500_000 },
    ],
    10 * S,
    S,
  );
  expect(lag(audio!, 0)).toEqual({ least: 30_000, most: 30_000 });
  expect(lag(video!, 0).most).toBeLessThan(30_010);
});

test('a first report that comes late is slewed at 5 % at most, and done within seconds', () => {
  const [, video] = play([AUDIO, { ...VIDEO, delayUs: 230_000, reportsFromUs: 20 * S }], 40 * S);
  expect(
    lag(
      video!.filter((s) => s.captureUs < 19 * S),
      0,
    ).least,
  ).toBeGreaterThan(229_980);
  for (let n = 1; n < video!.length; n++) {
    // A tick of 90 kHz is 11 us, so the timestamps are that far off the capture times.
    const passed = video![n]!.captureUs - video![n - 1]!.captureUs;
    expect(Math.abs(video![n]!.localUs - video![n - 1]!.localUs - passed)).toBeLessThanOrEqual(passed * 0.05 + 13);
  }
  expect(lag(video!, 25 * S).most).toBeLessThan(30_100);
});

test.each([500, -500])('a sender whose clocks are off by %i ppm is followed, in sync, over ten minutes', (skewPpm) => {
  const [audio, video] = play(
    [
      { ...AUDIO, skewPpm, jitterUs: 20_000 },
      { ...VIDEO, skewPpm, delayUs: 130_000, jitterUs: 20_000 },
    ],
    600 * S,
  );
  for (const steps of [audio!, video!]) {
    const settled = lag(steps, 20 * S);
    expect(settled.least).toBeGreaterThan(15_000);
    expect(settled.most).toBeLessThan(45_000);
  }
  const a = lag(audio!, 590 * S);
  const v = lag(video!, 590 * S);
  expect(Math.abs(a.least - v.least)).toBeLessThan(5000);
});

test.each([
  ['uptime', 12_345_678],
  ['a clock in 1970', 2_208_988_800_000_000],
])('it does not matter what the sender takes for the time: %s', (_, ntpZero) => {
  const [audio, video] = play(
    [
      { ...AUDIO, ntpZero },
      { ...VIDEO, delayUs: 230_000, ntpZero },
    ],
    20 * S,
  );
  expect(lag(audio!, 0).most).toBe(30_000);
  expect(lag(video!, 10 * S).most).toBeLessThan(30_100);
});

test('streams whose reports do not speak of one clock go by arrival', () => {
  const [audio, video] = play([AUDIO, { ...VIDEO, delayUs: 230_000, ntpZero: NTP + 3600 * S }], 20 * S);
  expect(lag(audio!, 0)).toEqual({ least: 30_000, most: 30_000 });
  expect(lag(video!, 0).least).toBeGreaterThan(229_000);
  expect(lag(video!, 0).most).toBeLessThan(231_000);
});

test('a sender without reports goes by arrival; so does one that reports no time at all', () => {
  for (const without of [never, { ntpZero: 0, reportsFromUs: 0, skewPpm: -1e6 }]) {
    const clock = new ParticipantClock().addStream(48000);
    if (without !== never) clock.onSenderReport(0, 48_000_000, 0);
    for (let n = 0; n < 100; n++) clock.onPacket(n * 960, n * 20_000 + 5000 + (n % 7) * 1000);
    expect(clock.toLocalUs(0)).toBe(5000);
    expect(clock.toLocalUs(960 * 50)).toBe(50 * 20_000 + 5000);
  }
  const [audio, video] = play(
    [
      { ...AUDIO, ...never },
      { ...VIDEO, ...never, delayUs: 50_000 },
    ],
    10 * S,
  );
  expect(lag(audio!, 0)).toEqual({ least: 30_000, most: 30_000 });
  expect(lag(video!, 0).least).toBeGreaterThan(49_900);
});

test('timestamps past the wrap go on like any others', () => {
  const [audio] = play([{ ...AUDIO, rtpZero: 2 ** 32 - 48_000 }], 10 * S);
  expect(lag(audio!, 0)).toEqual({ least: 30_000, most: 30_000 });
});

/** Feeds packets every 20 ms, asking for each at once; returns the moments' lags behind arrival. */
function feed(clock: StreamClock, fromUs: number, count: number, rtpAt: (us: number) => number): number[] {
  return Array.from({ length: count }, (_, n) => {
    const us = fromUs + n * 20_000;
    clock.onPacket(rtpAt(us), us);
    return us - clock.toLocalUs(rtpAt(us));
  });
}

test('timestamps that stood still for a while are followed when the delay of the past is out of the window', () => {
  const clock = new ParticipantClock().addStream(48000);
  feed(clock, 0, 100, (us) => (us * 48) / 1000);
  const lags = feed(clock, 7 * S, 1000, (us) => ((us - 5 * S) * 48) / 1000);
  expect(lags[0]).toBe(5 * S);
  expect(lags.at(-1)).toBe(0);
});

test.each([3, 8, 12, 40])('a receiver that stands still for %d s moves nothing', (seconds) => {
  for (const keptUs of [S, 5 * S, 60 * S]) {
    const still = { fromUs: 20.3 * S, toUs: (20.3 + seconds) * S, keptUs };
    const results = play(
      [
        { rate: 48_000, periodUs: 20_000, delayUs: 20_000, jitterUs: 8_000, still },
        { rate: 90_000, periodUs: 66_667, delayUs: 30_000, jitterUs: 12_000, still, reportsFromUs: 1.4 * S },
      ],
      (40 + seconds) * S,
      500_000,
    );
    for (const steps of results)
      expect(lag(steps, 10 * S), `${keptUs / S} s kept`).toEqual({
        least: expect.closeTo(20_000, -4),
        most: expect.closeTo(20_000, -4),
      });
  }
});

test('what a receiver that stood still takes of a sender that has gone meanwhile keeps its place', () => {
  const [stillUs, goneUs, wakesUs] = [5.45 * S, 9.2 * S, 17.36 * S];
  const participant = new ParticipantClock();
  const streams = [
    { clock: participant.addStream(48_000), rate: 48_000, periodUs: 20_000, reportsFromUs: 0.4 * S },
    { clock: participant.addStream(90_000), rate: 90_000, periodUs: 66_667, reportsFromUs: 0.9 * S },
  ];
  // All that waits is read in 0.3 s.
  const arrivalOf = (us: number) => (us < stillUs ? us : wakesUs + (us - stillUs) * 0.08);
  const events = streams.flatMap(({ clock, rate, periodUs, reportsFromUs }) => {
    const rtpAt = (us: number) => Math.round((us * rate) / S);
    const packets = Array.from({ length: Math.floor(goneUs / periodUs) }, (_, n) => n * periodUs);
    const reports = Array.from({ length: Math.ceil((goneUs - reportsFromUs) / S) }, (_, n) => reportsFromUs + n * S);
    return [
      ...packets.map((us) => ({ us, run: () => clock.onPacket(rtpAt(us), arrivalOf(us)) })),
      ...reports.map((us) => ({ us, run: () => clock.onSenderReport(NTP + us, rtpAt(us), arrivalOf(us)) })),
    ];
  });
  for (const { run } of events.sort((a, b) => a.us - b.us)) run();
  for (const { clock, rate } of streams)
    for (const us of [6 * S, 9 * S]) {
      const rtp = Math.round((us * rate) / S);
      for (const localUs of [clock.peekLocalUs(rtp), clock.toLocalUs(rtp)]) expect(localUs).toBeCloseTo(us, -3);
    }
});

test('a wall clock that is set does not move the picture from the sound', () => {
  const participant = new ParticipantClock();
  const audio = participant.addStream(48000);
  const video = participant.addStream(90000);
  const step = (us: number) => (us > 20 * S ? 3 * S : 0);
  let worst = 0;
  for (let us = 0; us < 60 * S; us += 20_000) {
    const rtp = { audio: (us * 48) / 1000, video: (us * 90) / 1000 };
    audio.onPacket(rtp.audio, us + 30_000);
    video.onPacket(rtp.video, us + 130_000);
    if (us % (5 * S) === S) audio.onSenderReport(NTP + us + step(us), rtp.audio, us + 30_000);
    if (us % (5 * S) === 4 * S) video.onSenderReport(NTP + us + step(us), rtp.video, us + 130_000);
    const apart = video.toLocalUs(rtp.video) - audio.toLocalUs(rtp.audio);
    if (us > 15 * S) worst = Math.max(worst, Math.abs(apart));
  }
  expect(worst).toBeLessThan(40_000);
});

test('looking ahead is no use: what is only peeked at may still be stepped', () => {
  const participant = new ParticipantClock();
  const audio = participant.addStream(48000);
  const video = participant.addStream(90000);
  video.onPacket(0, 230_000);
  expect(video.peekLocalUs(0)).toBe(230_000);
  audio.onPacket(0, 30_000);
  audio.onSenderReport(NTP, 0, 30_000);
  video.onSenderReport(NTP, 0, 230_000);
  expect(video.peekLocalUs(0)).toBe(30_000);
  expect(video.toLocalUs(0)).toBe(30_000);
});

test('tells how fast the sender counts, and how far apart its streams arrive and are placed', () => {
  const participant = new ParticipantClock();
  const streams = [participant.addStream(48000), participant.addStream(90000)];
  const [audio, video] = streams;
  expect(audio!.reading()).toEqual({
    ...{ hasReports: false, wallOffsetUs: undefined, placedOffsetUs: undefined, skewPpm: undefined, observedUs: 0 },
  });
  // 300 ppm fast; pictures take 130 ms longer than sound.
  const speed = 1 + 300 / 1e6;
  for (let us = 0; us < 60 * S; us += 20_000) {
    for (const [index, rate, delayUs] of [
      [0, 48000, 20_000],
      [1, 90000, 150_000],
    ] as const) {
      const rtp = Math.round((us * speed * rate) / S);
      streams[index]!.onPacket(rtp, us + delayUs);
      if (us % S === 0) streams[index]!.onSenderReport(NTP + us * speed, rtp, us + delayUs);
      streams[index]!.toLocalUs(rtp);
    }
  }
  for (const clock of streams) expect(Math.abs(clock.reading().skewPpm! - 300)).toBeLessThan(5);
  const [sound, picture] = [audio!.reading(), video!.reading()];
  expect(sound.hasReports).toBe(true);
  expect(picture.wallOffsetUs! - sound.wallOffsetUs!).toBeCloseTo(130_000, -3);
  expect(Math.abs(picture.placedOffsetUs! - sound.placedOffsetUs!)).toBeLessThan(5_000);
});

test('a clock without packets has no time', () => {
  expect(() => new ParticipantClock().addStream(48000).toLocalUs(0)).toThrow(Fault);
});

type Event = { advance: number; media: number; report: number | null; stream: number };
const event: fc.Arbitrary<Event> = fc.record({
  advance: fc.integer({ min: 0, max: 3_000_000 }),
  media: fc.integer({ min: -200_000, max: 3_000_000 }),
  report: fc.option(fc.integer({ min: -2_000_000, max: 2_000_000 })),
  stream: fc.nat(1),
});

test('a clock that goes on from a saved state places all that comes later as the saved one does', () => {
  const events = fc.array(event, { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(events, events, fc.nat(10), (before, after, again) => {
      let nowUs = 0;
      const media = [0, 0];
      const timed = [...before, ...after].map(({ advance, media: step, report, stream }) => {
        nowUs += advance + 1;
        media[stream]! += step;
        return { atUs: nowUs, mediaUs: media[stream]!, report, stream };
      });
      const run = ({ atUs, mediaUs, report, stream }: (typeof timed)[number], clocks: StreamClock[]) => {
        clocks[stream]!.onPacket(mediaUs, atUs);
        if (report !== null) clocks[stream]!.onSenderReport(NTP + atUs + report, mediaUs, atUs);
      };
      const first = new ParticipantClock();
      const streams = [first.addStream(S, 'sound'), first.addStream(S, 'picture')];
      for (const now of timed.slice(0, before.length)) {
        run(now, streams);
        streams[now.stream]!.toLocalUs(now.mediaUs);
      }
      const kept = participantClockStateSchema.parse(JSON.parse(JSON.stringify(first.save())));
      const second = new ParticipantClock(kept);
      const others = [second.addStream(S, 'sound'), second.addStream(S, 'picture')];
      // The feed begins again with some packets that the first one had.
      for (const now of timed.slice(Math.max(0, before.length - again), before.length)) run(now, others);
      for (const now of timed.slice(before.length)) {
        for (const clocks of [streams, others]) run(now, clocks);
        expect(others[now.stream]!.peekLocalUs(now.mediaUs)).toBe(streams[now.stream]!.peekLocalUs(now.mediaUs));
        expect(others[now.stream]!.toLocalUs(now.mediaUs)).toBe(streams[now.stream]!.toLocalUs(now.mediaUs));
        expect(others[now.stream]!.reading()).toEqual(streams[now.stream]!.reading());
      }
    }),
  );
});

test('whatever comes in, growing timestamps give growing moments', () => {
  fc.assert(
    fc.property(
      fc.array(
        event.filter(({ media }) => media >= 0),
        { minLength: 1, maxLength: 60 },
      ),
      (events) => {
        const participant = new ParticipantClock();
        const streams = [participant.addStream(S), participant.addStream(S)];
        const media = [0, 0];
        const last = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
        let nowUs = 0;
        for (const { advance, media: step, report, stream: n } of events) {
          nowUs += advance;
          media[n]! += step;
          const clock = streams[n]!;
          clock.onPacket(media[n]!, nowUs);
          if (report !== null) clock.onSenderReport(NTP + nowUs + report, media[n]!, nowUs);
          const local = clock.toLocalUs(media[n]!);
          expect(local).toBeGreaterThanOrEqual(last[n]!);
          last[n] = local;
        }
      },
    ),
  );
});
