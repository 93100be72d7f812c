import { afterEach, expect, test, vi } from 'vitest';
import { childEnvironment } from './child-environment.ts';

afterEach(() => vi.unstubAllEnvs());

test('a child has what it needs of our environment, and no setting', () => {
  vi.stubEnv('AIRCHECK_NOTIFY_SECRET', 'nobody else’s');
  vi.stubEnv('LANG', 'C');
  const environment = childEnvironment({ UV_THREADPOOL_SIZE: '2' });
  expect(environment).toMatchObject({ LANG: 'C', PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '2' });
  expect(Object.keys(environment).filter((name) => name.startsWith('AIRCHECK_'))).toEqual([]);
});
