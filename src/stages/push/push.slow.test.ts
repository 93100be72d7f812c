/**
 * A push to nginx's RTMP module, which is stopped as soon as it takes the stream, and has confirmed nothing by then.
 * Time stands still but where the test moves it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { NginxRtmp } from '../../../test/support/nginx-rtmp.ts';
import { freeTcpPort } from '../../../test/support/server-process.ts';
import { until } from '../../../test/support/test-server.ts';
import { Push } from './push.ts';

const STREAMS = {
  video: {
    ...{ width: 640, height: 360, fps: 30, bitrateKbps: 500 },
    extradata: Buffer.from('0000000167640028ac0000000168ee3cb0', 'hex'),
  },
  audio: { sampleRate: 48_000, channels: 2, bitrateKbps: 64, extradata: Buffer.from('1190', 'hex') },
};

let dir: string;
let nginx: NginxRtmp;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-push-'));
  nginx = new NginxRtmp(dir, await freeTcpPort());
  await nginx.start();
});
afterAll(async () => {
  await nginx.kill();
  rmSync(dir, { recursive: true });
});

test('a server that stops before it confirms anything is given up', async () => {
  const clock = new ManualClock();
  const url = nginx.url('key');
  const push = new Push({
    ...{ target: { id: 'a', url }, streams: STREAMS, clock, permits: () => true, onhold: false },
    // Before it is sent any sound or picture.
    onChanged: () => nginx.signal('SIGSTOP'),
  });
  try {
    await until('it is published', () => push.state.status === 'publishing', 10_000);
    let seconds = 0;
    await until(
      'it is given up',
      async () => {
        // 60 kB a second.
        for (let ms = 0; ms < 1000; ms += 100) {
          const dtsUs = (seconds * 1000 + ms) * 1000;
          const data = Buffer.concat([Buffer.of(0, 0, 0, 1, ms === 0 ? 0x65 : 0x41), Buffer.alloc(6000, 1)]);
          push.write({ kind: 'video', dtsUs, ptsUs: dtsUs, durationUs: 0, keyFrame: ms === 0, data });
        }
        await pause(10);
        clock.advance(1000);
        seconds++;
        return push.state.status === 'disconnected';
      },
      10_000,
    );
    expect(push.state.why).toBe('the server has taken nothing for 10 s');
    expect(seconds).toBeGreaterThan(10);
    // What its system takes for it comes to no more than some seconds of the stream.
    expect(seconds).toBeLessThan(25);
  } finally {
    nginx.signal('SIGCONT');
    const closing = push.close();
    clock.advance(2_000);
    await closing;
  }
});
