/**
 * Backgrounds: which images are shown in a frame, by what the layout names and what has been loaded (contract §4.7). An
 * image is shown only once it is loaded; until then what was shown in its place stays.
 */
import type { ShownImagesState } from '../../contract/line/shown-images-state.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import type { Look, ShownImages, UserImage } from './canvas.ts';
import { hashOfImage, type ImageName, type ImageState } from './images.ts';

/** The part of Images that is used here. */
export type ImageSource = {
  want(name: ImageName, what: string): void;
  at(name: ImageName, atUs: RecordingUs): ImageState;
  keep(wanted: Iterable<ImageName>): void;
};

type Render = UserImage['render'];
/** What a user shows: `live` moves, or did a moment ago; `still` stands still; `none` has ended. */
export type UserView = 'live' | 'still' | 'none';

type Named = ImageName & { render: Render };
/** Where an image stands: behind everybody, or in a user's place. */
const CANVAS = '';

export class Backgrounds {
  readonly #images: ImageSource;
  /** What was shown last, by place. */
  #shown = new Map<string, Named>();
  /** What the newest look names. */
  #newest: Named[] = [];
  /** What an earlier run showed, until the look is announced that names it. */
  #earlier: ShownImagesState;

  /** @param earlier what an earlier run saved */
  constructor(images: ImageSource, earlier: ShownImagesState = []) {
    this.#images = images;
    this.#earlier = earlier;
  }

  /** What is shown, for a later run. */
  save(): ShownImagesState {
    return [...this.#shown].map(([place, named]) => ({ place, key: hashOfImage(named), render: named.render }));
  }

  /** A look was announced that will hold from some frame on: its images are loaded from now on. */
  announce(look: Look): void {
    this.#newest = [];
    for (const { named, what } of imagesOf(look)) {
      this.#newest.push(named);
      this.#images.want(named, what);
      const key = hashOfImage(named);
      for (const shown of this.#earlier)
        if (shown.key === key) this.#shown.set(shown.place, { ...named, render: shown.render });
    }
  }

  /**
   * The images of the frame at `atUs`. Call it in order of frames.
   * @param views of the users who have a place; an image replaces a picture that does not move
   */
  at(look: Look, views: ReadonlyMap<string, UserView>, atUs: RecordingUs): ShownImages {
    const { backgrounds, backgroundColor } = look;
    const { canvas, defaultUser } = backgrounds ?? {};
    const before = this.#shown;
    this.#shown = new Map();
    this.#earlier = [];
    const everybody: Named[] = defaultUser ? [{ url: defaultUser, backgroundColor, render: 'crop' }] : [];
    const own = new Map(backgrounds?.users.map(({ uid, url, render }) => [uid, { url, backgroundColor, render }]));
    const users = new Map<string, UserImage>();
    for (const [uid, view] of views) {
      if (view === 'live') continue;
      const first = own.get(uid);
      const shown = this.#pick(uid, first ? [first, ...everybody] : everybody, before.get(uid), atUs);
      if (shown) users.set(uid, shown);
    }
    const under: Named[] = canvas ? [{ url: canvas, backgroundColor, render: 'crop' }] : [];
    return { canvas: this.#pick(CANVAS, under, before.get(CANVAS), atUs)?.picture, users };
  }

  /**
   * Forgets the images of looks that no frame has any more.
   * @param looks those that hold now or later
   * @param others images that are wanted besides theirs, and rank before them
   */
  forget(looks: readonly Look[], others: readonly ImageName[] = []): void {
    const later = looks.toReversed().flatMap((look) => imagesOf(look).map(({ named }) => named));
    this.#images.keep([...others, ...this.#newest, ...this.#shown.values(), ...later]);
  }

  /** The first image that can be had. While one is loading, what was shown before stays, if anything was. */
  #pick(place: string, wanted: Named[], before: Named | undefined, atUs: RecordingUs): UserImage | undefined {
    for (const named of wanted) {
      const state = this.#images.at(named, atUs);
      if (state.is === 'ready') return this.#show(place, named, state.picture);
      const old = state.is === 'loading' && before ? this.#images.at(before, atUs) : undefined;
      if (before && old?.is === 'ready') return this.#show(place, before, old.picture);
    }
    return undefined;
  }

  #show(place: string, named: Named, picture: Picture): UserImage {
    this.#shown.set(place, named);
    return { picture, render: named.render };
  }
}

/** The images that a look names, and what each is for. */
function imagesOf({ backgrounds, backgroundColor }: Look): { named: Named; what: string }[] {
  if (!backgrounds) return [];
  const { canvas, defaultUser, users } = backgrounds;
  const named = (url: string, what: string, render: Render = 'crop') => ({
    named: { url, backgroundColor, render },
    what,
  });
  return [
    ...(canvas ? [named(canvas, 'backgroundImage')] : []),
    ...(defaultUser ? [named(defaultUser, 'defaultUserBackgroundImage')] : []),
    ...users.map(({ uid, url, render }) => named(url, `backgroundConfig of user ${uid}`, render)),
  ];
}
