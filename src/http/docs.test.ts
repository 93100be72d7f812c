import { type FastifyInstance, fastify } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { openApiDocument } from '../contract/openapi.ts';
import type { RecordingApi } from './api.ts';
import { dashboardPage } from './dashboard/page.ts';
import { type SignInApi, signInRoutes } from './dashboard/sign-in.ts';
import { docsRoutes } from './docs.ts';
import { drainRoutes } from './drain.ts';
import { eventsQuerySchema } from './events.ts';
import { healthRoute } from './health.ts';
import { metricsRoute } from './metrics.ts';
import { nodesRoute } from './nodes.ts';
import { publishPageRoutes } from './publish-page.ts';
import { recordingApi } from './recording-api.ts';
import { buildHttp } from './server.ts';
import { whipRoutes } from './whip.ts';

/** Everything the server answers; nothing behind it, as nothing of it is called. */
let app: FastifyInstance;
const routes: { method: string; url: string }[] = [];

beforeAll(async () => {
  app = buildHttp({ log: pino({ level: 'silent' }) });
  app.addHook('onRoute', ({ method, url }) => {
    // WHIP lists the methods it refuses.
    if (typeof method === 'string') routes.push({ method, url });
  });
  await app.register(docsRoutes);
  healthRoute(app, async () => ({ recordings: 0 }));
  metricsRoute(app, { customers: [], source: {} as never });
  nodesRoute(app, { customers: [], self: '', list: async () => [] });
  signInRoutes(app, { customers: [] } as unknown as SignInApi);
  dashboardPage(app);
  drainRoutes(app, { customers: [], drain: async () => {} });
  recordingApi(app, {
    customers: [],
    isApp: () => false,
    dashboard: {},
    live: {},
    retention: {},
    removals: {},
    mixes: {},
    thumbnails: {},
  } as unknown as RecordingApi);
  const clock = new ManualClock();
  app.register(whipRoutes, { endpoint: {} as never, apps: { find: () => undefined }, clock });
  app.register(publishPageRoutes);
  await app.ready();
});
afterAll(() => app.close());

const REGION = /^\/:region\([^)]*\)\)?/;
const PAGES = /^\/(publish|docs|dashboard|openapi\.json|llms\.txt)?(\/|$)/;
/** As the document writes it. */
const templateOf = (url: string) => url.replace(/:([a-z]+)(\([^/]*\))?/gi, '{$1}');
const isCall = ({ method, url }: (typeof routes)[number]) => !['HEAD', 'OPTIONS'].includes(method) && !PAGES.test(url);

describe('the document and the server', () => {
  const { paths = {} } = openApiDocument();
  const documented = Object.entries(paths).flatMap(([path, item]) =>
    ['get', 'post', 'patch', 'put', 'delete']
      .filter((method) => method in item)
      .map((method) => ({ call: `${method.toUpperCase()} ${path}`, regional: item.servers === undefined })),
  );
  const served = () => routes.filter(isCall).map(({ method, url }) => `${method} ${templateOf(url)}`);

  test('have the same calls', () => {
    const own = served().filter((call) => !call.includes('{region}'));
    expect(own.length).toBeGreaterThan(12);
    expect(own.toSorted()).toEqual(documented.map(({ call }) => call).toSorted());
  });

  test('have the same calls with a region before them', () => {
    const regional = routes.filter(({ url }) => REGION.test(url)).filter(isCall);
    const calls = regional.map(({ method, url }) => `${method} ${templateOf(url).replace('/{region}', '')}`);
    expect(calls.toSorted()).toEqual(
      documented
        .filter((entry) => entry.regional)
        .map(({ call }) => call)
        .toSorted(),
    );
  });

  test('have the same parameters of events', () => {
    const { parameters = [] } = paths['/v1/apps/{appid}/aircheck/events']?.get ?? {};
    const names = parameters.filter((p) => 'in' in p && p.in === 'query').map((p) => 'name' in p && p.name);
    expect(names.toSorted()).toEqual(Object.keys(eventsQuerySchema.shape).toSorted());
  });
});

describe('GET /openapi.json', () => {
  test('is the document, without credentials, and is not kept by caches unasked', async () => {
    const response = await app.inject('/openapi.json');
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(response.headers['cache-control']).toBe('no-cache');
    expect(response.json()).toEqual(JSON.parse(JSON.stringify(openApiDocument())));
  });

  test('is the document for all who ask at once', async () => {
    const fresh = fastify();
    await fresh.register(docsRoutes);
    const answers = await Promise.all(['/openapi.json', '/docs/json', '/openapi.json'].map((url) => fresh.inject(url)));
    for (const answer of answers) expect(answer.body).toBe(answers[0]?.body);
    await fresh.close();
  });
});

describe('GET /docs', () => {
  test.each(['/docs', '/docs/'])('%s is a page whose every part comes from this server', async (url) => {
    const page = await app.inject(url);
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|unsafe-eval|script-src[^;]*unsafe/);
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    const parts = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part = '']) => part);
    expect(parts.length).toBeGreaterThan(4);
    // A policy without 'unsafe-inline' for scripts would leave the page empty otherwise.
    expect(page.body).not.toMatch(/<script>|<script (?!src)/);
    for (const part of parts) {
      const { pathname, origin } = new URL(part, `http://here${url}`);
      expect(origin).toBe('http://here');
      const asset = await app.inject(pathname);
      expect([pathname, asset.statusCode]).toEqual([pathname, 200]);
      expect(asset.headers['content-type']).toMatch(/javascript|css|image/);
    }
  });

  test('asks nobody to judge the document', async () => {
    const { body } = await app.inject('/docs/static/swagger-initializer.js');
    expect(body).toContain('validatorUrl: null');
  });

  test('leads nowhere but to its own files', async () => {
    for (const url of [
      '/docs/static/nothing.js',
      '/docs/static/..%2f..%2fpackage.json',
      '/docs/static/%2e%2e/package.json',
    ]) {
      const answer = await app.inject(url);
      expect([url, answer.statusCode]).toEqual([url, 404]);
      expect(answer.json()).toEqual({ message: 'no Route matched with those values' });
    }
  });
});
