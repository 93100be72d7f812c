/**
 * Timestamps keep their unwrapped times across a change of recorders, also where the feed begins again before a break.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { receptionStateSchema } from '../../contract/line/reception-state.ts';
import type { Packet } from '../../media/packet.ts';
import type { TrackFormat } from '../../media/track.ts';
import { TrackReception } from './track-reception.ts';

const PCMU: TrackFormat = { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' };

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
