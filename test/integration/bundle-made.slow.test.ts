/**
 * How the bundle of the server's children is made (ADR 0047), whatever ends its making: there is none, or it is whole
 * and of the sources that it is run for.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { SmallCheckout } from '../support/small-checkout.ts';
import { SmallDisk } from '../support/small-disk.ts';

const WHOLE = { status: 0, stderr: '' };
/** Nobody's, where tests run as root. */
const OTHER = process.getuid?.() === 0 ? { uid: 65_534 } : {};
const CACHE = 'node_modules/.cache/aircheck';
const AN_HOUR_AGO = Date.now() / 1000 - 3700;

let dir: string;
let checkout: SmallCheckout;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-bundle-made-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  checkout = new SmallCheckout(join(dir, `a b%20c#d?é'"`));
});

const bundleOf = (small: SmallCheckout) => dirname(small.entry());

test('libraries that are links, and a path of odd letters, are no matter', () => {
  checkout.layOut('node-av', '@seydx');
  expect(checkout.bundle()).toMatchObject(WHOLE);
  expect(checkout.entry()).toMatch(/child\.js$/);
  expect(checkout.heard(bundleOf(checkout))).toBe('hello');
  expect(checkout.names()).toHaveLength(1);
});

test('two that make it at once make one', async () => {
  const both = [checkout.bundling(), checkout.bundling()];
  expect(await Promise.all(both.map((each) => once(each, 'exit')))).toEqual([
    [0, null],
    [0, null],
  ]);
  expect(checkout.names()).toHaveLength(1);
  expect(checkout.heard(bundleOf(checkout))).toBe('hello');
});

test('of one that was killed nothing is run, and nothing stays', async () => {
  mkdirSync(checkout.bundles, { recursive: true });
  const bundling = checkout.bundling();
  const begun = watch(checkout.bundles);
  await Promise.race([once(begun, 'change'), once(bundling, 'exit')]);
  const ended = once(bundling, 'exit');
  bundling.kill('SIGKILL');
  expect(await ended).toEqual([null, 'SIGKILL']);
  begun.close();
  if (/child\.js$/.test(checkout.entry())) expect(checkout.heard(bundleOf(checkout))).toBe('hello');
  for (const name of checkout.names()) utimesSync(join(checkout.bundles, name), AN_HOUR_AGO, AN_HOUR_AGO);
  expect(checkout.bundle()).toMatchObject(WHOLE);
  expect(checkout.names()).toHaveLength(1);
  expect(checkout.heard(bundleOf(checkout))).toBe('hello');
});

test('sources that are edited while it is made are not taken for those before', async () => {
  mkdirSync(checkout.bundles, { recursive: true });
  const bundling = checkout.bundling();
  const begun = watch(checkout.bundles);
  await Promise.race([once(begun, 'change'), once(bundling, 'exit')]);
  const ended = once(bundling, 'exit');
  checkout.says('edited');
  expect(await ended).toEqual([0, null]);
  begun.close();
  expect(checkout.heard(bundleOf(checkout))).toBe('edited');
  checkout.says('hello');
  expect(checkout.bundle()).toMatchObject(WHOLE);
  expect(checkout.heard(bundleOf(checkout))).toBe('hello');
});

test('a full disk is told of in a line, and takes nothing more of it', ({ skip }) => {
  const cache = dirname(checkout.bundles);
  const disk = SmallDisk.mount(cache, 1_000_000) ?? skip('needs root');
  onTestFinished(() => disk.unmount());
  disk.fill(50_000);
  const { status, stderr } = checkout.bundle();
  expect(status).toBe(1);
  expect(stderr).toMatch(/^aircheck: .*no space left.*\n$/i);
  expect(checkout.names()).toEqual([]);
  expect(checkout.entry()).toMatch(/main\.ts$/);
});

test('an installation that cannot be written runs its bundle, and says in a line why it makes none', () => {
  expect(checkout.bundle()).toMatchObject(WHOLE);
  const made = checkout.entry();
  for (const path of [checkout.bundles, dirname(checkout.bundles)]) chmodSync(path, 0o555);
  onTestFinished(() => {
    for (const path of [checkout.bundles, dirname(checkout.bundles)]) chmodSync(path, 0o755);
  });
  expect(checkout.entry(OTHER)).toBe(made);
  expect(checkout.bundle(OTHER)).toMatchObject(WHOLE);
  checkout.says('edited');
  expect(checkout.entry(OTHER)).toMatch(/main\.ts$/);
  const { status, stderr } = checkout.bundle(OTHER);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^aircheck: EACCES: .*\n$/);
});

test('what an editor leaves beside a source keeps nothing from starting', () => {
  // A lock of Emacs: a link that leads nowhere.
  symlinkSync('somebody@machine.1:2', join(checkout.root, 'src/app/cli/.#child.ts'));
  expect(checkout.bundle()).toMatchObject(WHOLE);
  expect(checkout.entry()).toMatch(/child\.js$/);
});

test('of bundles of earlier sources the newest stay, and with the others goes what Node has kept of them', () => {
  const daysAgo = (days: number) => Date.now() / 1000 - days * 86_400;
  const age = (path: string, days: number) =>
    utimesSync(join(checkout.root, CACHE, path), daysAgo(days), daysAgo(days));
  for (let n = 0; n < 10; n++) {
    checkout.write(`${CACHE}/children/earlier${n}/child.js`, '');
    age(`children/earlier${n}`, 10 + n);
  }
  for (const name of ['old', 'new']) checkout.write(`${CACHE}/compiled/v1/${name}`, '');
  age('compiled/v1/old', 15);
  expect(checkout.bundle()).toMatchObject(WHOLE);
  const earlier = checkout.names().filter((name) => name.startsWith('earlier'));
  // Seven beside the one that was made.
  expect(earlier.toSorted()).toEqual(['0', '1', '2', '3', '4', '5', '6'].map((n) => `earlier${n}`));
  expect(readdirSync(join(checkout.root, CACHE, 'compiled/v1'))).toEqual(['new']);
});

test('a bundle that the machine lost power after is whole', ({ skip }) => {
  const image = join(dir, 'disk');
  const mount = (of: string) => {
    const path = join(dir, `mounted-${of.length}`);
    mkdirSync(path);
    execFileSync('mount', ['-o', 'loop', of, path], { stdio: 'pipe' });
    onTestFinished(() => void execFileSync('umount', ['--lazy', path]));
    return path;
  };
  writeFileSync(image, Buffer.alloc(8_000_000));
  let disk: string;
  try {
    execFileSync('mkfs.ext4', ['-q', image], { stdio: 'pipe' });
    disk = mount(image);
  } catch {
    skip('needs root, and a loop device');
    return;
  }
  mkdirSync(dirname(dirname(checkout.bundles)));
  symlinkSync(disk, dirname(checkout.bundles));
  expect(checkout.bundle()).toMatchObject(WHOLE);
  // What anybody has the disk keep makes it keep names, and of files only what they asked for themselves.
  const other = openSync(join(disk, 'other'), 'w');
  fsyncSync(other);
  closeSync(other);
  copyFileSync(image, `${image}-later`);
  const later = join(mount(`${image}-later`), 'children');
  expect(readdirSync(later)).toHaveLength(1);
  // Its libraries are found from below the checkout alone.
  const here = join(checkout.root, 'node_modules/later');
  cpSync(later, here, { recursive: true });
  expect(checkout.heard(join(here, ...readdirSync(here)))).toBe('hello');
});
