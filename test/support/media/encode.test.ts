import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { watch } from '../judge/watch.ts';
import { VideoEncoder } from './encode.ts';
import { writeMadeFile } from './made-file.ts';
import { GREEN } from './participants.ts';

/** How threads of this process are scheduled (field 41 of proc(5)'s stat): 0 is as usual, 1 and 2 are real-time. */
function policies(): string[] {
  return readdirSync('/proc/self/task').map((task) => {
    const fields = readFileSync(`/proc/self/task/${task}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return fields[38]!;
  });
}

test('an encoder of AV1 makes no thread real-time', () => {
  const size = { width: 320, height: 180 };
  const encoder = new VideoEncoder({ codec: 'av1', ...size, fps: 15, bitrateKbps: 300, gopFrames: 30 });
  try {
    expect(new Set(policies())).toEqual(new Set(['0']));
  } finally {
    encoder.close();
  }
});

test('each picture of AV1 shows the moment that it stands for', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-encode-'));
  try {
    const path = join(folder, 'made.mkv');
    const size = { width: 640, height: 360 };
    const made = { path, participants: [GREEN], ...size, fps: 30, seconds: 10, only: 'video', live: 'av1' } as const;
    writeMadeFile({ ...made, videoBitrateKbps: 800, gopFrames: 300, contentStartUs: 332_100_000 });
    const [view] = watch(path, [{ rect: { x: 0, y: 0, width: 1, height: 1 }, source: size }]).views;
    const wrong = view!.filter(({ atS, luma, stamp }) =>
      stamp === undefined ? luma < 200 : Math.abs(332.1 + atS - stamp / 100) > 0.011,
    );
    // A flash has no stamp.
    expect(wrong.map(({ atS }) => atS)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
