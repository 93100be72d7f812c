import { describe, expect, test } from 'vitest';
import { lintCall } from '../../../contract/lint/lint.ts';
import { parseStart } from '../../../contract/rest/start.ts';
import { type RecordWords, requestOf } from './record-request.ts';

const WORDS: RecordWords = { mode: 'mix', size: '1280x720', fps: '30', layout: 'best-fit', mp4: true, bucket: 'mine' };
const asked = (words: Partial<RecordWords>) => requestOf({ ...WORDS, ...words });

describe('what is asked for is what a server takes', () => {
  test.each([
    ['mix', {}],
    ['individual', { mode: 'individual' }],
    ['web', { mode: 'web', page: 'https://example.com/' }],
    ['without MP4', { mp4: false, layout: 'vertical', idle: '60' }],
  ] as const)('%s', (_name, words) => {
    const { mode, clientRequest, bucket } = asked(words);
    expect(parseStart(mode, { cname: 'a', uid: '1', clientRequest })).toMatchObject({ mode });
    expect(bucket).toBe('mine');
  });

  test.each(['mix', 'individual', 'web'] as const)('and nothing in it is doubtful: %s', (mode) => {
    const { clientRequest } = asked({ mode, ...(mode === 'web' && { page: 'https://example.com/' }) });
    expect(lintCall({ call: 'start', mode, body: { cname: 'a', uid: '1', clientRequest } })).toEqual([]);
  });

  test('of everybody alone as many are recorded as may be', () => {
    const { clientRequest } = asked({ mode: 'individual' });
    const body = { cname: 'a', uid: '1', clientRequest };
    expect(parseStart('individual', body)).toMatchObject({ recordingConfig: { subscribeUidGroup: 5 } });
  });

  test('a layout is the one of its name', () => {
    const layoutOf = (layout: RecordWords['layout']) =>
      (asked({ layout }).clientRequest as { recordingConfig: { transcodingConfig: { mixedVideoLayout: number } } })
        .recordingConfig.transcodingConfig.mixedVideoLayout;
    expect((['floating', 'best-fit', 'vertical'] as const).map(layoutOf)).toEqual([0, 1, 2]);
  });

  test('another store is taken from JSON, and then the files lie in no folder of the server', () => {
    const storage = {
      vendor: 11,
      bucket: 'b',
      accessKey: 'a',
      secretKey: 's',
      extensionParams: { endpoint: 'x.example' },
    };
    const { clientRequest, bucket } = asked({ storage: JSON.stringify(storage) });
    expect([clientRequest['storageConfig'], bucket]).toEqual([storage, undefined]);
  });

  test('members of --request stand in place of those that the options make', () => {
    const recordingConfig = { streamTypes: 0 };
    expect(asked({ request: JSON.stringify({ recordingConfig }) }).clientRequest).toMatchObject({ recordingConfig });
  });
});

test.each([
  [{ uid: '0' }, '--uid is 0'],
  [{ size: '1280' }, '--size is 1280; it is as 1280x720'],
  [{ size: '1281x720' }, 'both even'],
  [{ size: '3840x2160' }, 'width x height must not be over 1920 x 1080'],
  [{ fps: '61' }, '--fps is 61; it is a whole number from 1 to 60'],
  [{ fps: '25' }, '--fps is 25; a composite has 1, 7, 10, 15, 24, 30 or 60 frames per second'],
  [{ bitrate: '1e3' }, '--bitrate is 1e3'],
  [{ bucket: '../x' }, 'bucket of vendor 1000 is one folder name'],
  [{ storage: '{"vendor":1}' }, 'clientRequest.storageConfig.bucket'],
  [{ storage: '/nowhere.json' }, '--storage cannot be read: ENOENT'],
  [{ request: '{"a":' }, '--request cannot be read'],
  [{ mode: 'web' }, '--mode web needs --page'],
  [{ mode: 'web', page: 'ftp://x' }, 'must be an http:// or https:// address'],
] as [Partial<RecordWords>, string][])('%j is refused', (words, why) => {
  expect(() => asked(words)).toThrow(why);
});
