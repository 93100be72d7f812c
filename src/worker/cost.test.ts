import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { taskOf } from '../../test/support/fake-ports.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { individualPlanOf } from '../../test/support/scripted-recording.ts';
import type { MixPlan, Plan } from '../contract/line/plan.ts';
import { newSid } from '../kernel/ids.ts';
import { Admission } from './admission.ts';
import { capacityOf, estimate, type Limits, type Machine, type Running, refusalOf } from './cost.ts';
import { readMachine } from './machine-limits.ts';

function mix(width = 640, height = 360, fps = 15): Plan {
  const sid = newSid();
  const plan = taskOf().document.plan as MixPlan;
  const look = { bitrateKbps: 500, layout: { kind: 'floating' as const }, backgroundColor: '#000000' };
  return { ...plan, sid, video: { width, height, fps, ...look } };
}
const pair = (): Plan => individualPlanOf({ sid: newSid(), maxUsers: 2 });
const seen = (cores: number): Running => ({ plan: mix(), seen: { cores, bytes: 150e6 } });
const MACHINE: Machine = { cores: 2, freeBytes: 4e9, totalBytes: 8e9, freeSpoolBytes: 1e11 };
const LIMITS: Limits = { cpuPercent: 100, memoryPercent: 95, spoolFreeBytes: 5e8 };

test('a node carries what its recordings take, of what its limits leave of the machine', () => {
  const admission = new Admission({
    clock: new ManualClock(),
    limits: { ...LIMITS, cpuPercent: 50 },
    machine: () => MACHINE,
    running: () => new Map([['a', seen(0.4)]]),
    joins: () => false,
    spoolRefusalOf: () => undefined,
  });
  expect(admission.carries()).toEqual({ capacity: { cores: 1, bytes: 7.6e9 }, load: { cores: 0.4, bytes: 150e6 } });
  const plan = mix();
  admission.refusalOf(plan, 'app');
  const { cores, bytes } = estimate(plan);
  expect(admission.carries().load).toEqual({ cores: 0.4 + cores, bytes: 150e6 + bytes });
});

test('without limits a node may use all of its machine', () => {
  expect(capacityOf(MACHINE, { ...LIMITS, cpuPercent: 0, memoryPercent: 0 })).toEqual({ cores: 2, bytes: 8e9 });
});

describe('the cost of recordings', () => {
  test('a bigger and faster picture costs more, sound alone least', () => {
    const cores = [undefined, mix(), mix(1280, 720, 15), mix(1280, 720, 30), mix(1920, 1080, 30)].map(
      (plan) => estimate(plan ?? taskOf().document.plan).cores,
    );
    expect(cores).toEqual([...cores].sort((a, b) => a - b));
    expect(new Set(cores).size).toBe(cores.length);
  });

  test('two cores take the 23 recordings of single users that they are known to carry, begun at once or one by one', () => {
    const machine = { ...MACHINE, freeBytes: 6e9 };
    const young = Array.from({ length: 22 }, (): Running => ({ plan: pair(), seen: undefined }));
    expect(refusalOf(pair(), young, machine, LIMITS)).toBeUndefined();
    const old = Array.from({ length: 22 }, () => seen(0.08));
    expect(refusalOf(pair(), old, machine, LIMITS)).toBeUndefined();
  });

  test('a web page costs its browser as well, by what was seen of both once it was', () => {
    const page = (width: number, height: number): Plan => ({
      ...{ mode: 'web', sid: newSid(), baseName: 'x', audio: { channels: 1, bitrateKbps: 48 } },
      video: { width, height, fps: 30, bitrateKbps: 2000 },
      files: { hls: true, mp4: false },
      mp4Limit: { durationMs: 1000, bytes: 1e9 },
      ...{ maxAgeMs: 1000, onhold: false },
    });
    const large = page(1280, 720);
    expect(estimate(large).cores).toBeGreaterThan(2 * estimate(mix(1280, 720, 30)).cores);
    const running = (cores: number): Running => ({ plan: large, seen: { cores, bytes: 600e6 } });
    expect(refusalOf(large, [running(1.1)], MACHINE, LIMITS)).toMatch(/take 1\.10 cores/);
    expect(refusalOf(large, [running(0.6)], MACHINE, LIMITS)).toBeUndefined();
    const [alone, pushed] = [estimate(large), estimate({ ...large, pushed: true } as Plan)];
    expect(pushed.bytes).toBeGreaterThan(alone.bytes);
    expect(pushed.cores).toBeGreaterThan(alone.cores);
  });

  test('what was seen counts, not what was thought', () => {
    expect(refusalOf(mix(), [seen(1.97)], MACHINE, LIMITS)).toMatch(/1\.97 cores.*2\.00 cores are allowed/);
    expect(refusalOf(mix(), [seen(1.5)], MACHINE, LIMITS)).toBeUndefined();
    expect(refusalOf(mix(), [seen(1.5)], MACHINE, { ...LIMITS, cpuPercent: 70 })).toMatch(/admissionCpuPercent/);
    expect(refusalOf(mix(), [seen(50)], MACHINE, { ...LIMITS, cpuPercent: 0 })).toBeUndefined();
  });

  test('one of whose picture a part is left out counts by what the whole would take', () => {
    const large = mix(1920, 1080, 60);
    const running = (isDegraded: boolean): Running => ({ plan: large, seen: { cores: 0.3, bytes: 3e8 }, isDegraded });
    expect(refusalOf(mix(), [running(false)], MACHINE, { ...LIMITS, cpuPercent: 60 })).toBeUndefined();
    expect(refusalOf(mix(), [running(true)], MACHINE, { ...LIMITS, cpuPercent: 60 })).toMatch(/admissionCpuPercent/);
    const busy: Running = { plan: mix(), seen: { cores: 1.97, bytes: 3e8 }, isDegraded: true };
    expect(refusalOf(mix(), [busy], MACHINE, LIMITS)).toMatch(/1\.97 cores/);
  });

  test('memory is kept for those that have just begun', () => {
    const machine = { ...MACHINE, freeBytes: 0.4e9 + 400e6 };
    expect(refusalOf(mix(), [], machine, LIMITS)).toBeUndefined();
    const young: Running[] = [1, 2, 3].map(() => ({ plan: mix(), seen: undefined }));
    expect(refusalOf(mix(), young, machine, LIMITS)).toMatch(/of memory.*admissionMemoryPercent/);
    expect(refusalOf(mix(), young, machine, { ...LIMITS, memoryPercent: 0 })).toBeUndefined();
  });

  test('forty recordings of two users that share recorders are let in at once, and not forty that do not', () => {
    const machine = { ...MACHINE, freeBytes: 3e9 };
    const of = (joins: boolean) =>
      Array.from({ length: 39 }, (_, n): Running => ({ plan: pair(), seen: undefined, joins: joins && n % 8 > 0 }));
    expect(refusalOf(pair(), of(true), machine, LIMITS, true)).toBeUndefined();
    expect(refusalOf(pair(), of(false), machine, LIMITS)).toMatch(/recordings take/);
    expect(refusalOf(pair(), of(false), machine, { ...LIMITS, cpuPercent: 0 })).toMatch(/of memory/);
  });

  test('a full disk takes none', () => {
    const machine = { ...MACHINE, freeSpoolBytes: 4e8 };
    expect(refusalOf(mix(), [], machine, LIMITS)).toMatch(/400 MB free, and keeps 500 MB/);
    expect(refusalOf(mix(), [], machine, { ...LIMITS, spoolFreeBytes: 0 })).toBeUndefined();
  });
});

test('who was let in counts before its recorder is there, and not for ever', () => {
  const clock = new ManualClock();
  const running = new Map<string, Running>();
  let spoolRefusal: string | undefined;
  const spoolRefusalOf = () => spoolRefusal;
  const admission = new Admission({
    ...{ clock, limits: LIMITS, machine: () => MACHINE, running: () => running, spoolRefusalOf },
    joins: () => false,
  });
  const big = () => mix(1920, 1080, 30);
  const first = big();
  expect(admission.refusalOf(first, 'app')).toBeUndefined();
  expect(admission.refusalOf(big(), 'app')).toBeUndefined();
  expect(admission.refusalOf(big(), 'app')).toMatch(/2 recordings take/);
  admission.forget(first.sid);
  const third = big();
  expect(admission.refusalOf(third, 'app')).toBeUndefined();
  // Its recorder is at work, and takes less than was thought.
  running.set(third.sid, { plan: third, seen: { cores: 0.1, bytes: 1 } });
  expect(admission.refusalOf(big(), 'app')).toBeUndefined();
  clock.advance(61_000);
  expect(admission.refusalOf(big(), 'app')).toBeUndefined();
  spoolRefusal = 'no room';
  clock.advance(61_000);
  expect(admission.refusalOf(big(), 'app')).toBe('no room');
});

test('a recording that comes into a process which is there counts for what it adds', () => {
  const running = new Map<string, Running>();
  let joins = true;
  const admission = new Admission({
    ...{ clock: new ManualClock(), limits: LIMITS, running: () => running, spoolRefusalOf: () => undefined },
    machine: () => ({ ...MACHINE, freeBytes: 0.05 * MACHINE.totalBytes + 60e6 }),
    joins: () => joins,
  });
  for (let n = 0; n < 5; n++) expect(admission.refusalOf(pair(), 'app')).toBeUndefined();
  joins = false;
  expect(admission.refusalOf(pair(), 'app')).toMatch(/of memory/);
});

describe('the machine', () => {
  const roots: string[] = [];
  afterEach(() => {
    for (const root of roots.splice(0)) rmSync(root, { recursive: true });
  });
  function rootOf(files: Record<string, string>): string {
    const root = `${mkdtempSync(join(tmpdir(), 'aircheck-machine-'))}/`;
    roots.push(root);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return root;
  }
  const meminfo = 'MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    5000000 kB\n';

  test('is what the system says', () => {
    const root = rootOf({
      'proc/meminfo': meminfo,
      'sys/fs/cgroup/cpu.max': 'max 100000',
      'sys/fs/cgroup/memory.max': 'max',
    });
    const found = readMachine(tmpdir(), root);
    expect(found).toMatchObject({ totalBytes: 8_192_000_000, freeBytes: 5_120_000_000 });
    expect(found.cores).toBeGreaterThanOrEqual(1);
    expect(found.freeSpoolBytes).toBeGreaterThan(0);
    // Somebody has taken the spool away; the next recording makes it again.
    const gone = readMachine(join(root, 'no', 'such', 'spool'), root);
    expect(gone.freeSpoolBytes).toBeGreaterThan(0);
  });

  test('is as small as its container is', () => {
    const files = {
      'proc/meminfo': meminfo,
      'sys/fs/cgroup/cpu.max': '50000 100000',
      'sys/fs/cgroup/memory.max': '1000000000',
      'sys/fs/cgroup/memory.current': '700000000',
      'sys/fs/cgroup/memory.stat': 'anon 1\ninactive_file 200000000\n',
    };
    expect(readMachine(tmpdir(), rootOf(files))).toMatchObject({ cores: 0.5, totalBytes: 1e9, freeBytes: 5e8 });
  });
});
