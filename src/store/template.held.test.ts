import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from './open-database.ts';
import { isUnused, UNUSED } from './pglite.ts';
import { PgliteThread, startPglite } from './pglite-thread.ts';
import { layDatabase } from './template.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-cluster-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Opens a database as the next start would, works with it and closes it. */
async function ask(folder: string, script: string) {
  const thread = new PgliteThread(startPglite(folder), () => {});
  try {
    await thread.opened;
    const rows = await thread.ask({ script });
    await thread.ask({ close: true });
    return rows;
  } finally {
    await thread.end();
  }
}

describe('a new data folder', () => {
  test('gets a database of its own, copied from the one that the first start makes', async () => {
    const template = join(dir, 'cache', 'template');
    // One process was killed while it made the template, another makes it now.
    const [killed, parallel] = [spawnSync('true').pid, process.ppid];
    for (const pid of [killed, parallel]) mkdirSync(join(`${template}.${pid}`, 'base'), { recursive: true });
    const folders = [join(dir, 'a', 'db'), join(dir, 'b', 'db')] as const;
    for (const folder of folders) await layDatabase(folder, template);
    await ask(folders[0], "insert into migrations values (1000, 'of a')");
    expect(await ask(folders[0], 'select name from migrations where number = 1000')).toEqual([{ name: 'of a' }]);
    expect(await ask(folders[1], 'select name from migrations where number = 1000')).toEqual([]);
    // All tables are there, those of the jobs too.
    expect(await ask(folders[1], 'select 1 as one from tasks, pgboss.job')).toEqual([]);
    expect(readdirSync(dir).toSorted()).toEqual(['a', 'b', 'cache']);
    expect(readdirSync(join(dir, 'cache')).toSorted()).toEqual(['template', `template.${parallel}`]);
    expect(readdirSync(join(folders[1], 'base'))).toHaveLength(1);
    // Another user can copy the template, and look into no database.
    const modeOf = (...path: string[]) => statSync(join(...path)).mode & 0o777;
    mkdirSync(join(dir, 'any'));
    expect(modeOf(dir, 'cache')).toBe(modeOf(dir, 'any'));
    expect([modeOf(template), modeOf(template, 'base'), modeOf(template, 'PG_VERSION')]).toEqual([0o755, 0o755, 0o644]);
    expect(modeOf(folders[0])).toBe(0o700);
  });

  test('gets one that is made for it where no template can be kept, and nothing else stays', async () => {
    const folder = join(dir, 'db');
    // A file, in which no user can make a folder.
    writeFileSync(join(dir, 'file'), '');
    await layDatabase(folder, join(dir, 'file', 'template'));
    expect(await ask(folder, 'select 1 as one from tasks')).toEqual([]);
    expect(readdirSync(dir).toSorted()).toEqual(['db', 'file']);
  });
});

describe('copying', () => {
  let template: string;
  beforeEach(() => {
    template = join(dir, 'template');
    mkdirSync(join(template, 'base', '5'), { recursive: true });
    mkdirSync(join(template, 'pg_notify'));
    writeFileSync(join(template, 'base', '5', '112'), 'rows');
    writeFileSync(join(template, 'base', '5', 'PG_VERSION'), '17\n');
    writeFileSync(join(template, 'PG_VERSION'), '17\n');
  });

  test('takes files, folders with nothing in them, and lets nobody else look in', async () => {
    const folder = join(dir, 'db');
    await layDatabase(folder, template);
    expect(readdirSync(folder, { recursive: true }).toSorted()).toEqual(
      [...readdirSync(template, { recursive: true }), UNUSED].toSorted(),
    );
    expect(readFileSync(join(folder, 'base', '5', '112'), 'utf8')).toBe('rows');
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test('begins again after a crash, with nothing of what that left', async () => {
    const folder = join(dir, 'db');
    mkdirSync(join(folder, 'base', '5'), { recursive: true });
    writeFileSync(join(folder, UNUSED), '');
    writeFileSync(join(folder, 'base', '5', '112'), 'ro');
    writeFileSync(join(folder, 'base', '5', '113'), 'of the version before');
    writeFileSync(join(folder, 'PG_VERSION.new'), '');
    await layDatabase(folder, template);
    expect(readFileSync(join(folder, 'base', '5', '112'), 'utf8')).toBe('rows');
    expect(readdirSync(folder, { recursive: true }).toSorted()).toEqual(
      [...readdirSync(template, { recursive: true }), UNUSED].toSorted(),
    );
  });

  test('never goes over what may have been a database with something in it', async () => {
    const folder = join(dir, 'db');
    mkdirSync(join(folder, 'base', '5'), { recursive: true });
    writeFileSync(join(folder, 'base', '5', '112'), 'recordings');
    await expect(layDatabase(folder, template)).rejects.toThrow(/no PG_VERSION.*backup.*remove it.*start again/);
    expect(readdirSync(folder, { recursive: true }).toSorted()).toEqual(['base', 'base/5', 'base/5/112']);
    expect(readFileSync(join(folder, 'base', '5', '112'), 'utf8')).toBe('recordings');
  });

  test('makes nothing that counts as a database where it cannot end', async () => {
    const folder = join(dir, 'db');
    // A folder where a file lies.
    mkdirSync(join(template, UNUSED));
    await expect(layDatabase(folder, template)).rejects.toThrow(/EISDIR|ENOTSUP|EEXIST/);
    expect(existsSync(join(folder, 'PG_VERSION'))).toBe(false);
  });

  test('leaves alone what is a database', async () => {
    const folder = join(dir, 'db');
    mkdirSync(folder);
    writeFileSync(join(folder, 'PG_VERSION'), '17\n');
    await layDatabase(folder, template);
    expect(readdirSync(folder)).toEqual(['PG_VERSION']);
  });
});

describe('a database that cannot be opened', () => {
  const open = (folder: string) => openDatabase({ url: '', pgliteDir: folder });

  test('is made anew where it never held anything, and only there', async () => {
    const folder = join(dir, 'db');
    await (await open(folder)).close();
    expect(isUnused(folder)).toBe(false);
    const control = join(folder, 'global', 'pg_control');
    const whole = readFileSync(control);
    writeFileSync(control, whole.subarray(0, 100));
    const names = () => readdirSync(folder, { recursive: true }).filter((name) => name !== 'postmaster.pid');
    const before = names().toSorted();
    await expect(open(folder)).rejects.toThrow(
      new RegExp(`PGlite in ${folder}.*cannot be opened.*pg_control.*move ${folder} elsewhere.*backup.*start`, 's'),
    );
    expect(names().toSorted()).toEqual(before);
    // As a start leaves it that was killed before it opened what it had made.
    writeFileSync(join(folder, UNUSED), '');
    const made = await open(folder);
    expect(await made.query('select 1 as one from tasks')).toEqual([]);
    await made.close();
    expect(isUnused(folder)).toBe(false);
    expect(readdirSync(dir)).toEqual(['db']);
  });
});
