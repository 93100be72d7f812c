/**
 * Timestamps keep their unwrapped times across a change of recorders, also where the feed begins again before a break.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { receptionStateSchema } from '../../contract/line/reception-state.ts';
import type { Packet } from '../../media/packet.ts';
import type { TrackFormat } from '../../media/track.ts';
import { RtpTimeline } from './rtp-timeline.ts';
import { ParticipantClock } from './sender-clock.ts';
import { TrackReception } from './track-reception.ts';

const PCMU: TrackFormat = { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' };

const VP8: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90_000, fmtp: '' };

/** What becomes of the sender's timestamps before a packet. */
const change = fc.oneof(
  { weight: 20, arbitrary: fc.constant('none' as const) },
  fc.constantFrom('new source' as const, 'back' as const, 'far ahead' as const),
);

test('a reception that goes on from a saved state unwraps all timestamps as the saved one does', () => {
  const start = fc.nat(2 ** 32 - 1);
  fc.assert(
    fc.property(
      start,
      fc.array(change, { minLength: 2, maxLength: 120 }),
      fc.nat(),
      fc.nat(),
      (zero, changes, at, back) => {
        let timestamp = zero;
        let ssrc = 1;
        let lastBreak = 0;
        let breaks = 0;
        const packets = changes.map((what, n): Packet => {
          // What the first packets after a break mean is only known with them, and only the latest breaks are
          // remembered.
          const isAllowed = n - lastBreak > 2 && breaks < 3;
          if (what !== 'none' && isAllowed) [lastBreak, breaks] = [n, breaks + 1];
          timestamp += 160;
          if (isAllowed && what === 'new source') [ssrc, timestamp] = [ssrc + 1, timestamp + 1_234_567_890];
          if (isAllowed && what === 'back') timestamp -= 30 * 8000;
          if (isAllowed && what === 'far ahead') timestamp += 2 ** 30;
          timestamp = ((timestamp % 2 ** 32) + 2 ** 32) % 2 ** 32;
          const payload = Buffer.of(1);
          return { payloadType: 0, sequence: n, timestamp, ssrc, marker: false, payload, arrivalUs: n * 20_000 };
        });
        const first = new TrackReception({ format: PCMU, maxDelayUs: 0 });
        const saveAt = 1 + (at % (packets.length - 1));
        const unwrapped = packets.slice(0, saveAt).map((packet) => first.onRtp(packet));
        const state = receptionStateSchema.parse(JSON.parse(JSON.stringify(first.save())));
        unwrapped.push(...packets.slice(saveAt).map((packet) => first.onRtp(packet)));
        const second = new TrackReception({ format: PCMU, maxDelayUs: 0, state });
        const from = back % saveAt;
        expect(packets.slice(from).map((packet) => second.onRtp(packet))).toEqual(unwrapped.slice(from));
        const last = packets.at(-1)!;
        const report = (last.timestamp + 80) % 2 ** 32;
        expect(second.rtpTimeOf(report, last.arrivalUs)).toBe(first.rtpTimeOf(report, last.arrivalUs));
        expect(second.save()).toEqual(first.save());
      },
    ),
  );
});

test('a sender report before the first packet is no worse off', () => {
  const first = new TrackReception({ format: PCMU, maxDelayUs: 0 });
  expect(first.rtpTimeOf(2 ** 32 - 80, 0)).toBe(2 ** 32 - 80);
  const second = new TrackReception({ format: PCMU, maxDelayUs: 0, state: first.save() });
  const packet = { payloadType: 0, sequence: 7, ssrc: 1, marker: false, payload: Buffer.of(1), arrivalUs: 20_000 };
  expect(second.onRtp({ ...packet, timestamp: 80 })).toBe(2 ** 32 + 80);
});

test.each([3, 8, 12, 40])('timestamps go on as they were after a receiver has stood still for %d s', (seconds) => {
  for (const keptS of [1, 5, 60]) {
    const stillUs = { from: 10_000_000, to: (10 + seconds) * 1_000_000 };
    const reception = new TrackReception({ format: PCMU, maxDelayUs: 0 });
    const arriving: { n: number; arrivalUs: number }[] = [];
    for (let n = 0; n < (20 + seconds) * 50; n++) {
      const sentUs = n * 20_000;
      const waits = sentUs >= stillUs.from && sentUs < stillUs.to;
      // What the system had no room for is asked for, and sent again.
      const againUs = sentUs - stillUs.from < keptS * 1_000_000 ? 0 : 150_000;
      arriving.push({ n, arrivalUs: waits ? stillUs.to + (sentUs - stillUs.from) / 1000 + againUs : sentUs });
    }
    arriving.sort((a, b) => a.arrivalUs - b.arrivalUs);
    const zero = 2 ** 32 - 80_000;
    for (const { n, arrivalUs } of arriving) {
      const [timestamp, payload] = [(zero + n * 160) % 2 ** 32, Buffer.of(1)];
      const packet = { payloadType: 0, sequence: n, timestamp, ssrc: 1, marker: false, payload, arrivalUs };
      expect(reception.onRtp(packet), `packet ${n}, ${keptS} s kept`).toBe(zero + n * 160);
    }
  }
});

test.each([
  ['video', 90_000, 33_333],
  ['audio', 48_000, 20_000],
  ['audio', 8000, 20_000],
] as const)('a silence of %s at %d Hz, however long, lasts as long on the line', (kind, rate, stepUs) => {
  const zero = 4_000_000_000;
  for (let hours = 1; hours < 60; hours++) {
    const timeline = new RtpTimeline(rate, kind);
    const ticksAt = (us: number) => Math.round((us * rate) / 1e6);
    const placeOf = (us: number) => timeline.unwrap((zero + ticksAt(us)) % 2 ** 32, us + 40_000, true);
    const first = placeOf(0);
    for (let n = 1; n < 100; n++) placeOf(n * stepUs);
    const silentToUs = hours * 3_600_000_000;
    // The report that comes with the first packet tells the moment before it.
    const reportUs = silentToUs - 10_000;
    const report = timeline.rtpTimeOf((zero + ticksAt(reportUs)) % 2 ** 32, silentToUs + 30_000);
    expect([hours, report - first]).toEqual([hours, ticksAt(reportUs)]);
    for (let n = 0; n < 3; n++) {
      const atUs = silentToUs + n * stepUs;
      expect([hours, placeOf(atUs) - first]).toEqual([hours, ticksAt(atUs)]);
    }
    const restored = new RtpTimeline(rate, kind, JSON.parse(JSON.stringify(timeline.save())));
    const againUs = silentToUs + 2 * stepUs;
    expect(restored.unwrap((zero + ticksAt(againUs)) % 2 ** 32, againUs + 40_000, true) - first).toBe(ticksAt(againUs));
  }
});

test.each([
  ['sound', PCMU, 20_000],
  ['a picture', VP8, 66_667],
] as const)('what a receiver lost in a hurry is no jump of the timestamps of %s', (_what, format, stepUs) => {
  const S = 1_000_000;
  const reception = new TrackReception({ format, maxDelayUs: 2 * S });
  const packetAt = (n: number, arrivalUs: number): Packet => {
    const timestamp = Math.round((n * stepUs * format.clockRate) / S);
    return {
      payloadType: format.payloadType,
      sequence: n,
      timestamp,
      ssrc: 1,
      marker: true,
      payload: Buffer.of(1),
      arrivalUs,
    };
  };
  // For six seconds it is two seconds behind; then it reads all that waits, but for 0.6 s that found no room and are
  // sent again.
  const count = Math.floor((14 * S) / stepUs);
  const [lateUs, lostUs, hereUs, againUs] = [3 * S, 8.4 * S, 9 * S, 10.6 * S];
  const arrivalOf = (us: number) => {
    if (us < lateUs) return us;
    if (us < lostUs) return us + 2 * S;
    return us < hereUs ? againUs : Math.max(us, lostUs + 2 * S + (us - hereUs) / 100);
  };
  const sent = Array.from({ length: count }, (_, n) => ({ n, arrivalUs: arrivalOf(n * stepUs) }));
  sent.sort((a, b) => a.arrivalUs - b.arrivalUs);
  for (const { n, arrivalUs } of sent) {
    const rtpTime = reception.onRtp(packetAt(n, arrivalUs));
    expect([n, rtpTime]).toEqual([n, Math.round((n * stepUs * format.clockRate) / S)]);
  }
  expect(reception.counters().restarts).toBe(0);
});

test('a sender whose count stood still for hours goes on where the packets come in', () => {
  for (let hours = 1; hours < 30; hours++) {
    const timeline = new RtpTimeline(90_000, 'video');
    const place = (count: number, arrivalUs: number) =>
      timeline.unwrap((4e9 + count * 3000) % 2 ** 32, arrivalUs, true);
    for (let n = 0; n < 100; n++) place(n, n * 33_333);
    const last = place(100, 100 * 33_333);
    const again = place(101, 100 * 33_333 + hours * 3_600_000_000);
    // What comes so late within some hours may have been on its way, for all that timestamps tell.
    const wanted = hours < 4 ? 3000 : hours * 3600 * 90_000;
    expect([hours, Math.round((again - last - wanted) / 6000)]).toEqual([hours, 0]);
  }
});

test.each([-90, 0, 90])('sound and picture are in step after hours of silence, at %d parts per million', (skewPpm) => {
  for (const hours of [1, 7, 14, 25, 30]) {
    const participant = new ParticipantClock();
    const speed = 1 + skewPpm / 1e6;
    const silentToUs = hours * 3_600_000_000;
    const streams = [
      { rate: 48_000, kind: 'audio' as const, stepUs: 20_000, delayUs: 30_000 },
      { rate: 90_000, kind: 'video' as const, stepUs: 33_333, delayUs: 90_000 },
    ].map(({ rate, kind, ...sent }) => {
      const timeline = new RtpTimeline(rate, kind);
      const ticksAt = (us: number) => (4_100_000_000 + Math.round((us * speed * rate) / 1e6)) % 2 ** 32;
      return { ...sent, kind, timeline, ticksAt, clock: participant.addStream(rate) };
    });
    const offsets = { audio: [] as number[], video: [] as number[] };
    for (const fromUs of [0, silentToUs])
      for (let us = fromUs; us < fromUs + 25e6; us += 1000)
        for (const { kind, stepUs, delayUs, timeline, ticksAt, clock } of streams) {
          if (us % 1_000_000 === 400_000) {
            const report = timeline.rtpTimeOf(ticksAt(us), us + delayUs);
            clock.onSenderReport(3.9e15 + us * speed, report, us + delayUs);
          }
          if ((us - fromUs) % stepUs >= 1000) continue;
          const rtpTime = timeline.unwrap(ticksAt(us), us + delayUs, true);
          clock.onPacket(rtpTime, us + delayUs);
          const placedUs = clock.toLocalUs(rtpTime);
          if (us > silentToUs + 15e6) offsets[kind].push(placedUs - us);
        }
    const mean = (of: number[]) => of.reduce((sum, us) => sum + us, 0) / of.length;
    const apartMs = Math.abs(mean(offsets.audio) - mean(offsets.video)) / 1000;
    expect([hours, apartMs < 15, apartMs]).toEqual([hours, true, apartMs]);
    expect(Math.abs(mean(offsets.audio)) / 1000).toBeLessThan(150);
  }
});

test('another source that was sent on while the first sent padding goes on where its last picture was', () => {
  const line = new RtpTimeline(90_000, 'video');
  const step = 6000;
  const arrivalUs = (n: number) => Math.round((n * step * 1e6) / 90_000);
  for (let n = 0; n < 30; n++) line.unwrap(n * step, arrivalUs(n), true);
  for (let n = 30; n < 45; n++) line.unwrap(29 * step, arrivalUs(n), true);
  expect(line.unwrapNewSource(3_000_000_000, arrivalUs(30))).toBe(30 * step);
});
