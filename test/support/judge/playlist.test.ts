/**
 * The judge of playlists judged, on slices that FFmpeg's own HLS muxer made and on faults put into them.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { writeMadeFile } from '../media/made-file.ts';
import { RED } from '../media/participants.ts';
import { judgePlaylist, parsePlaylist } from './playlist.ts';
import { judgeRecording } from './recording.ts';

const root = mkdtempSync(join(tmpdir(), 'playlist-'));
const good = join(root, 'good');
const dir = join(root, 'case');
afterAll(() => rmSync(root, { recursive: true }));

writeMadeFile({
  path: join(good, 'a.m3u8'),
  participants: [RED],
  width: 320,
  height: 180,
  fps: 30,
  seconds: 6,
  gopFrames: 60,
  muxer: { hls_time: '2', hls_playlist_type: 'vod' },
});
const SLICES = ['a0.ts', 'a1.ts', 'a2.ts'];
/** The same slices under a playlist as the contract has it: no comma, no playlist type. */
function contractText(): string {
  return readFileSync(join(good, 'a.m3u8'), 'utf8').replaceAll(/(#EXTINF:\d+\.\d+),/g, '$1');
}

beforeEach(() => {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  for (const slice of SLICES) copyFileSync(join(good, slice), join(dir, slice));
  writeFileSync(join(dir, 'a.m3u8'), contractText());
});

describe('a playlist that is right', () => {
  test('has no problems, and its sums agree', () => {
    const verdict = judgePlaylist(dir, 'a.m3u8');
    expect(verdict.problems).toEqual([]);
    expect(verdict.slices).toHaveLength(3);
    expect(verdict.frames).toBe(180);
    expect(verdict.realS).toBeCloseTo(6, 2);
    expect(verdict.declaredS).toBeCloseTo(6, 2);
  });
  test('is playable as one recording without the comma after EXTINF', () => {
    const verdict = judgeRecording(join(dir, 'a.m3u8'), {
      participants: [RED],
      source: { width: 320, height: 180 },
      width: 320,
      height: 180,
      fps: 30,
      seconds: { from: 5.9, to: 6.1 },
    });
    expect(verdict.problems).toEqual([]);
  });
});

describe('one fault each is named', () => {
  const rewrite = (change: (text: string) => string) => {
    writeFileSync(join(dir, 'a.m3u8'), change(contractText()));
    return judgePlaylist(dir, 'a.m3u8').problems;
  };
  test('a slice that does not exist', () => {
    unlinkSync(join(dir, 'a1.ts'));
    expect(judgePlaylist(dir, 'a.m3u8').problems).toContain('a1.ts is named but does not exist');
  });
  test('a slice left out of the list', () => {
    const problems = rewrite((text) => text.replace(/#EXTINF:.*\na1\.ts\n/, ''));
    expect(problems.join('\n')).toMatch(/a2\.ts breaks the continuity of PID/);
    expect(problems.join('\n')).toMatch(/ms of video missing before a2\.ts/);
    expect(problems.join('\n')).toMatch(/ms of audio missing before a2\.ts/);
  });
  test('slices in the wrong order', () => {
    const problems = rewrite((text) => text.replace('a1.ts', 'x').replace('a2.ts', 'a1.ts').replace('x', 'a2.ts'));
    expect(problems.join('\n')).toMatch(/missing before a2\.ts/);
    expect(problems.join('\n')).toMatch(/doubled before a1\.ts/);
  });
  test('a declared duration that is off by a frame', () => {
    const problems = rewrite((text) => text.replace('#EXTINF:2.000000', '#EXTINF:2.033333'));
    expect(problems.join('\n')).toMatch(/a0\.ts declares 2\.033 s and lasts 2\.000 s/);
    expect(problems.join('\n')).toMatch(/EXTINF adds up to 6\.0\d\d s/);
  });
  test('a target that is too small, no end, a duration without decimals', () => {
    expect(rewrite((t) => t.replace(/TARGETDURATION:\d+/, 'TARGETDURATION:1')).join('\n')).toMatch(
      /longer than the target/,
    );
    expect(rewrite((t) => t.replace('#EXT-X-ENDLIST', ''))).toContain('#EXT-X-ENDLIST is missing');
    expect(rewrite((t) => t.replace('2.000000', '2')).join('\n')).toMatch(
      /"#EXTINF:2" is not a duration of six decimals/,
    );
  });
  test('a slice that does not begin with a key frame', () => {
    writeMadeFile({
      path: join(dir, 'a.m3u8'),
      participants: [RED],
      width: 320,
      height: 180,
      fps: 30,
      seconds: 3,
      gopFrames: 45,
      muxer: { hls_time: '1', hls_flags: 'split_by_time', hls_playlist_type: 'vod' },
    });
    expect(judgePlaylist(dir, 'a.m3u8').problems.join('\n')).toMatch(/a1\.ts does not begin with a key frame/);
  });
  test('bytes lost inside a slice', () => {
    const bytes = readFileSync(join(dir, 'a1.ts'));
    const middle = Math.floor(bytes.length / 188 / 2) * 188;
    writeFileSync(join(dir, 'a1.ts'), Buffer.concat([bytes.subarray(0, middle), bytes.subarray(middle + 5 * 188)]));
    expect(judgePlaylist(dir, 'a.m3u8').problems.join('\n')).toMatch(/a1\.ts breaks the continuity of PID/);
  });
});

test('the lines before a slice belong to it', () => {
  const playlist = parsePlaylist(
    [
      '#EXTM3U',
      '#EXT-X-VERSION:3',
      '#EXT-X-TARGETDURATION:16',
      '#EXT-X-DISCONTINUITY',
      '#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE=AUDIO,TIME=20260101000000000',
      '#EXTINF:15.500000',
      'a.ts',
      '#EXTINF:3.000000,',
      'b.ts',
      '#EXT-X-ENDLIST',
    ].join('\n'),
  );
  expect(playlist.slices).toEqual([
    {
      name: 'a.ts',
      extinfS: 15.5,
      discontinuity: true,
      events: ['#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE=AUDIO,TIME=20260101000000000'],
    },
    { name: 'b.ts', extinfS: 3, discontinuity: false, events: [] },
  ]);
});
