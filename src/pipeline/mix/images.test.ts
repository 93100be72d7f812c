import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { makePng } from '../../../test/support/media/image-files.ts';
import { Fault } from '../../kernel/fault.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { type ImageName, Images, type ImagesOptions } from './images.ts';

const FILES: Record<string, Buffer> = {
  'http://x/red?key=SECRET': makePng(8, 8, () => ({ r: 255, g: 0, b: 0 })),
  'http://x/blue': makePng(8, 8, () => ({ r: 0, g: 0, b: 255 })),
  'http://x/glass': makePng(8, 8, () => ({ r: 0, g: 0, b: 0, a: 0 }), 'rgba'),
  'http://x/page': Buffer.from('<!doctype html>'),
};
const RED = name('http://x/red?key=SECRET');
const BLUE = name('http://x/blue');

function name(url: string, backgroundColor = '#000000'): ImageName {
  return { url, backgroundColor };
}

let dir: string;
let clock: ManualClock;
let degraded: string[];
let fetched: string[];
let nextUs: number;
const open: Images[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-images-'));
  clock = new ManualClock();
  [degraded, fetched, nextUs] = [[], [], 1000];
});
afterEach(async () => {
  for (const images of open.splice(0)) await images.close();
  rmSync(dir, { recursive: true });
  expect(liveFrames()).toBe(0);
});

async function openImages(over: Partial<ImagesOptions> = {}): Promise<Images> {
  const images = await Images.open({
    ...{ dir, earlierDirs: [], cover: { width: 64, height: 36 }, clock, nextUs: () => nextUs },
    fetch: async (url) => {
      fetched.push(url);
      const file = FILES[url];
      if (file) return file;
      throw new Fault('image-status', 'x answers with status 404', { blame: 'caller' });
    },
    onDegraded: (what) => degraded.push(what),
    ...over,
  });
  open.push(images);
  return images;
}
/** `what` after so many milliseconds more. */
function after<T>(ms: number, what: T): T {
  clock.advance(ms);
  return what;
}
/** Files and threads take their time on a machine that does much else. */
function soon<T>(look: () => T) {
  return expect.poll(look, { timeout: 15_000 });
}
const lumaOf = (images: Images, of: ImageName, atUs = 1e9) => {
  const state = images.at(of, atUs);
  return state.is === 'ready' ? state.picture.planes[0][0] : state.is;
};

test('an image is there from the next frame on, and its address is nowhere on disk', async () => {
  const images = await openImages();
  images.want(RED, 'backgroundImage');
  expect(lumaOf(images, RED)).toBe('loading');
  await soon(() => lumaOf(images, RED)).toBe(81);
  expect([lumaOf(images, RED, 999), lumaOf(images, RED, 1000)]).toEqual(['loading', 81]);
  await images.close();
  const kept = readdirSync(dir).map((file) => file + readFileSync(join(dir, file), 'latin1'));
  expect(kept).toHaveLength(2);
  expect(kept.join()).not.toContain('SECRET');
});

test('what is no image, or is not there, is told once and is not shown', async () => {
  const images = await openImages();
  for (const url of ['http://x/page', 'http://x/gone']) images.want(name(url), `defaultUserBackgroundImage`);
  await soon(() => degraded).toHaveLength(2);
  expect(degraded.toSorted()).toEqual([
    'the image of defaultUserBackgroundImage is not shown: it is no PNG, JPEG or BMP',
    'the image of defaultUserBackgroundImage is not shown: x answers with status 404',
  ]);
  expect([lumaOf(images, name('http://x/page')), lumaOf(images, name('http://x/gone'))]).toEqual(['failed', 'failed']);
});

test('a server that is away is asked again, and given up in the end', async () => {
  const away = new Fault('image-unreachable', 'x did not send it: away', { blame: 'destination', retryable: true });
  const images = await openImages({
    fetch: async (url) => {
      fetched.push(url);
      if (url === BLUE.url && fetched.filter((each) => each === url).length === 2) return FILES[url]!;
      throw away;
    },
  });
  images.want(RED, 'backgroundImage');
  images.want(BLUE, 'user');
  for (const waitMs of [1000, 5000]) {
    const before = fetched.length;
    await soon(() => after(waitMs, fetched).length).toBeGreaterThan(before);
  }
  await soon(() => after(5000, degraded)).toEqual([`the image of backgroundImage is not shown: ${away.message}`]);
  expect(fetched.filter((url) => url === RED.url)).toHaveLength(3);
  await soon(() => lumaOf(images, BLUE)).toBe(41);
});

test('one file is seen through to the colour of each look, and fetched once', async () => {
  const images = await openImages();
  const [black, white] = [name('http://x/glass', '#000000'), name('http://x/glass', '#FFFFFF')];
  images.want(black, 'backgroundImage');
  await soon(() => lumaOf(images, black)).toBe(16);
  images.want(white, 'backgroundImage');
  await soon(() => lumaOf(images, white)).toBe(235);
  expect(fetched).toHaveLength(1);
});

test('what no look names any more is freed, and so is its file once no later run needs it', async () => {
  const images = await openImages();
  for (const each of [RED, BLUE]) images.want(each, 'user');
  await soon(() => [lumaOf(images, RED), lumaOf(images, BLUE)]).toEqual([81, 41]);
  const files = () => readdirSync(dir).filter((file) => file !== 'images.json').length;
  images.keep([BLUE]);
  expect(lumaOf(images, RED)).toBe('failed');
  await images.close();
  expect(files()).toBe(2);

  // Another run that makes again what came before has it, from its old moment on.
  const later = mkdtempSync(join(tmpdir(), 'aircheck-images-'));
  const next = await openImages({ dir: later, earlierDirs: [dir] });
  for (const each of [RED, BLUE]) next.want(each, 'user');
  await next.restored();
  expect([lumaOf(next, RED, 999), lumaOf(next, RED, 1000)]).toEqual(['loading', 81]);
  nextUs += 1_000_000;
  next.keep([BLUE]);
  nextUs += 61_000_000;
  next.keep([BLUE]);
  await next.close();
  expect(readdirSync(later).filter((file) => file !== 'images.json')).toHaveLength(1);
  expect(fetched).toHaveLength(2);
  rmSync(later, { recursive: true });
});

test('closing gives up what hangs', async () => {
  const images = await openImages({
    fetch: (_url, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  images.want(RED, 'backgroundImage');
  await images.close();
  expect(degraded).toEqual([]);
});

test('no more than some are fetched at once, and those that hang hold the others up only for a while', async () => {
  let atOnce = 0;
  let most = 0;
  const images = await openImages({
    fetch: async (url) => {
      most = Math.max(most, ++atOnce);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce--;
      return FILES[BLUE.url] ?? Buffer.from(url);
    },
  });
  const names = Array.from({ length: 19 }, (_, n) => name(`http://x/${n}`));
  for (const each of names) images.want(each, 'user');
  await soon(() => names.map((each) => lumaOf(images, each))).toEqual(names.map(() => 41));
  expect(most).toBe(6);
});

describe('a run that goes on', () => {
  const away = () => Promise.reject(new Fault('image-status', 'gone by now', { blame: 'caller' }));

  test('shows the same from the same frame on, without asking again', async () => {
    const first = await openImages();
    first.want(RED, 'backgroundImage');
    await soon(() => lumaOf(first, RED)).toBe(81);
    await first.close();
    const next = mkdtempSync(join(dir, 'next-'));
    nextUs = 9_000_000;
    const images = await openImages({ dir: next, earlierDirs: [dir], fetch: away });
    images.want(RED, 'backgroundImage');
    await images.restored();
    expect([lumaOf(images, RED, 999), lumaOf(images, RED, 1000)]).toEqual(['loading', 81]);
    await images.close();
    const third = await openImages({ dir: mkdtempSync(join(dir, 'third-')), earlierDirs: [dir, next], fetch: away });
    third.want(RED, 'backgroundImage');
    await third.restored();
    expect(lumaOf(third, RED, 1000)).toBe(81);
  });

  test('fetches again what it does not find', async () => {
    const first = await openImages();
    first.want(RED, 'backgroundImage');
    await soon(() => lumaOf(first, RED)).toBe(81);
    await first.close();
    for (const file of readdirSync(dir)) if (file.startsWith('image-')) rmSync(join(dir, file));
    const images = await openImages({ dir: mkdtempSync(join(dir, 'next-')), earlierDirs: [dir] });
    images.want(RED, 'backgroundImage');
    await soon(() => lumaOf(images, RED)).toBe(81);
    expect(fetched).toHaveLength(2);
  });
});
