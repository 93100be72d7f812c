import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { VP8 } from '../../test/support/key-frame-sender.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ForkListener } from './forks.ts';
import { MOST_WAITING, Thumbnailer } from './thumbnailer.ts';

/** A process that does as it is told by the test. */
class Child {
  readonly got: { packets: string[] }[] = [];
  readonly listener: ForkListener;
  state: 'works' | 'killed' | 'let go' = 'works';

  constructor(listener: ForkListener) {
    this.listener = listener;
  }

  send(message: unknown): void {
    this.got.push(message as { packets: string[] });
  }

  disconnect(): void {
    this.state = 'let go';
    this.listener.onClosed({ code: 0, signal: null });
  }

  kill(): void {
    this.state = 'killed';
    this.listener.onClosed({ code: null, signal: 'SIGKILL' });
  }

  answer(reply: object): void {
    this.listener.onMessage?.(reply);
  }

  /** Draws what it was given last. */
  draw(): void {
    this.answer({ jpeg: this.got.at(-1)!.packets[0]! });
  }
}

let clock: ManualClock;
let children: Child[];
let warned: object[];
let outcomes: string[];
let thumbnailer: Thumbnailer;
beforeEach(() => {
  clock = new ManualClock();
  children = [];
  warned = [];
  outcomes = [];
  thumbnailer = new Thumbnailer({
    ...{ clock, entry: 'main.ts', args: ['thumbnails'], env: {} },
    log: { warn: (fields) => void warned.push(fields) },
    onOutcome: (outcome) => void outcomes.push(outcome),
    forks: {
      start(_spec, listener) {
        children.push(new Child(listener));
        return children.at(-1)!;
      },
    },
  });
});
const draw = (text: string) => thumbnailer.draw({ format: VP8, datagrams: [Buffer.from(text)] }).then(String);
const refused = { code: 'thumbnail-refused' };

describe('the process', () => {
  test('is started by the first picture, and draws one after another', async () => {
    expect(children).toEqual([]);
    const made = [draw('a'), draw('b')];
    expect(children).toHaveLength(1);
    expect(children[0]!.got).toHaveLength(1);
    children[0]!.draw();
    expect(children[0]!.got).toHaveLength(2);
    children[0]!.draw();
    expect(await Promise.all(made)).toEqual(['a', 'b']);
    expect(children).toHaveLength(1);
  });

  test('ends when nobody has asked for a while, and another is started for who asks then', async () => {
    const first = draw('a');
    children[0]!.draw();
    await first;
    clock.advance(20_000);
    const second = draw('b');
    children[0]!.draw();
    await second;
    clock.advance(29_000);
    expect(children[0]!.state).toBe('works');
    clock.advance(1_000);
    expect(children[0]!.state).toBe('let go');
    const third = draw('c');
    children[1]!.draw();
    expect(await third).toBe('c');
    expect(warned).toEqual([]);
  });

  test('is ended with the server, with what it has and what waits', async () => {
    const made = Promise.allSettled([draw('a'), draw('b')]);
    await thumbnailer.close();
    expect(children[0]!.state).toBe('killed');
    expect((await made).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(draw('c')).rejects.toMatchObject(refused);
  });
});

describe('a picture', () => {
  test('that cannot be decoded is told, and the next one drawn', async () => {
    const made = [draw('a'), draw('b')];
    const first = expect(made[0]).rejects.toMatchObject({
      code: 'thumbnail-unknown',
      message: expect.stringContaining('no such thing'),
    });
    children[0]!.answer({ error: 'no such thing' });
    children[0]!.draw();
    await first;
    expect(await made[1]).toBe('b');
    expect(outcomes).toEqual(['undecodable', 'drawn']);
  });

  test('that ends the process, or takes too long, is refused with those behind it; later others are drawn', async () => {
    const made = Promise.allSettled([draw('a'), draw('b')]);
    clock.advance(9_999);
    expect(children[0]!.state).toBe('works');
    clock.advance(1);
    expect((await made).map((each) => 'reason' in each && each.reason.code)).toEqual(Array(2).fill(refused.code));
    await expect(draw('c')).rejects.toMatchObject(refused);
    expect(children).toHaveLength(1);
    clock.advance(5_000);
    const later = draw('d');
    children[1]!.draw();
    expect(await later).toBe('d');
    expect(warned).toEqual([{ why: 'it was ended by SIGKILL' }]);
    expect(outcomes).toEqual(['refused', 'refused', 'refused', 'drawn']);
  });

  test('is refused when too many wait', async () => {
    const made = Promise.allSettled(Array.from({ length: MOST_WAITING + 1 }, (_, n) => draw(`${n}`)));
    await expect(draw('one more')).rejects.toMatchObject(refused);
    for (let n = 0; n <= MOST_WAITING; n++) children[0]!.draw();
    expect((await made).every(({ status }) => status === 'fulfilled')).toBe(true);
    await settle();
  });
});
