import type dns from 'node:dns';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  BAD_ANSWERS,
  file,
  ImageServer,
  redirect,
  status,
} from '../../../../test/support/image-server.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import type { Fault } from '../../../kernel/fault.ts';
import { fetchImage, IMAGE_TIMEOUT_MS, MAX_IMAGE_BYTES } from './fetch-image.ts';

const guard = new EndpointGuard({ networks: ['loopback'], plainHttp: true, setting: 'imageNetworks' });
const IMAGE = Buffer.from('an image');
const answers: Record<string, Answer> = {
  ...BAD_ANSWERS,
  'image.png?key=SECRET': file(IMAGE),
  moved: redirect('image.png?key=SECRET', 307),
  full: file(Buffer.alloc(MAX_IMAGE_BYTES)),
  down: status(503),
};
let server: ImageServer;
beforeEach(async () => {
  server = await ImageServer.serve(answers);
});
afterEach(async () => {
  await expect.poll(() => server.connections, { timeout: 15_000 }).toBe(0);
  await server.close();
});

const failureOf = (work: Promise<Buffer>) =>
  work.then(
    (bytes) => `${bytes.length} bytes`,
    (error: Fault) => error,
  );

describe('an image', () => {
  test('comes as it is, also from where its server redirects to', async () => {
    const options = { guard, clock: systemClock };
    expect(await fetchImage(server.url('image.png?key=SECRET'), options)).toEqual(IMAGE);
    expect(await fetchImage(server.url('moved'), options)).toEqual(IMAGE);
    expect(await fetchImage(server.url('full'), options)).toHaveLength(MAX_IMAGE_BYTES);
  });

  test.each([
    ['saysTooManyBytes', 'image-too-large', false],
    ['sendsTooManyBytes', 'image-too-large', false],
    ['breaksOff', 'image-unreachable', true],
    ['isNotThere', 'image-status', false],
    ['down', 'image-status', true],
    ['redirectsToPrivate', 'endpoint-refused', false],
    ['redirectsToMetadata', 'endpoint-refused', false],
    ['redirectsToFile', 'image-redirect', false],
    ['redirectsForEver', 'image-redirects', false],
  ])('whose server %s is refused as %s; worth another attempt: %j', async (path, code, retryable) => {
    const failure = failureOf(fetchImage(server.url(path), { guard, clock: systemClock }));
    expect(await failure).toMatchObject({ code, retryable });
  });

  test.each(['hangs', 'hangsAfterHeaders', 'drips'])('whose server %s is given up in time', async (path) => {
    const clock = new ManualClock();
    const failure = failureOf(fetchImage(server.url(path), { guard, clock }));
    await expect.poll(() => server.asked, { timeout: 15_000 }).toEqual([`/${path}`]);
    clock.advance(IMAGE_TIMEOUT_MS);
    expect(await failure).toMatchObject({ code: 'image-timeout', retryable: true });
  });

  test('is not asked for where the guard lets nobody, by number or by name', async () => {
    const lookup = ((_name: string, _options: unknown, done: (error: null, all: unknown) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as typeof dns.lookup;
    const strict = new EndpointGuard({ networks: [], plainHttp: true, setting: 'imageNetworks' }, lookup);
    const { port } = new URL(server.url(''));
    for (const url of [server.url('image.png'), `http://images.example:${port}/`, `http://2130706433:${port}/`])
      expect(await failureOf(fetchImage(url, { guard: strict, clock: systemClock }))).toMatchObject({
        code: 'endpoint-refused',
        message: expect.stringMatching(/is a loopback address.*imageNetworks/),
      });
    expect(server.asked).toEqual([]);
  });

  test('is asked for by an address that no message repeats but for its host', async () => {
    const url = server.url('isNotThere?key=SECRET').replace('http://', 'http://user:SECRET@');
    const failure = await failureOf(fetchImage(url, { guard, clock: systemClock }));
    expect(failure).toMatchObject({ message: `${new URL(url).host} answers with status 404` });
  });
});
