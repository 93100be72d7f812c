import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VideoEncoder } from './encode.ts';

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
