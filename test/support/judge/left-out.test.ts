import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeMadeFile } from '../media/made-file.ts';
import { RED } from '../media/participants.ts';
import { leftOutIn } from './left-out.ts';

const root = mkdtempSync(join(tmpdir(), 'left-out-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Slices of 2 s each that begin so many seconds after a minute; all but these are named, as long as they are told. */
function leftOut(beginS: Record<string, number>, unnamed: string[], extinfS = 2): string[] {
  const dir = join(root, 'case');
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  const lines = ['#EXTM3U', '#EXT-X-TARGETDURATION:3'];
  for (const [slice, atS] of Object.entries(beginS)) {
    const name = `a_202601010101${String(Math.round(atS * 1000)).padStart(5, '0')}.ts`;
    copyFileSync(join(root, 'a0.ts'), join(dir, name));
    if (!unnamed.includes(slice)) lines.push(`#EXTINF:${extinfS}`, name);
  }
  writeFileSync(join(dir, 'a.m3u8'), lines.join('\n'));
  return leftOutIn(dir);
}

writeMadeFile({
  ...{ path: join(root, 'a.m3u8'), participants: [RED], width: 320, height: 180, fps: 30, seconds: 2, gopFrames: 60 },
  muxer: { hls_time: '2', hls_playlist_type: 'vod' },
});

test('a slice may be left out whose time others have, together or alone', () => {
  expect(leftOut({ first: 1, second: 2.5, third: 3 }, ['second'])).toEqual([]);
  expect(leftOut({ first: 1, again: 1.01 }, ['again'])).toEqual([]);
});

test('one is missing of which others lack the beginning, the end or what lies between two', () => {
  expect(leftOut({ first: 1, second: 2 }, ['first'])).toEqual([
    'a_20260101010101000.ts is stored and named nowhere, and 1.00 s of it are in no other slice',
  ]);
  expect(leftOut({ first: 1, second: 2 }, ['second'])).toEqual([expect.stringMatching(/ 1\.0\d s of it/)]);
  expect(leftOut({ first: 1, second: 2.2, third: 3.3 }, ['second'])).toEqual([
    expect.stringMatching(/ 0\.3\d s of it/),
  ]);
});

test('what others have of a slice at the same time counts once', () => {
  expect(leftOut({ one: 1, two: 1.1, late: 1.9 }, ['late'])).toEqual([expect.stringMatching(/ 0\.8\d s of it/)]);
});
