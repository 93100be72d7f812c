/**
 * Images: the images that a recording's layouts name, fetched and decoded beside the making of frames. Each is kept in
 * the run's folder with the moment from which it is shown, so that a later run shows the same. A bad image is told of
 * and left out; it never ends a recording.
 */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, sleep } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import { decodeImage } from '../../stages/codec/image-decoder.ts';
import { toColor } from '../../stages/compose/color.ts';
import { readNotes, writeNotes } from '../checkpoint/checkpoint-file.ts';

/**
 * An image of a layout. The same address over another colour is another image, because it may be translucent. Without a
 * colour it keeps its alpha.
 */
export type ImageName = { url: string; backgroundColor?: string | undefined };
export type ImageState =
  | { is: 'loading' }
  | { is: 'failed' }
  /** Images owns `picture`, which is valid until the next call of `keep` or `close`. */
  | { is: 'ready'; picture: Picture };

export type ImagesOptions = {
  /** The run's folder, and the folders of the runs before it, oldest first. */
  dir: string;
  earlierDirs: readonly string[];
  /** The canvas; no image is kept larger than is needed to cover it. */
  cover: { width: number; height: number };
  clock: Clock;
  /** Fetches the file at an address, as `fetchImage` does. */
  fetch(url: string, signal: AbortSignal): Promise<Buffer>;
  /**
   * The first frame that has not been made yet, in recording time: an image that becomes ready is shown from there on.
   */
  nextUs(): RecordingUs;
  onDegraded(what: string): void;
};

const NOTES_NAME = 'images.json';
const notesSchema = z.object({
  version: z.literal(1),
  /** `key` stands for an address and a colour; the address is not written down, because it may hold credentials. */
  images: z.array(z.object({ key: z.string(), file: z.string().regex(/^image-[0-9a-f]+$/), fromUs: z.number() })),
});
type Note = z.infer<typeof notesSchema>['images'][number];

/**
 * What a run makes again lies at most this far back: for so long after an image was forgotten a later run may still
 * need it.
 */
const KEPT_FOR_US = 60_000_000;
/** How long an address is left alone before it is asked again, when its server or the way to it may work later. */
const RETRY_MS = [1000, 5000];
/** How many images are fetched at once, of at most 6 MB each. */
const LANES = 6;
/** Room for two layouts with an image for each user, one for the canvas, and some watermarks. */
const MAX_HELD = 44;

type Image = {
  name: ImageName;
  key: string;
  /** What the image is for, in words. */
  what: string;
  fromUs: RecordingUs;
  state: ImageState;
  /** Aborted when nobody wants the image any more. */
  dropped: AbortController;
};

export class Images {
  readonly #o: ImagesOptions;
  readonly #held = new Map<string, Image>();
  /** Images that were shown and are not held any more, while their files stay; in order. */
  #past: { image: Image; droppedUs: RecordingUs }[] = [];
  #earlier: readonly Note[] = [];
  #waiting: (() => void)[] = [];
  #busy = 0;
  /** One image is decoded at a time, because decoding takes many times its size. */
  #decoding: Promise<unknown> = Promise.resolve();
  #noting: Promise<void> = Promise.resolve();
  readonly #loads = new Set<Promise<void>>();
  #restored: Promise<unknown> = Promise.resolve();

  private constructor(options: ImagesOptions) {
    this.#o = options;
  }

  /** Reads the images of the runs before this one. */
  static async open(options: ImagesOptions): Promise<Images> {
    const images = new Images(options);
    const { notes, problems } = await readNotes(options.earlierDirs, NOTES_NAME, notesSchema);
    for (const problem of problems) options.onDegraded(`of an earlier run: ${problem}`);
    images.#earlier = notes?.images ?? [];
    return images;
  }

  /**
   * Begins to load an image, unless it is loading or loaded.
   * @param what it is for, in words
   */
  want(name: ImageName, what: string): void {
    const key = keyOf(name);
    if (this.#held.has(key)) return;
    const image: Image = {
      ...{ name, key, what, fromUs: Number.POSITIVE_INFINITY },
      state: { is: 'loading' },
      dropped: new AbortController(),
    };
    this.#held.set(key, image);
    const known = this.#earlier.find((note) => note.key === hashOfImage(name));
    const restored = known ? this.#restore(image, known) : Promise.resolve(false);
    this.#restored = Promise.all([this.#restored, restored]);
    const load = restored.then((isThere) => (isThere ? undefined : this.#load(image, 0)));
    this.#loads.add(load);
    void load.finally(() => this.#loads.delete(load));
  }

  /** Resolves when everything that an earlier run showed is loaded again. */
  async restored(): Promise<void> {
    await this.#restored;
  }

  /** The state of an image for the frame at `atUs`. An image that nobody wanted has failed. */
  at(name: ImageName, atUs: RecordingUs): ImageState {
    const image = this.#held.get(keyOf(name));
    if (!image) return { is: 'failed' };
    return image.state.is === 'ready' && image.fromUs > atUs ? { is: 'loading' } : image.state;
  }

  /** Forgets all images but those in `wanted`, the most important first; when they are too many, the last ones too. */
  keep(wanted: Iterable<ImageName>): void {
    const kept = new Set([...new Set([...wanted].map(keyOf))].slice(0, MAX_HELD));
    for (const image of this.#held.values()) if (!kept.has(image.key)) this.#drop(image);
    const untilUs = this.#o.nextUs() - KEPT_FOR_US;
    while (this.#past[0] && (this.#past[0].droppedUs < untilUs || this.#past.length > MAX_HELD)) this.#removeOldest();
  }

  /** Frees all pictures and gives up what is loading. Resolves when nothing loads any more. */
  async close(): Promise<void> {
    for (const { dropped } of this.#held.values()) dropped.abort();
    await Promise.all(this.#loads);
    // The notes are finished first, because another run may go on from them.
    await this.#noting;
    for (const { state } of this.#held.values()) if (state.is === 'ready') state.picture.free();
    this.#held.clear();
  }

  #drop(image: Image): void {
    this.#held.delete(image.key);
    image.dropped.abort();
    if (image.state.is !== 'ready') return;
    image.state.picture.free();
    this.#past.push({ image, droppedUs: this.#o.nextUs() });
  }

  #removeOldest(): void {
    const name = this.#past.shift()?.image.name;
    if (!name) return;
    // Another image may use the same file.
    const others = [...this.#held.values(), ...this.#past.map(({ image }) => image)];
    if (others.some(({ name: { url } }) => url === name.url)) return;
    // A file that cannot be removed now is removed with the folder.
    this.#note(() => rm(join(this.#o.dir, fileOf(name)), { force: true })).catch(() => {});
  }

  /** False when no earlier run's folder has the image. */
  async #restore(image: Image, { file, fromUs }: Note): Promise<boolean> {
    for (const dir of this.#o.earlierDirs.toReversed()) {
      try {
        await this.#take(image, await readFile(join(dir, file)), () => fromUs);
        return true;
      } catch {
        // A run was lost while it wrote the file; an earlier run may have it, or the image's server.
      }
    }
    return false;
  }

  async #load(image: Image, attempt: number): Promise<void> {
    const { signal } = image.dropped;
    try {
      await this.#inLane(async () => {
        signal.throwIfAborted();
        const bytes = (await this.#kept(image)) ?? (await this.#o.fetch(image.name.url, signal));
        await this.#take(image, bytes, () => this.#o.nextUs());
      });
    } catch (error) {
      if (signal.aborted) return;
      const waitMs = RETRY_MS[attempt];
      const mayRecover = error instanceof Fault && error.retryable && waitMs !== undefined;
      if (mayRecover && (await waited(this.#o.clock, waitMs, signal))) return this.#load(image, attempt + 1);
      if (signal.aborted) return;
      image.state = { is: 'failed' };
      this.#o.onDegraded(`the image of ${image.what} is not shown: ${messageOf(error)}`);
    }
  }

  /** The file, if it is in this folder already because another image has the same address. */
  async #kept({ name }: Image): Promise<Buffer | undefined> {
    const isKept = (other: Image) => other.name.url === name.url && other.state.is === 'ready';
    if (![...this.#held.values()].some(isKept)) return undefined;
    await this.#noting;
    return await readFile(join(this.#o.dir, fileOf(name))).catch(() => undefined);
  }

  /** Makes a picture of a file, and keeps the file for a later run. Rejects with a Fault when it is no image. */
  async #take(image: Image, bytes: Buffer, shownFrom: () => RecordingUs): Promise<void> {
    const { cover, dir, onDegraded } = this.#o;
    const { backgroundColor } = image.name;
    const backdrop = backgroundColor === undefined ? undefined : toColor(backgroundColor);
    const decoded = this.#decoding.then(() => decodeImage(bytes, { cover, backdrop }));
    this.#decoding = decoded.catch(() => {});
    const picture = await decoded;
    if (image.dropped.signal.aborted) {
      picture.free();
      return;
    }
    image.fromUs = shownFrom();
    image.state = { is: 'ready', picture };
    this.#note(() => writeFile(join(dir, fileOf(image.name)), bytes, { mode: 0o600 })).catch((error) =>
      onDegraded(`the image of ${image.what} could not be kept: ${messageOf(error)}`),
    );
  }

  /** Changes files and then the notes about them, one change after another. */
  #note(change: () => Promise<void>): Promise<void> {
    const noted = this.#noting.then(change).then(() => {
      const ready = [...this.#held.values()].filter(({ state }) => state.is === 'ready');
      const past = this.#past.map(({ image }) => image).filter(({ key }) => !ready.some((other) => other.key === key));
      const images = [...ready, ...past].map(({ name, fromUs }): Note => {
        return { key: hashOfImage(name), file: fileOf(name), fromUs };
      });
      return writeNotes(this.#o.dir, NOTES_NAME, { version: 1, images } satisfies z.infer<typeof notesSchema>);
    });
    this.#noting = noted.catch(() => {});
    return noted;
  }

  async #inLane(work: () => Promise<void>): Promise<void> {
    if (this.#busy < LANES) this.#busy++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy--;
    }
  }
}

/** Resolves to false when the wait was given up. */
function waited(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(clock, ms, signal).then(
    () => true,
    () => false,
  );
}

function keyOf({ url, backgroundColor }: ImageName): string {
  return `${url} ${backgroundColor?.toLowerCase() ?? 'translucent'}`;
}

/** Stands for an image where its address may not be written down. */
export function hashOfImage(name: ImageName): string {
  return hashOf(keyOf(name));
}

function fileOf({ url }: ImageName): string {
  return `image-${hashOf(url).slice(0, 32)}`;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
