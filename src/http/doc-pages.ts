/**
 * The pages of the documentation as they lie in the package, for programs that read: each as plain Markdown at
 * `/docs/<its path>`, and `/llms.txt`, which lists them (llmstxt.org).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';
import { problem } from '../contract/problems.ts';

type DocPage = {
  /** Below `docs`, with slashes: `guide/moving.md`. */
  path: string;
  title: string;
  /** Markdown. */
  text: string;
};

const ROOT = join(import.meta.dirname, '../..');
const FOLDERS = ['guide', 'reference', 'reference/bench', 'adr'];
/** A page of the README's list: `- [title](docs/…​.md): what it tells`. */
const LISTED = /^- \[([^\]]+)\]\(docs\/([\w/-]+\.md)\)(?:: (.*))?$/gm;

/** What the README lists of the docs, with what it says of each. */
async function listedPages(): Promise<{ path: string; title: string; about: string }[]> {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  return [...readme.matchAll(LISTED)].map(([, title = '', path = '', about = '']) => ({ path, title, about }));
}

/** Every page that the README lists. */
export async function docPages(): Promise<DocPage[]> {
  return Promise.all(
    (await listedPages()).map(async ({ path, title }) => ({
      ...{ path, title },
      text: await readFile(join(ROOT, 'docs', path), 'utf8'),
    })),
  );
}

/** The list of all pages as Markdown, with the address of each. */
async function llmsText(): Promise<string> {
  const pages = await listedPages();
  const lines = (folder: string) =>
    pages
      .filter(({ path }) => path.startsWith(`${folder}/`))
      .map(({ path, title, about }) => `- [${title}](/docs/${path})${about === '' ? '' : `: ${about}`}`);
  return [
    '# Aircheck',
    '',
    '> A self-hosted cloud recording server for WebRTC channels. It speaks the REST API of Agora Cloud Recording, records channels that publishers reach over WHIP, and stores HLS, MP4, WebM and snapshots in a folder or an object store.',
    '',
    'This server describes its calls at [/openapi.json](/openapi.json) (OpenAPI 3.1). Calls want HTTP Basic with a customer id and secret.',
    '',
    '## Guides',
    '',
    ...lines('guide'),
    '',
    '## Reference',
    '',
    ...lines('reference'),
    '',
    '## Optional',
    '',
    '- [Decisions](/docs/adr/README.md): how it is built, and why',
    '',
  ].join('\n');
}

export const docPageRoutes: FastifyPluginAsync = async (server) => {
  server.get('/llms.txt', { exposeHeadRoute: false }, async (_request, reply) =>
    reply
      .type('text/plain; charset=utf-8')
      .header('cache-control', 'no-cache')
      .send(await llmsText()),
  );
  for (const folder of FOLDERS)
    server.get<{ Params: { page: string } }>(
      `/docs/${folder}/:page`,
      { exposeHeadRoute: false },
      async ({ params: { page } }, reply) => {
        // One name without a folder: nothing else can be asked for.
        if (!/^[\w-]+\.md$/.test(page)) throw problem('no-route');
        const text = await readFile(join(ROOT, 'docs', folder, page), 'utf8').catch(() => undefined);
        if (text === undefined) throw problem('no-route');
        return reply.type('text/markdown; charset=utf-8').header('cache-control', 'no-cache').send(text);
      },
    );
};
