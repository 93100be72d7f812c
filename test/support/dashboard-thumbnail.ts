/** A thumbnail of the dashboard, judged by the JPEG file that the page shows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { nameOf } from './dashboard-player.ts';
import { readImage, type SeenImage } from './judge/image.ts';

/** Whose picture it is by its corners, which have to agree, and its size. */
export type SeenThumbnail = { name: string | undefined; width: number; height: number };

/** The picture that the page shows of a user; resolves when there is one. */
export async function thumbnailOf(page: Page, uid: string): Promise<SeenThumbnail> {
  const image = page.getByRole('img', { name: `What ${uid} shows`, exact: true });
  await image.waitFor({ timeout: 20_000 });
  const [, base64] = /^data:image\/jpeg;base64,(.+)$/.exec((await image.getAttribute('src')) ?? '') ?? [];
  if (base64 === undefined) throw new Error(`what the page shows of ${uid} is no JPEG`);
  return seenIn(Buffer.from(base64, 'base64'));
}

export function seenIn(jpeg: Buffer): SeenThumbnail {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-thumbnail-'));
  try {
    const path = join(dir, 'thumbnail.jpg');
    writeFileSync(path, jpeg);
    const image = readImage(path);
    return { name: nameIn(image), width: image.width, height: image.height };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function nameIn(image: SeenImage): string | undefined {
  const [first, second] = [nameOf(image.at(0.05, 0.97)), nameOf(image.at(0.97, 0.03))];
  return first === second ? first : `${first} and ${second}`;
}
