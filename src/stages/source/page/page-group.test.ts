import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findGroupHome, PageGroup, sweepGroups } from './page-group.ts';

let mount: string;
beforeEach(() => {
  mount = mkdtempSync(join(tmpdir(), 'aircheck-groups-'));
});
afterEach(() => rmSync(mount, { recursive: true }));

/** A folder as the kernel would have made it. */
function group(path: string, files: readonly string[] = []): string {
  const dir = join(mount, path);
  mkdirSync(dir, { recursive: true });
  for (const name of ['cgroup.procs', ...files]) writeFileSync(join(dir, name), '');
  return dir;
}
const limits = { memoryBytes: 5e8, processes: 100, cores: 1.5 };

test('the first version has a folder for each controller, of which some may be missing', () => {
  const memory = group('memory/some/where');
  const cpu = group('cpu');
  expect(findGroupHome(mount, '4:memory:/some/where\n1:cpu:/not/here\n0::/\n')).toEqual({ memory, cpu });
});

test('the second version has one folder, beside that of a group that has processes', () => {
  writeFileSync(join(mount, 'cgroup.controllers'), 'cpu memory pids');
  const home = group('server.service');
  writeFileSync(join(home, 'cgroup.subtree_control'), 'cpu memory pids\n');
  group('server.service/main');
  expect(findGroupHome(mount, '0::/server.service/main\n')).toEqual({ memory: home, pids: home, cpu: home });
});

test('where no groups can be made there are none', () => {
  expect(findGroupHome(mount, '0::/x\n')).toEqual({});
  writeFileSync(join(mount, 'cgroup.controllers'), '');
  expect(findGroupHome(mount, '0::/x\n')).toEqual({});
});

test('a group has its limits, by the names of either version', () => {
  const files = ['memory.limit_in_bytes', 'memory.oom_control', 'pids.max', 'cpu.cfs_quota_us', 'cpu.shares'];
  group('one', files);
  const first = 'aircheck-page-7-1';
  const dir = group(`one/${first}`, files);
  const home = { memory: join(mount, 'one'), pids: join(mount, 'one'), cpu: join(mount, 'one') };
  const made = PageGroup.make({ ...limits, home }, '7-1');
  const limitIn = (name: string) => readFileSync(join(dir, name), 'utf8');
  expect(['memory.limit_in_bytes', 'pids.max', 'cpu.cfs_quota_us'].map(limitIn)).toEqual([
    '500000000',
    '100',
    '150000',
  ]);
  // More than that of one process, which is 1024.
  expect(Number(limitIn('cpu.shares'))).toBeGreaterThan(4096);
  expect(made.entrances).toEqual([join(dir, 'cgroup.procs')]);
  expect(made.killedForMemory).toBe(0);
  writeFileSync(join(dir, 'memory.oom_control'), 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n');
  expect(made.killedForMemory).toBe(3);
  const other = group('one/aircheck-page-8-1', ['memory.max', 'memory.events', 'cpu.max']);
  PageGroup.make({ ...limits, home }, '8-1');
  expect(readFileSync(join(other, 'memory.max'), 'utf8')).toBe('500000000');
  expect(readFileSync(join(other, 'cpu.max'), 'utf8')).toBe('150000 100000');
});

test('groups whose owner has ended are removed, and no others', () => {
  const home = { cpu: join(mount, 'cpu') };
  for (const name of ['7-1', '8-1']) PageGroup.make({ ...limits, home }, name);
  mkdirSync(join(mount, 'cpu', 'other'));
  sweepGroups(home, (name) => name !== '8-1' && name !== 'other');
  const left = ['aircheck-page-7-1', 'aircheck-page-8-1', 'other'].map((name) => existsSync(join(mount, 'cpu', name)));
  expect(left).toEqual([false, true, true]);
});
