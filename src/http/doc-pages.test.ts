import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { docPageRoutes, docPages } from './doc-pages.ts';
import { buildHttp } from './server.ts';

const ROOT = join(import.meta.dirname, '../..');
const app = buildHttp({ log: pino({ level: 'silent' }) });
beforeAll(async () => {
  await app.register(docPageRoutes);
});
afterAll(() => app.close());

test('every page of the docs is plain Markdown at its place', async () => {
  const pages = globSync('docs/**/*.md', { cwd: ROOT });
  expect(pages.length).toBeGreaterThan(40);
  for (const page of pages) {
    const { statusCode, headers, body } = await app.inject(`/${page}`);
    expect([page, statusCode, headers['content-type']]).toEqual([page, 200, 'text/markdown; charset=utf-8']);
    expect(body).toBe(readFileSync(join(ROOT, page), 'utf8'));
  }
});

test('llms.txt lists every guide and reference, and each of its links leads somewhere', async () => {
  const { statusCode, headers, body } = await app.inject('/llms.txt');
  expect([statusCode, headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
  expect(body).toMatch(/^# Aircheck\n\n> /);
  const links = [...body.matchAll(/\]\((\/docs\/[^)]+)\)/g)].map(([, link = '']) => link);
  const pages = globSync('docs/{guide,reference}/*.md', { cwd: ROOT }).map((page) => `/${page}`);
  expect(links.filter((link) => !link.includes('/adr/')).toSorted()).toEqual(pages.toSorted());
  for (const link of links) expect([link, (await app.inject(link)).statusCode]).toEqual([link, 200]);
});

test('pages link to each other by addresses that are served', async () => {
  const broken: string[] = [];
  for (const { path, text } of await docPages())
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+\.md)(?:#[^)]*)?\)/g)) {
      const { pathname } = new URL(target, `http://here/docs/${path}`);
      // Pages of the repository itself are no pages of the docs.
      if (!pathname.startsWith('/docs/')) continue;
      if ((await app.inject(pathname)).statusCode !== 200) broken.push(`${path} → ${target}`);
    }
  expect(broken).toEqual([]);
});

test.each([
  '/docs/guide/nothing.md',
  '/docs/guide/..%2f..%2fpackage.json',
  '/docs/guide/%2e%2e/%2e%2e/README.md',
  '/docs/reference/openapi.json',
  '/docs/guide/moving',
])('%s is no page', async (url) => {
  const answer = await app.inject(url);
  expect([url, answer.statusCode]).toEqual([url, 404]);
});
