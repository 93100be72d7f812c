import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { newSid } from '../../kernel/ids.ts';
import type { PageSourceListener } from '../../stages/source/page/page-source.ts';
import { findPrograms } from '../../stages/source/page/programs.ts';
import { MixOutput } from '../mix/mix-output.ts';
import type { Happening } from '../recording.ts';
import { QualityCollector } from '../report/quality-collector.ts';
import type { PreparedPage } from './prepared-page.ts';
import { WebRecording } from './web-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-web-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

/** A recording of a screen that nothing draws on, and of a page that makes no sound. */
async function screenRecording(mp4: boolean) {
  const screen = spawn(findPrograms().Xvfb, ['-displayfd', '3', '-ac', '-screen', '0', '1280x720x24'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void screen.kill());
  const [number] = (await once(screen.stdio[3]!, 'data')) as [Buffer];
  const plan: WebPlan = {
    ...{ mode: 'web', sid: newSid(), baseName: 'x', audio: { channels: 1, bitrateKbps: 48 } },
    video: { width: 640, height: 360, fps: 30, bitrateKbps: 500 },
    files: { hls: true, mp4 },
    mp4Limit: { durationMs: 3_600_000, bytes: 1e9 },
    ...{ maxAgeMs: 3_600_000, onhold: false },
  };
  const start = {
    ...{ type: 'start', plan, generation: 1, source: { kind: 'page' }, spoolDir: dir, earlierDirs: [], changes: [] },
    ...{ zeroUtcMs: Date.now(), zeroMonoUs: systemClock.monoUs() },
  } as unknown as StartCommand;
  const page: { listener?: PageSourceListener } = {};
  const source = {
    screen: { display: `:${number.toString().trim()}` },
    listen: (given: PageSourceListener) => {
      page.listener = given;
    },
    open: async () => true,
  };
  const preparedPage = {
    ...{ source, fit: async () => ({ us: 0, measured: true }), close: async () => {} },
  } as unknown as PreparedPage;
  const happenings: Happening[] = [];
  const report = new QualityCollector({ sid: plan.sid, mode: 'web', zeroUtcMs: start.zeroUtcMs });
  const emit = (happening: Happening) => void happenings.push(happening);
  const begin = (clock: Clock) => WebRecording.start(start, plan, { clock, report, emit, preparedPage });
  return { begin, page, happenings };
}

test('a page that is lost in the middle of a write frees what that writes to only after it', async () => {
  const { begin, page, happenings } = await screenRecording(true);
  // The page is lost while a picture is written, and writing takes longer than all the rest of its end.
  const order: string[] = [];
  const { writePicture, close } = MixOutput.prototype;
  let pictures = 0;
  vi.spyOn(MixOutput.prototype, 'writePicture').mockImplementation(async function (this: MixOutput, ...picture) {
    const isLast = ++pictures === 60;
    if (isLast) {
      page.listener?.onLost({ kind: 'engine', why: 'the browser ended' });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await writePicture.apply(this, picture);
    if (isLast) order.push('written');
  });
  vi.spyOn(MixOutput.prototype, 'close').mockImplementation(function (this: MixOutput) {
    order.push('freed');
    close.call(this);
  });
  await expect(begin(systemClock).done).rejects.toThrow('the browser ended');
  expect(order).toEqual(['written', 'freed']);
  // A busy machine may have left pictures out.
  const degraded = happenings.flatMap((each) => (each.type === 'degraded' ? [each.what] : []));
  expect(degraded.filter((what) => !what.includes('frames were left out'))).toEqual([]);
});

test('a wall clock that is set back while a picture is taken moves none of the pictures', async () => {
  const { begin } = await screenRecording(false);
  const frames: number[] = [];
  const { writePicture } = MixOutput.prototype;
  const written = Promise.withResolvers<void>();
  vi.spyOn(MixOutput.prototype, 'writePicture').mockImplementation(async function (this: MixOutput, canvas, frame) {
    frames.push(frame);
    if (frames.length === 60) written.resolve();
    await writePicture.call(this, canvas, frame);
  });
  // The screen tells by the former time when the picture was read, and all later ones by the new one.
  let asked = 0;
  const nowMs = () => Date.now() - (++asked === 30 ? 3_600_000 : 0);
  const recording = begin({ ...systemClock, nowMs });
  await written.promise;
  recording.stop(systemClock.monoUs(), 'stopped');
  await recording.done;
  expect(frames.at(-1)).toBeLessThan(600);
});
