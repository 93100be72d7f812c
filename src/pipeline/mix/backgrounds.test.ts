import { beforeEach, describe, expect, test } from 'vitest';
import type { Picture } from '../../media/frame.ts';
import { Backgrounds, type UserView } from './backgrounds.ts';
import type { Look } from './canvas.ts';
import type { ImageName, ImageState } from './images.ts';

/** Images that are as a test says, told by address. */
class SaidImages {
  readonly wanted: string[] = [];
  kept: string[] = [];
  readonly states = new Map<string, ImageState['is']>();
  readonly #pictures = new Map<string, Picture>();

  want({ url }: ImageName, what: string): void {
    this.wanted.push(`${url}: ${what}`);
  }
  at({ url }: ImageName): ImageState {
    const is = this.states.get(url) ?? 'loading';
    return is === 'ready' ? { is, picture: this.pictureOf(url) } : { is };
  }
  keep(names: Iterable<ImageName>): void {
    this.kept = [...new Set([...names].map(({ url }) => url))];
  }
  pictureOf(url: string): Picture {
    const picture = this.#pictures.get(url) ?? ({ url } as unknown as Picture);
    this.#pictures.set(url, picture);
    return picture;
  }
}

const look = (backgrounds?: Look['backgrounds']): Look => ({
  layout: { kind: 'bestFit' },
  backgroundColor: '#000000',
  backgrounds,
});
const own = (uid: string, url = uid, render: 'crop' | 'fit' = 'crop') => ({ uid, url, render });
const views = (given: Record<string, UserView>) => new Map(Object.entries(given));

let images: SaidImages;
let backgrounds: Backgrounds;
beforeEach(() => {
  images = new SaidImages();
  backgrounds = new Backgrounds(images);
});

/** Addresses of what is shown: under everybody, and for each user who has one. */
function seen(of: Look, users: Record<string, UserView> = {}) {
  const shown = backgrounds.at(of, views(users), 0);
  const urlOf = (picture: Picture | undefined) => (picture as unknown as { url: string } | undefined)?.url;
  return {
    canvas: urlOf(shown.canvas),
    users: Object.fromEntries([...shown.users].map(([uid, { picture, render }]) => [uid, [urlOf(picture), render]])),
  };
}
const canvasOf = (of: Look) => seen(of).canvas;

test('a look says what is loaded, and what each is for', () => {
  backgrounds.announce(look({ canvas: 'c', defaultUser: 'd', users: [own('7', 'u', 'fit')] }));
  expect(images.wanted).toEqual([
    'c: backgroundImage',
    'd: defaultUserBackgroundImage',
    'u: backgroundConfig of user 7',
  ]);
});

describe('a user who shows nothing new', () => {
  const of = look({ defaultUser: 'd', users: [own('1', 'u', 'fit')] });

  test('has an image of its own, or else that of all, once it is there; who moves has none', () => {
    images.states.set('d', 'ready');
    expect(seen(of, { 1: 'none', 2: 'still', 3: 'live' }).users).toEqual({ 1: ['d', 'crop'], 2: ['d', 'crop'] });
    images.states.set('u', 'ready');
    expect(seen(of, { 1: 'none', 2: 'still' }).users).toEqual({ 1: ['u', 'fit'], 2: ['d', 'crop'] });
    expect(seen(of, { 1: 'live' }).users).toEqual({});
  });

  test('has that of all when its own is no image', () => {
    images.states.set('u', 'failed').set('d', 'ready');
    expect(seen(of, { 1: 'none' }).users).toEqual({ 1: ['d', 'crop'] });
    images.states.set('d', 'failed');
    expect(seen(of, { 1: 'none' }).users).toEqual({});
  });
});

describe('another look', () => {
  test('leaves what was shown until its own is there, as it was shown', () => {
    images.states.set('old', 'ready');
    const before = look({ canvas: 'old', users: [own('1', 'old', 'fit')] });
    const after = look({ canvas: 'new', users: [own('1', 'new')] });
    expect(seen(before, { 1: 'none' })).toEqual({ canvas: 'old', users: { 1: ['old', 'fit'] } });
    for (let frame = 0; frame < 2; frame++)
      expect(seen(after, { 1: 'none' })).toEqual({ canvas: 'old', users: { 1: ['old', 'fit'] } });
    images.states.set('new', 'ready');
    expect(seen(after, { 1: 'none' })).toEqual({ canvas: 'new', users: { 1: ['new', 'crop'] } });
  });

  test('shows nothing in place of what cannot be had, or is not named any more', () => {
    images.states.set('old', 'ready');
    expect(canvasOf(look({ canvas: 'old', users: [] }))).toBe('old');
    images.states.set('new', 'failed');
    expect(canvasOf(look({ canvas: 'new', users: [] }))).toBeUndefined();
    expect(canvasOf(look({ canvas: 'old', users: [] }))).toBe('old');
    expect(canvasOf(look())).toBeUndefined();
  });

  test('has its images kept, before those that are shown, before those of frames to come', () => {
    images.states.set('old', 'ready');
    const [before, after] = [look({ canvas: 'old', users: [] }), look({ canvas: 'new', users: [own('1', 'u')] })];
    canvasOf(before);
    backgrounds.announce(after);
    backgrounds.forget([look({ canvas: 'between', users: [] }), after]);
    expect(images.kept).toEqual(['new', 'u', 'old', 'between']);
    images.states.set('new', 'ready');
    canvasOf(after);
    backgrounds.forget([after]);
    expect(images.kept).toEqual(['new', 'u']);
  });
});
