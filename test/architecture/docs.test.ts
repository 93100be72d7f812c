/**
 * Holds the docs to the code: links resolve, every public error code is documented and the reverse, and the README's
 * two commands are what CI runs.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { qualityReportSchema } from '../../src/contract/line/quality-report.ts';

const ROOT = join(import.meta.dirname, '../..');
const pages = globSync('{*.md,docs/**/*.md}', { cwd: ROOT });
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** The anchor a heading gets. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[`*()/.,:?!'"]/g, '')
    .trim()
    .replace(/\s+/g, '-');

describe('the docs', () => {
  test('every relative link leads to a file, and every anchor to a heading', () => {
    const broken: string[] = [];
    for (const page of pages) {
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path);
        if (!existsSync(join(ROOT, file))) broken.push(`${page} → ${target}`);
        else if (anchor) {
          const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map((m) => anchorOf(m[1] ?? ''));
          if (!headings.includes(anchor)) broken.push(`${page} → ${target} (no such heading)`);
        }
      }
    }
    expect(pages.length).toBeGreaterThan(8);
    expect(broken).toEqual([]);
  });

  test('every ADR is listed, and lists nothing that is not there', () => {
    const index = read('docs/adr/README.md');
    const files = globSync('docs/adr/0*.md', { cwd: ROOT }).map((f) => f.replace('docs/adr/', ''));
    expect(files.filter((f) => !index.includes(`](${f})`))).toEqual([]);
  });

  test('the README names the commands that CI runs', () => {
    const scripts = JSON.parse(read('package.json')).scripts as Record<string, string>;
    expect(read('.ci/run')).toMatch(/^npm test$/m);
    for (const [, name = ''] of read('README.md').matchAll(/^npm (?:run )?(\w+)/gm))
      expect(Object.keys(scripts)).toContain(name);
    for (const [, name = ''] of read('CONTRIBUTING.md').matchAll(/^npm (?:run )?([\w:]+)/gm)) {
      expect(Object.keys(scripts)).toContain(name);
    }
  });

  test('every member of the quality report is described, and why is explained by each of its words', () => {
    const page = read('docs/guide/quality-report.md');
    const names = new Set<string>();
    const collect = (schema: unknown): void => {
      if (Array.isArray(schema)) for (const each of schema) collect(each);
      if (typeof schema !== 'object' || schema === null) return;
      for (const [name, value] of Object.entries(schema)) {
        if (name === 'properties') for (const member of Object.keys(value as object)) names.add(member);
        if (name === 'enum') for (const word of value as unknown[]) if (typeof word === 'string') names.add(word);
        collect(value);
      }
    };
    collect(z.toJSONSchema(qualityReportSchema));
    expect(names.size).toBeGreaterThan(70);
    expect([...names].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test('no page names a path of some machine', () => {
    const wrong = pages.filter((p) => /(^|[\s`(])\/(home|root|work|Users)\//.test(read(p)));
    expect(wrong).toEqual([]);
  });
});
