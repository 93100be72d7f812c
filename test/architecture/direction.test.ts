/**
 * Holds the house in the order the data flows (ARCHITECTURE.md): which folder may import which, which library has which
 * home, and who may touch time and the environment.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const files = globSync('src/**/*.ts', { cwd: ROOT }).filter((f) => !f.endsWith('.test.ts'));
const textOf = new Map(files.map((f) => [f, readFileSync(join(ROOT, f), 'utf8')]));

/** Folders whose own folders are rooms. */
const HALLS = new Set(['stages', 'channel']);
/**
 * Rooms of one floor that may be imported by the others of their hall: what brings media into a channel knows the
 * channel.
 */
const SHARED = new Set(['channel/room']);

/** The room a file is in: its top folder, or in a hall `<hall>/<name>`. */
function roomOf(file: string): string {
  const parts = file.split('/');
  return HALLS.has(parts[1] ?? '') ? `${parts[1]}/${parts[2]}` : (parts[1] ?? '');
}
function hallOf(room: string): string | undefined {
  return room.includes('/') ? room.split('/')[0] : undefined;
}

/**
 * The rows of ARCHITECTURE.md's table of folders, from the top down: rooms or halls, and what they may import, in
 * words.
 */
const TABLE = [
  ...readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').matchAll(
    /^\| ((?:`src\/[\w/]+`(?:, )?)+) *\|.*\| *([^|]+?) *\|$/gm,
  ),
].map((row) => ({ names: [...row[1]!.matchAll(/src\/([\w/]+)/g)].map((name) => name[1]!), words: row[2]! }));

function rowOf(room: string): number {
  const own = TABLE.findIndex(({ names }) => names.includes(room));
  return own >= 0 ? own : TABLE.findIndex(({ names }) => names.includes(hallOf(room) ?? room));
}

/**
 * Indexes of the rows whose rooms a row may import. "session and above" is session and what that may import, "above"
 * alone all rows above.
 */
function allowedRows(row: number): Set<number> {
  const above = [...TABLE.keys()].slice(0, row);
  const { words } = TABLE[row]!;
  if (words === 'nothing of ours') return new Set();
  if (words === 'everything') return new Set(TABLE.keys());
  if (words === 'above' || words === 'all above') return new Set(above);
  const named = words.split(/, | and /).filter((word) => word !== 'above');
  const rows = named.flatMap((name) =>
    above.filter((index) => TABLE[index]!.names.some((room) => room === name || hallOf(room) === name)),
  );
  if (rows.length < named.length) throw new Error(`"${words}" names a room that is not above`);
  return new Set(words.endsWith('above') ? rows.flatMap((index) => [index, ...allowedRows(index)]) : rows);
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  // Rooms of one hall are strangers to each other.
  if (hallOf(from) !== undefined && hallOf(from) === hallOf(to)) return SHARED.has(to);
  return allowedRows(rowOf(from)).has(rowOf(to));
}

const IMPORT = /(?:from\s+|import\s*\(\s*|import\s+)'([^']+)'/g;
function importsOf(file: string): string[] {
  return [...(textOf.get(file) ?? '').matchAll(IMPORT)].map((m) => m[1] as string);
}

const STATIC_IMPORT = /^(?:import|export) (?!type\b)[^;='(]*'([^']+)';/gm;
/** What a file's start loads: all that it imports, and what those import, but types and what is imported later. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  for (const [, spec = ''] of (textOf.get(file) ?? '').matchAll(STATIC_IMPORT)) {
    const target = spec.startsWith('.') ? normalize(join(dirname(file), spec)) : spec;
    if (seen.has(target)) continue;
    seen.add(target);
    if (target !== spec) loadedWith(target, seen);
  }
  return seen;
}

/** Library → the only places that may import it. */
const HOMES: [RegExp, string[]][] = [
  [/^node-av(\/|$)/, ['src/stages/codec/', 'src/stages/mux/', 'src/stages/sender/']],
  [/^(node-datachannel|sdp-transform)$/, ['src/channel/whip/']],
  [/^playwright-core$/, ['src/stages/source/page/']],
  [/^(fastify|@fastify\/.*)$/, ['src/http/']],
  [/^(pg|@electric-sql\/pglite.*|pg-boss)$/, ['src/store/']],
  [/^(@aws-sdk|@smithy|@azure)\//, ['src/stages/upload/target/']],
  [/^undici$/, ['src/http/fleet/']],
  [/^(commander|@peculiar\/x509|@modelcontextprotocol\/.*)$/, ['src/app/']],
  [/^(zod-openapi|fastest-levenshtein)$/, ['src/contract/']],
  [/^(pino|prom-client|@opentelemetry\/.*)$/, ['src/observe/']],
];

/** Expressions that only some places may hold. */
const DOORS: [RegExp, string[], string][] = [
  [/\bprocess\.env\b/, ['src/config/'], 'process.env is read only in src/config'],
  [
    /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bprocess\.hrtime\b/,
    ['src/kernel/', 'src/client/time.ts'],
    'time is read only through kernel/clock',
  ],
  [
    /\bset(?:Timeout|Interval)\(|node:timers/,
    ['src/kernel/', 'src/client/time.ts'],
    'timers are started only through kernel/clock',
  ],
];

describe('the direction of imports', () => {
  test('there is something to hold', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(TABLE.length).toBeGreaterThan(15);
  });

  test.each([
    ['session', 'contract', true],
    ['session', 'stages/rtp', false],
    ['store', 'session', true],
    ['store', 'pipeline', false],
    ['worker', 'stages/mux', true],
    ['worker', 'store', false],
    ['stages/mux', 'stages/rtp', false],
    ['channel/whip', 'channel/room', true],
    ['channel/room', 'channel/whip', false],
    ['kernel', 'media', false],
    ['http', 'app', false],
    ['app', 'http', true],
  ])('by the table, %s may import %s: %j', (from, to, allowed) => {
    expect(mayImport(from, to)).toBe(allowed);
  });

  test('every file stands in a room of the table', () => {
    expect(files.filter((f) => rowOf(roomOf(f)) < 0)).toEqual([]);
  });

  test('nothing imports what the table does not allow, nor a stranger of its own hall', () => {
    const wrong: string[] = [];
    for (const file of files) {
      for (const spec of importsOf(file).filter((s) => s.startsWith('.'))) {
        const target = normalize(join(dirname(file), spec));
        if (!target.startsWith('src/')) {
          wrong.push(`${file} → ${target} (outside src)`);
          continue;
        }
        if (!mayImport(roomOf(file), roomOf(target))) wrong.push(`${file} → ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('each library is imported only where it lives', () => {
    const wrong: string[] = [];
    for (const file of files) {
      for (const spec of importsOf(file)) {
        const home = HOMES.find(([library]) => library.test(spec));
        if (home && !home[1].some((place) => file.startsWith(place))) wrong.push(`${file} imports ${spec}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('a recorder is loaded with few libraries: each takes memory and time of every recording', () => {
    const start = ['src/app/cli/main.ts', 'src/app/cli/children.ts', 'src/worker/main.ts'];
    const loaded = new Set(start.flatMap((file) => [...loadedWith(file)]));
    const libraries = [...loaded].filter((name) => !/^(src\/|node:)/.test(name)).toSorted();
    expect(libraries).toEqual(['node-av/constants', 'node-av/lib', 'zod']);
  });

  test('the client is loaded with nothing but itself: it runs in browsers', () => {
    const loaded = [...loadedWith('src/client/index.ts')];
    expect(loaded.length).toBeGreaterThan(4);
    expect(loaded.filter((name) => !name.startsWith('src/client/'))).toEqual([]);
  });

  test('a server is loaded without what few switch on or ask for, and without codecs, which its children have', () => {
    const loaded = ['src/app/cli/serve.ts', 'src/app/server.ts'].flatMap((file) => [...loadedWith(file)]);
    expect(loaded.length).toBeGreaterThan(100);
    const foreign =
      /^(@opentelemetry|node-av|playwright-core)\/|^(@fastify\/swagger(-ui)?|commander|yaml)$|^src\/(observe\/traces|stages\/codec\/)/;
    expect(loaded.filter((name) => foreign.test(name))).toEqual([]);
  });

  test.each(DOORS)('%s only in %s', (pattern, places, why) => {
    const wrong = files.filter((f) => {
      const code = (textOf.get(f) ?? '').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return pattern.test(code) && !places.some((p) => f.startsWith(p));
    });
    expect(wrong, why).toEqual([]);
  });

  test('no file is over 500 lines, and none exports a default', () => {
    const long = files.filter((f) => (textOf.get(f) ?? '').split('\n').length > 501);
    const defaults = files.filter((f) => /^export default\b/m.test(textOf.get(f) ?? ''));
    expect(long).toEqual([]);
    expect(defaults).toEqual([]);
  });
});
