import { describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import type { Packet } from '../../media/packet.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { EncodingFeedback } from '../whip/encoding-feedback.ts';
import { Encoding } from './encoding.ts';
import { DEAD_US, EncodingChoice, RETURN_US, type VideoStreamType } from './encoding-choice.ts';

const FORMAT = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' } as const;
const FRAME_MS = 40;
const SIZES = { h: [1280, 720], m: [640, 360], l: [320, 180] } as const;
const MEMORY = memoryForTests();
type Rid = keyof typeof SIZES;

/** A frame of one packet; of a key frame with its size (RFC 6386 §9.1). */
function vp8(key: boolean, [width, height]: readonly [number, number]): Buffer {
  const frame = Buffer.from([0x10, key ? 0x00 : 0x01, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0]);
  frame.writeUInt16LE(width, 7);
  frame.writeUInt16LE(height, 9);
  return frame;
}

/** A sender of three layers that answers requests for key frames after `keyFrameMs`, and one recorder's choice. */
class Scene {
  nowMs = 10_000;
  readonly layers: Record<Rid, Encoding>;
  /** What the recorder was given, by layer: each packet once, in order. */
  readonly given: { rid: Rid; packet: Packet }[] = [];
  readonly changes: { rid: Rid; atMs: number }[] = [];
  readonly asked: { rid: Rid; atMs: number }[] = [];
  readonly sending = new Set<Rid>();
  keyFrameMs = 80;
  choice: EncodingChoice;
  readonly #feedback: Partial<Record<Rid, EncodingFeedback>> = {};
  readonly #due = new Map<Rid, number>();
  readonly #sequences: Record<Rid, number> = { h: 100, m: 200, l: 300 };

  constructor(type: VideoStreamType, order: Rid[] = ['h', 'm', 'l']) {
    const streamOf = (rid: Rid) => {
      const encoding: Encoding = new Encoding({
        ...{ format: FORMAT, rid, memory: MEMORY, isLayer: true },
        onKeyFrameWanted: () => feedback.wantKeyFrame(),
      });
      const feedback = new EncodingFeedback(encoding, 1);
      this.#feedback[rid] = feedback;
      return encoding;
    };
    this.layers = { h: streamOf('h'), m: streamOf('m'), l: streamOf('l') };
    this.choice = new EncodingChoice(
      order.map((rid) => this.layers[rid]),
      type,
      this.nowMs * 1000,
    );
    const reader = { onPacket() {}, onRtcp() {}, needs: (encoding: Encoding) => this.choice.needs(encoding) };
    for (const layer of Object.values(this.layers)) layer.readers.add(reader);
  }

  start(...rids: Rid[]): void {
    for (const rid of rids) {
      this.sending.add(rid);
      this.#due.set(rid, this.nowMs);
    }
  }

  send(rid: Rid, key: boolean): void {
    const datagram = encodePacket({
      payloadType: 96,
      sequence: this.#sequences[rid]++,
      timestamp: this.nowMs * 90,
      ssrc: { h: 1, m: 2, l: 3 }[rid],
      marker: true,
      payload: vp8(key, SIZES[rid]),
    });
    this.#take(rid, datagram);
  }

  #take(rid: Rid, datagram: Buffer): void {
    const stream = this.layers[rid];
    const packet = parsePacket(datagram, this.nowMs * 1000);
    stream.take(packet, datagram);
    this.#feedback[rid]!.onPacket(packet);
    if (this.choice.onPacket(stream, packet.arrivalUs)) {
      this.changes.push({ rid: this.chosen!, atMs: this.nowMs });
      const { log } = this.choice.chosen!;
      for (let n = this.choice.beginning(packet.arrivalUs); n < log.end; n++) {
        const kept = parsePacket(Buffer.from(log.datagram(n)), log.arrivalUs(n));
        this.given.push({ rid: this.chosen!, packet: kept });
      }
    } else if (this.choice.chosen === stream) this.given.push({ rid, packet });
  }

  /** A packet that is no picture, or only the beginning of one. */
  sendBare(rid: Rid, payload: Buffer, marker: boolean): void {
    const sequence = this.#sequences[rid]++;
    const fields = { payloadType: 96, sequence, timestamp: this.nowMs * 90, ssrc: { h: 1, m: 2, l: 3 }[rid] };
    this.#take(rid, encodePacket({ ...fields, marker, payload }));
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += FRAME_MS) {
      for (const rid of ['l', 'm', 'h'] as const) {
        // The publisher sends what layers ask for, even of those that are off; only those that are on answer.
        if (this.#feedback[rid]!.due(this.nowMs * 1000).length > 0) {
          this.asked.push({ rid, atMs: this.nowMs });
          if (this.sending.has(rid) && !this.#due.has(rid)) this.#due.set(rid, this.nowMs + this.keyFrameMs);
        }
        if (!this.sending.has(rid)) continue;
        const isKey = this.nowMs >= (this.#due.get(rid) ?? Number.POSITIVE_INFINITY);
        if (isKey) this.#due.delete(rid);
        this.send(rid, isKey);
      }
    }
  }

  get chosen(): Rid | undefined {
    return this.choice.chosen?.rid as Rid | undefined;
  }

  /**
   * Wherever the layer changes in what was given, a key frame begins it, and of each layer no packet is left out or
   * twice.
   */
  expectProper(): void {
    let before: { rid: Rid; packet: Packet } | undefined;
    for (const one of this.given) {
      if (one.rid !== before?.rid) expect(one.packet.payload[1]! & 1).toBe(0);
      else expect(one.packet.sequence).toBe(before.packet.sequence + 1);
      before = one;
    }
  }

  /** The longest time between two pictures as the recorder places them, milliseconds. */
  longestGapMs(): number {
    const times = this.given.map(({ packet }) => packet.arrivalUs / 1000).sort((a, b) => a - b);
    return Math.max(...times.slice(1).map((at, n) => at - times[n]!));
  }
}

describe('the layer that is wanted', () => {
  test.each([
    [0, ['h', 'm', 'l'], 'h'],
    [0, ['l', 'm', 'h'], 'h'],
    [1, ['h', 'm', 'l'], 'l'],
    [1, ['l', 'h', 'm'], 'l'],
  ] as const)('of videoStreamType %i in the order %j is %s', (type, order, expected) => {
    const scene = new Scene(type, [...order]);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    expect(scene.chosen).toBe(expected);
    scene.expectProper();
  });

  test('is taken as soon as it is there, when a sender begins with the small ones', () => {
    const scene = new Scene(0);
    scene.start('l');
    scene.run(1000);
    scene.start('m');
    scene.run(1000);
    scene.start('h');
    scene.run(1000);
    expect(scene.changes.map(({ rid, atMs }) => [rid, atMs])).toEqual([
      ['l', 10_000],
      ['m', 11_000],
      ['h', 12_000],
    ]);
    expect(scene.longestGapMs()).toBeLessThanOrEqual(FRAME_MS);
    scene.expectProper();
  });

  test('is the best that is heard when a recorder comes late, and it is kept', () => {
    const scene = new Scene(1);
    scene.start('h', 'm', 'l');
    scene.run(2000);
    scene.choice = new EncodingChoice([scene.layers.m, scene.layers.l, scene.layers.h], 0, scene.nowMs * 1000);
    expect(scene.chosen).toBe('h');
    scene.sending.delete('h');
    scene.run(2000);
    scene.choice = new EncodingChoice([scene.layers.h, scene.layers.m, scene.layers.l], 0, scene.nowMs * 1000);
    expect(scene.chosen).toBe('m');
  });
});

describe('a layer that dies', () => {
  test.each([
    [0, 'h', 'm'],
    [1, 'l', 'm'],
  ] as const)(
    'with videoStreamType %i: %s gives way to %s, and what was missed meanwhile is had',
    (type, dead, next) => {
      const scene = new Scene(type);
      scene.start('h', 'm', 'l');
      scene.run(5000);
      const diedMs = scene.nowMs;
      scene.sending.delete(dead);
      scene.run(3000);
      expect(scene.chosen).toBe(next);
      const change = scene.changes.at(-1)!;
      expect(change.atMs - diedMs).toBeGreaterThanOrEqual(DEAD_US / 1000 - FRAME_MS);
      expect(change.atMs - diedMs).toBeLessThan(DEAD_US / 1000 + 200);
      expect(scene.longestGapMs()).toBeLessThan(700);
      scene.expectProper();
    },
  );

  test('while its substitute sends a key frame anyway is followed from there, and nothing is missed', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(5000);
    const asked = scene.asked.length;
    scene.sending.delete('h');
    scene.start('m');
    scene.run(800);
    scene.start('m');
    scene.run(2000);
    expect(scene.changes.at(-1)!.rid).toBe('m');
    expect(scene.longestGapMs()).toBe(FRAME_MS);
    expect(scene.asked).toHaveLength(asked);
    scene.expectProper();
  });

  test.each([
    ['padding', Buffer.alloc(0)],
    ['headers', Buffer.from([0x10, 0x01, 0, 0])],
    ['halves of pictures', undefined],
  ])('sends %s and no pictures: it is left all the same', (_, payload) => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(5000);
    const diedMs = scene.nowMs;
    scene.sending.delete('h');
    const length = scene.changes.length;
    for (let n = 0; n < 300 && scene.changes.length === length; n++) {
      scene.run(FRAME_MS);
      scene.sendBare('h', payload ?? vp8(false, SIZES.h), payload !== undefined);
    }
    expect(scene.chosen).toBe('m');
    expect(scene.changes.at(-1)!.atMs - diedMs).toBeLessThan(2000);
    scene.expectProper();
  });

  test('is not missed when all layers pause, as with a picture that stands still', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    const { length } = scene.changes;
    const asked = scene.asked.length;
    for (let n = 0; n < 5; n++) {
      scene.nowMs += 3000;
      for (const rid of ['l', 'm', 'h'] as const) scene.send(rid, false);
    }
    expect(scene.changes).toHaveLength(length);
    expect(scene.asked).toHaveLength(asked);
    expect(scene.chosen).toBe('h');
  });

  test('is left later when its substitute has no key frame yet, which is asked for until it comes', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    scene.keyFrameMs = 2500;
    scene.sending.delete('h');
    const diedMs = scene.nowMs;
    const already = scene.asked.length;
    scene.run(4000);
    expect(scene.chosen).toBe('m');
    expect(scene.changes.at(-1)!.atMs - diedMs).toBeGreaterThan(2500);
    const asked = scene.asked.slice(already);
    expect(asked.length).toBeGreaterThan(2);
    expect(new Set(asked.map(({ rid }) => rid))).toEqual(new Set(['m']));
    scene.expectProper();
  });

  test('takes the substitute with it: the last that lives is given', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    scene.sending.delete('h');
    scene.sending.delete('m');
    scene.run(2000);
    expect(scene.chosen).toBe('l');
    scene.expectProper();
  });

  test('comes back after it was heard for a while, by a key frame of its own', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    scene.sending.delete('h');
    scene.run(5000);
    const backMs = scene.nowMs;
    scene.start('h');
    scene.run(4000);
    expect(scene.chosen).toBe('h');
    expect(scene.changes.at(-1)!.atMs - backMs).toBeGreaterThanOrEqual(RETURN_US / 1000);
    expect(scene.changes.at(-1)!.atMs - backMs).toBeLessThan(RETURN_US / 1000 + 500);
    expect(scene.longestGapMs()).toBeLessThan(700);
    scene.expectProper();
  });

  test('and comes and goes every second is let be', () => {
    const scene = new Scene(0);
    scene.start('h', 'm', 'l');
    scene.run(3000);
    scene.sending.delete('h');
    scene.run(2000);
    const { length } = scene.changes;
    for (let n = 0; n < 10; n++) {
      scene.start('h');
      scene.run(1000);
      scene.sending.delete('h');
      scene.run(1000);
    }
    expect(scene.changes).toHaveLength(length);
    expect(scene.chosen).toBe('m');
    scene.expectProper();
  });

  test('right after it was taken is held a moment longer, so that nothing of the former one counts as a straggler', () => {
    const scene = new Scene(0);
    scene.start('m', 'l');
    scene.run(3000);
    scene.start('h');
    scene.run(FRAME_MS);
    const takenMs = scene.changes.at(-1)!.atMs;
    scene.sending.delete('h');
    scene.run(3000);
    expect(scene.chosen).toBe('m');
    const first = scene.given.findLastIndex(({ rid }) => rid === 'h') + 1;
    expect(scene.given[first]!.packet.arrivalUs / 1000 - takenMs).toBeGreaterThanOrEqual(1000);
    scene.expectProper();
  });
});

test('a track of one stream is that stream, whatever comes', () => {
  const scene = new Scene(0);
  const choice = new EncodingChoice([scene.layers.m], 1, 0);
  expect(choice.chosen).toBe(scene.layers.m);
  expect(choice.onPacket(scene.layers.m, 1)).toBe(false);
});

test('layers whose sizes are unknown are told apart by bitrate, when it clearly differs', () => {
  const streamOf = (bytes: number) => {
    const stream = new Encoding({
      ...{ format: { ...FORMAT, codec: 'av1' }, memory: MEMORY, isLayer: true },
      onKeyFrameWanted() {},
    });
    // Sequence header and key frame in one unit's elements, without a size that can be read.
    const payload = Buffer.concat([Buffer.from([0x28, 0x01, 0x08, 0x30, 0x10]), Buffer.alloc(bytes)]);
    for (let n = 0; n < 60; n++) {
      const fields = { payloadType: 96, sequence: n, timestamp: n * 3600, ssrc: bytes, marker: true, payload };
      const datagram = encodePacket(fields);
      stream.take(parsePacket(datagram, n * 40_000), datagram);
    }
    return stream;
  };
  const [small, large, other] = [streamOf(100), streamOf(1000), streamOf(110)];
  expect([small.size, small.bitrateKbps > 0, small.hasKeyFrame]).toEqual([undefined, true, true]);
  expect(new EncodingChoice([small, large], 0, 2_400_000).chosen).toBe(large);
  expect(new EncodingChoice([large, small], 1, 2_400_000).chosen).toBe(small);
  expect(new EncodingChoice([small, other], 0, 2_400_000).chosen).toBe(small);
});
