/**
 * GET /: the dashboard. Its files are built by scripts/build-dashboard.ts into web/dashboard/dist, each also packed,
 * and are read when somebody first asks for them. No request of the page leaves the server.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../../contract/problems.ts';

const FOLDER = join(import.meta.dirname, '../../../web/dashboard/dist');
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  // A player hands its pictures over as blobs.
  "media-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
const PACKINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

type Asset = { type: string; plain: Buffer; packed: Map<string, Buffer> };

export function dashboardPage(app: FastifyInstance, folder = FOLDER): void {
  let reading: Promise<Map<string, Asset>> | undefined;
  const assets = () => {
    reading ??= read(folder).catch((error) => {
      // It may be built meanwhile.
      reading = undefined;
      throw error;
    });
    return reading;
  };
  app.get('/', { exposeHeadRoute: false }, async (request, reply) => {
    const page = await assets().catch(() => undefined);
    const index = page?.get('index.html');
    if (index) return answer(request, reply, index, 'no-cache');
    return reply.code(503).type('text/plain; charset=utf-8').send('The dashboard is not built. Run: npm run build\n');
  });
  app.get<{ Params: { name: string } }>('/dashboard/:name', { exposeHeadRoute: false }, async (request, reply) => {
    const asset = (await assets().catch(() => undefined))?.get(request.params.name);
    if (!asset) throw problem('no-route');
    // Their names change with what is in them.
    return answer(request, reply, asset, 'public, max-age=31536000, immutable');
  });
}

async function read(folder: string): Promise<Map<string, Asset>> {
  const names = [
    ...(await readdir(folder)).filter((name) => name === 'index.html').map((name) => ['', name]),
    ...(await readdir(join(folder, 'dashboard'))).map((name) => ['dashboard', name]),
  ] as [string, string][];
  const assets = new Map<string, Asset>();
  for (const [dir, name] of names) {
    const type = TYPES[name.split('.').at(-1) ?? ''];
    if (type === undefined) continue;
    const path = join(folder, dir, name);
    const packed = new Map<string, Buffer>();
    for (const [encoding, suffix] of PACKINGS) {
      const body = await readFile(`${path}${suffix}`).catch(() => undefined);
      if (body) packed.set(encoding, body);
    }
    assets.set(name, { type, plain: await readFile(path), packed });
  }
  return assets;
}

function answer(request: FastifyRequest, reply: FastifyReply, asset: Asset, caching: string): FastifyReply {
  const accepted = String(request.headers['accept-encoding'] ?? '');
  const encoding = [...asset.packed.keys()].find((each) =>
    new RegExp(`\\b${each}\\b(?!\\s*;\\s*q=0(\\.0*)?\\b)`).test(accepted),
  );
  if (encoding) reply.header('content-encoding', encoding);
  return reply
    .type(asset.type)
    .header('vary', 'accept-encoding')
    .header('cache-control', caching)
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('cross-origin-opener-policy', 'same-origin')
    .header('cross-origin-resource-policy', 'same-origin')
    .header('permissions-policy', 'camera=(), microphone=(), geolocation=()')
    .header('referrer-policy', 'no-referrer')
    .header('x-content-type-options', 'nosniff')
    .send(encoding ? asset.packed.get(encoding) : asset.plain);
}
