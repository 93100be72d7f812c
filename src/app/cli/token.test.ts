import { afterEach, expect, test, vi } from 'vitest';
import { printToken } from './token.ts';

const APP = '0123456789abcdef0123456789abcdef';
let said = '';
function settings(certificate: string): void {
  vi.stubEnv('AIRCHECK_APP_ID', APP);
  vi.stubEnv('AIRCHECK_APP_CERTIFICATE', certificate);
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
}
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test('a token is printed alone, or as JSON with what it is for', () => {
  settings('f'.repeat(32));
  printToken({ channel: 'room', uid: '7', life: 60 });
  expect(said).toMatch(/^007\S+\n$/);
  said = '';
  printToken({ channel: 'room', life: 60, json: true });
  expect(JSON.parse(said)).toEqual({
    ...{ token: expect.stringMatching(/^007\S+$/), appid: APP, channel: 'room', uid: null, lifeS: 60 },
  });
});

test('where there is no certificate it says that none is needed', () => {
  settings('');
  expect(() => printToken({ channel: 'room', life: 60 })).toThrow(/needs no tokens: publish and record without/);
});
