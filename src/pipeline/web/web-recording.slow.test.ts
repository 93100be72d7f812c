import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import { systemClock } from '../../kernel/clock.ts';
import { newSid } from '../../kernel/ids.ts';
import type { PageSourceListener } from '../../stages/source/page/page-source.ts';
import { findPrograms } from '../../stages/source/page/programs.ts';
import { MixOutput } from '../mix/mix-output.ts';
import type { Happening } from '../recording.ts';
import { QualityCollector } from '../report/quality-collector.ts';
import type { PreparedPage } from './prepared-page.ts';
import { WebRecording } from './web-recording.ts';

const dir = mkdtempSync(join(tmpdir(), 'aircheck-web-'));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

test('a page that is lost in the middle of a write frees what that writes to only after it', async () => {
  const screen = spawn(findPrograms().Xvfb, ['-displayfd', '3', '-ac', '-screen', '0', '1280x720x24'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const [number] = (await once(screen.stdio[3]!, 'data')) as [Buffer];
  const plan: WebPlan = {
    ...{ mode: 'web', sid: newSid(), baseName: 'x', audio: { channels: 1, bitrateKbps: 48 } },
    video: { width: 640, height: 360, fps: 30, bitrateKbps: 500 },
    files: { hls: true, mp4: true },
    mp4Limit: { durationMs: 3_600_000, bytes: 1e9 },
    ...{ maxAgeMs: 3_600_000, onhold: false },
  };
  const start = {
    ...{ type: 'start', plan, generation: 1, source: { kind: 'page' }, spoolDir: dir, earlierDirs: [], changes: [] },
    ...{ zeroUtcMs: Date.now(), zeroMonoUs: systemClock.monoUs() },
  } as unknown as StartCommand;
  let listener: PageSourceListener | undefined;
  const source = {
    screen: { display: `:${number.toString().trim()}` },
    listen: (given: PageSourceListener) => {
      listener = given;
    },
    open: async () => true,
  };
  const preparedPage = {
    ...{ source, fit: async () => ({ us: 0, measured: true }), close: async () => {} },
  } as unknown as PreparedPage;
  // The page is lost while a picture is written, and writing takes longer than all the rest of its end.
  const order: string[] = [];
  const { writePicture, close } = MixOutput.prototype;
  let pictures = 0;
  vi.spyOn(MixOutput.prototype, 'writePicture').mockImplementation(async function (this: MixOutput, ...picture) {
    const isLast = ++pictures === 60;
    if (isLast) {
      listener?.onLost({ kind: 'engine', why: 'the browser ended' });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await writePicture.apply(this, picture);
    if (isLast) order.push('written');
  });
  vi.spyOn(MixOutput.prototype, 'close').mockImplementation(function (this: MixOutput) {
    order.push('freed');
    close.call(this);
  });
  const happenings: Happening[] = [];
  const report = new QualityCollector({ sid: plan.sid, mode: 'web', zeroUtcMs: start.zeroUtcMs });
  const emit = (happening: Happening) => void happenings.push(happening);
  try {
    const recording = WebRecording.start(start, plan, { clock: systemClock, report, emit, preparedPage });
    await expect(recording.done).rejects.toThrow('the browser ended');
    expect(order).toEqual(['written', 'freed']);
    // A busy machine may have left pictures out.
    const degraded = happenings.flatMap((each) => (each.type === 'degraded' ? [each.what] : []));
    expect(degraded.filter((what) => !what.includes('frames were left out'))).toEqual([]);
  } finally {
    screen.kill();
  }
});
