import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../../test/support/fake-ports.ts';
import { KeyFrameSender } from '../../../test/support/key-frame-sender.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { problem } from '../../contract/problems.ts';
import type { Publication } from '../room/publication.ts';
import { FRESH_US, OLD_US, PATIENCE_MS, RETRY_US, Thumbnails } from './thumbnails.ts';

const FRESH_MS = FRESH_US / 1000;
let clock: ManualClock;
let sender: KeyFrameSender;
let publications: readonly Publication[];
/** The key frames that were drawn, by the number of the layer and the moment of the picture in milliseconds. */
let drawn: string[];
let draw: () => Promise<void>;
let thumbnails: Thumbnails;

beforeEach(() => {
  clock = new ManualClock();
  clock.advance(60_000);
  drawn = [];
  draw = async () => {};
  use(new KeyFrameSender(clock));
  thumbnails = new Thumbnails({
    clock,
    rooms: { publicationsOf: (_appid, _cname, uid) => (uid === '7' ? publications : []) },
    async draw({ datagrams }) {
      const [first] = datagrams;
      const what = `${first!.readUInt32BE(8) - 1} ${first!.readUInt32BE(4) / 90}`;
      drawn.push(what);
      await draw();
      return Buffer.from(what);
    },
  });
});
function use(made: KeyFrameSender) {
  sender = made;
  publications = [made.publication];
}
const of = (uid = '7') => thumbnails.of('app', 'room', uid);
const textOf = async (made: ReturnType<typeof of>) => (await made).jpeg.toString();
/** The sender goes on for so long, with a picture every 100 ms; key frames come when asked for where it `answers`. */
async function goOn(ms: number, answers = true) {
  const layers = sender.widths.map((_, n) => n);
  for (let n = 0; n < ms / 100; n++) {
    clock.advance(100);
    for (const layer of layers) sender.send(answers && sender.asked[layer]! > 0, layer);
    if (answers) sender.asked.fill(0);
    await settle();
  }
}

describe('a thumbnail', () => {
  test('is of the key frame that is there, without asking for another', async () => {
    sender.send(true);
    await goOn(1_000);
    const { jpeg, takenMs, etag } = await of();
    expect([jpeg.toString(), takenMs]).toEqual(['0 60000', clock.nowMs() - 1_000]);
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    expect(sender.asked).toEqual([0]);
  });

  test('is made once, however many ask, and as long as it is fresh', async () => {
    sender.send(true);
    const work = Promise.withResolvers<void>();
    draw = () => work.promise;
    const asked = [of(), of(), of()];
    await settle();
    work.resolve();
    const made = await Promise.all(asked);
    await goOn(FRESH_MS - 100);
    expect([...made, await of()].map(({ jpeg }) => jpeg.toString())).toEqual(Array(4).fill('0 60000'));
    expect(drawn).toHaveLength(1);
  });

  test('is of a new key frame when it is no longer fresh, for which the sender is asked once', async () => {
    sender.send(true);
    await of();
    await goOn(FRESH_MS + 2_000, false);
    const asked = [of(), of()];
    await settle();
    expect(sender.asked).toEqual([1]);
    await goOn(200);
    expect(await textOf(asked[0]!)).toBe(`0 ${60_000 + FRESH_MS + 2_100}`);
    expect((await asked[1]!).etag).toBe((await asked[0]!).etag);
    expect(drawn).toHaveLength(2);
  });

  test('has no sender asked more often than it is fresh, and no key frame decoded twice, where none comes', async () => {
    sender.send(true);
    const steps = 26;
    for (let n = 0; n < steps; n++) {
      const made = of();
      await goOn(2_000, false);
      expect(await textOf(made)).toBe('0 60000');
    }
    const [asked] = sender.asked;
    expect(asked).toBeGreaterThan(2);
    expect(asked).toBeLessThanOrEqual((steps * 2_000) / FRESH_MS);
    expect(drawn).toHaveLength(1);
  });

  test('is waited for where no key frame has come yet', async () => {
    await goOn(100, false);
    const made = of();
    await goOn(300);
    expect(await textOf(made)).toBe('0 60200');
  });

  test('is made of a publisher’s last picture that comes', async () => {
    const still = new KeyFrameSender(clock);
    still.send(true);
    const screen = new KeyFrameSender(clock, [1280]);
    await goOn(2_000);
    sender.send(true);
    screen.send(true);
    publications = [sender.publication, screen.publication, still.publication];
    const [shown] = [await of()];
    expect(drawn).toEqual(['0 62000']);
    expect(shown.takenMs).toBe(clock.nowMs());
    expect(screen.asked).toEqual([0]);
  });
});

describe('there is none', () => {
  const missing = { code: 'thumbnail-unknown' };

  test('of who is not there, sends no picture, or has stopped', async () => {
    await expect(of('8')).rejects.toMatchObject(missing);
    await expect(of()).rejects.toMatchObject(missing);
    sender.send(true);
    clock.advance(2_000);
    await expect(of()).rejects.toMatchObject(missing);
    expect([drawn, sender.asked]).toEqual([[], [0]]);
  });

  test('where no key frame comes in time, and it is looked for again later, not at once', async () => {
    await goOn(100, false);
    sender.asked.fill(0);
    const made = expect(of()).rejects.toMatchObject(missing);
    await goOn(PATIENCE_MS, false);
    await made;
    await expect(of()).rejects.toMatchObject(missing);
    await goOn(RETRY_US / 1000, false);
    const again = of();
    await goOn(200);
    expect(await textOf(again)).toMatch(/^0 63/);
  });

  test('where it cannot be drawn; the former is given out until it is old', async () => {
    sender.send(true);
    await of();
    draw = () => Promise.reject(problem('thumbnail-refused'));
    await goOn(FRESH_MS, false);
    sender.send(true);
    await settle();
    expect(await textOf(of())).toBe('0 60000');
    for (let ms = 0; ms < OLD_US / 1000; ms += FRESH_MS) {
      await goOn(FRESH_MS, false);
      sender.send(true);
      await of().catch(() => {});
    }
    clock.advance(RETRY_US / 1000);
    sender.send(true);
    await expect(of()).rejects.toMatchObject({ code: 'thumbnail-refused' });
  });
});

describe('of a simulcast', () => {
  test('the smallest layer that is large enough is drawn and asked', async () => {
    use(new KeyFrameSender(clock, [1280, 160, 320]));
    for (const layer of [0, 1, 2]) sender.send(true, layer);
    expect(await textOf(of())).toBe('2 60000');
    await goOn(FRESH_MS + 1_000, false);
    sender.asked.fill(0);
    const made = of();
    await settle();
    expect(sender.asked).toEqual([0, 0, 1]);
    await goOn(200);
    await made;
  });

  test('a layer that has died is not waited for', async () => {
    use(new KeyFrameSender(clock, [1280, 320]));
    for (const layer of [0, 1]) sender.send(true, layer);
    for (let n = 0; n < 20; n++) {
      clock.advance(100);
      sender.send(n === 19, 0);
    }
    expect(await textOf(of())).toBe('0 62000');
  });
});
