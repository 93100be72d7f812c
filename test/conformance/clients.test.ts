/**
 * The readers of replies and of webhooks themselves, on the contract's own samples and on replies they must trip over:
 * a reader that accepts everything would prove nothing about our server.
 */
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseFlatServerWebhook } from './clients/apps.ts';
import type { Endpoint, Mode } from './clients/calls.ts';
import { parseWithAll, type Verdict } from './parse-all.ts';

const HEADERS = { 'x-request-id': 'r', 'content-type': 'application/json; charset=utf-8' };
const HANDLE = {
  cname: 'ch1',
  uid: '527841',
  resourceId: 'JyvK8nXHuV1BE64GDkAaBG',
  sid: '38f8e3cfdc474cd56fc1ceba380d7e1a',
};
const FILE = {
  fileName: 'dir1/38f8_ch1.m3u8',
  trackType: 'audio_and_video',
  uid: '0',
  mixedAllUser: true,
  isPlayable: true,
  sliceStartTime: 1562724971626,
};
const HLS = { status: 5, fileListMode: 'string', fileList: 'dir1/38f8_ch1.m3u8', sliceStartTime: 1562724971626 };
const JSON_LIST = { status: 5, fileListMode: 'json', fileList: [FILE], sliceStartTime: 1562724971626 };
const EMPTY_LIST = { status: 4, fileList: [], fileListMode: 'json', sliceStartTime: 0 };
const SNAPSHOT = { status: 5, sliceStartTime: 0 };
const PAGE = {
  payload: {
    fileList: [
      { filename: 'xxx.m3u8', sliceStartTime: 1562724971626 },
      { filename: 'xxx_0.mp4', sliceStartTime: 1562724971626 },
    ],
    onhold: false,
    state: 'inProgress',
  },
  serviceName: 'web_recorder_service',
};
const PUSH = {
  payload: { outputs: [{ rtmpUrl: 'rtmp://xxx', status: 'publishing' }], state: 'inProgress' },
  serviceName: 'rtmp_publish_service',
};

type Case = { endpoint: Endpoint; mode?: Mode; snapshot?: boolean; status?: number; body: unknown; headers?: object };
function judge({ endpoint, mode = 'mix', snapshot = false, status = 200, body, headers = HEADERS }: Case): Verdict {
  const raw = typeof body === 'string' ? body : JSON.stringify(body);
  return parseWithAll(endpoint, mode, snapshot, status, raw, headers as Record<string, unknown>);
}
const query = (serverResponse: unknown, mode: Mode = 'mix', snapshot = false) =>
  judge({ endpoint: 'query', mode, snapshot, body: { ...HANDLE, serverResponse } });
const stop = (serverResponse: unknown, mode: Mode = 'mix', snapshot = false) =>
  judge({ endpoint: 'stop', mode, snapshot, body: { ...HANDLE, serverResponse } });
/** Who is on a list of a verdict. */
const names = (lines: string[]) => lines.map((line) => line.slice(0, line.indexOf(':')));
const MIDDLEWARE = 'agora-go-backend-middleware';

describe('replies of the contract are read by all', () => {
  test.each<[string, Case]>([
    ['acquire', { endpoint: 'acquire', body: { cname: 'ch1', uid: '527841', resourceId: 'JyvK8' } }],
    ['acquire until 2024', { endpoint: 'acquire', body: { resourceId: 'JyvK8' } }],
    ['start', { endpoint: 'start', body: HANDLE }],
    ['update', { endpoint: 'update', body: HANDLE }],
    ['updateLayout', { endpoint: 'updateLayout', body: HANDLE }],
    ['a second start', { endpoint: 'start', status: 201, body: { ...HANDLE, code: 7, reason: 'already started' } }],
    ['start, unfinished', { endpoint: 'start', status: 206, body: { code: 65, reason: 'request not completed' } }],
    ['no route', { endpoint: 'stop', status: 404, body: { message: 'no Route matched with those values' } }],
    ['a bad acquire', { endpoint: 'acquire', status: 400, body: { code: 2, reason: 'Acquire: invalid value!' } }],
    ['no worker', { endpoint: 'query', status: 404, body: { cname: '24080002', code: 404, reason: 'gone', uid: '1' } }],
    ['a late stop', { endpoint: 'stop', status: 206, body: { code: 50, reason: 'upload timeout' } }],
    ['nothing recorded', { endpoint: 'stop', status: 206, body: { code: 435, reason: 'no recorded data' } }],
    ['timed out', { endpoint: 'query', status: 504, body: { code: 62, reason: 'request timeout' } }],
    [
      'a stop of old',
      {
        endpoint: 'stop',
        status: 400,
        body: { ...HANDLE, code: 49, reason: 'x', serverResponse: { output: {}, payload: {} } },
      },
    ],
  ])('%s', (_name, given) => {
    expect(judge(given)).toEqual({ failures: [], expected: [] });
  });

  test('query and stop, each with what its reader cannot do whatever is sent', () => {
    const middleware = [expect.stringContaining(`${MIDDLEWARE}: it wants`)];
    expect(query(HLS)).toEqual({ failures: [], expected: middleware });
    expect(query({ ...HLS, fileList: '', sliceStartTime: 0 })).toEqual({ failures: [], expected: middleware });
    for (const mode of ['mix', 'individual'] as const)
      for (const list of [JSON_LIST, EMPTY_LIST]) expect(query(list, mode)).toEqual({ failures: [], expected: [] });
    expect(query(SNAPSHOT, 'individual', true)).toEqual({ failures: [], expected: middleware });

    const page = query({ status: 4, extensionServiceState: [PAGE] }, 'web');
    expect(page.failures).toEqual([]);
    expect(names(page.expected)).toEqual(['Go', MIDDLEWARE]);
    const pushed = query({ status: 4, extensionServiceState: [PAGE, PUSH] }, 'web');
    expect(pushed.failures).toEqual([]);
    expect(names(pushed.expected)).toEqual(['Java', 'Go', MIDDLEWARE]);
    const late = judge({ endpoint: 'query', status: 206, body: { code: 65, reason: 'request not completed' } });
    expect(late.failures).toEqual([]);
    expect(names(late.expected)).toEqual(['Java']);

    const { status: _status, sliceStartTime: _start, ...hls } = HLS;
    expect(stop({ ...hls, uploadingStatus: 'uploaded' })).toEqual({ failures: [], expected: middleware });
    const list = { fileListMode: 'json', fileList: [FILE], uploadingStatus: 'uploaded' };
    expect(stop(list)).toEqual({ failures: [], expected: [] });
    expect(stop({ uploadingStatus: 'uploaded' }, 'individual', true)).toEqual({ failures: [], expected: middleware });
    const upload = { payload: { uploadingStatus: 'uploaded' }, serviceName: 'upload_service' };
    expect(stop({ extensionServiceState: [PAGE, upload] }, 'web')).toEqual({ failures: [], expected: middleware });
  });
});

describe('what the contract forbids is told, and by whom', () => {
  test.each<[string, Verdict, string[]]>([
    // Java turns texts into numbers, and a number loses its fraction.
    ['a status as text', query({ ...JSON_LIST, status: '5' }), ['Go', 'Cloud-Recording-Golang']],
    ['a status with a fraction', query({ ...JSON_LIST, status: 5.5 }), ['Go', 'Cloud-Recording-Golang']],
    ['a status beyond 32 bits', query({ ...JSON_LIST, status: 5_000_000_000 }), ['Java']],
    ['a status of true', query({ ...JSON_LIST, status: true }), ['Java', 'Go', 'Cloud-Recording-Golang']],
    ['a time as text', query({ ...JSON_LIST, sliceStartTime: '1562724971626' }), ['Go', 'Cloud-Recording-Golang']],
    ['a fractional time', query({ ...JSON_LIST, sliceStartTime: 1562724971626.847 }), ['Go', 'Cloud-Recording-Golang']],
    [
      'a whole time written with a point',
      judge({
        endpoint: 'query',
        body: `{"resourceId":"r","sid":"s","serverResponse":${JSON.stringify(JSON_LIST).replace(/626}$/, '626.0}')}}`,
      }),
      ['Go', 'Cloud-Recording-Golang'],
    ],
    [
      'a fractional time in the list',
      query({ ...JSON_LIST, fileList: [{ ...FILE, sliceStartTime: 1562724971.626 }] }),
      ['Go', MIDDLEWARE],
    ],
    ['a flag as text', query({ ...JSON_LIST, fileList: [{ ...FILE, isPlayable: 'true' }] }), ['Go', MIDDLEWARE]],
    [
      'a flag that says yes',
      query({ ...JSON_LIST, fileList: [{ ...FILE, mixedAllUser: 'yes' }] }),
      ['Java', 'Go', MIDDLEWARE],
    ],
    ['a uid as number', query({ ...JSON_LIST, fileList: [{ ...FILE, uid: 0 }] }), ['Go', MIDDLEWARE]],
    ['an unknown member', query({ ...JSON_LIST, subServiceStatus: {} }), ['Java']],
    ['an unknown member of a file', query({ ...JSON_LIST, fileList: [{ ...FILE, size: 1 }] }), ['Java']],
    ['a file by its web name', query({ ...JSON_LIST, fileList: [{ ...FILE, filename: 'a' }] }), ['Java']],
    ['a list in a text', query({ ...JSON_LIST, fileList: '[]' }), ['Java', 'Go', MIDDLEWARE]],
    ['an empty text for a list', query({ ...JSON_LIST, fileList: '' }), ['Java', 'Go', MIDDLEWARE]],
    ['a list for a text', query({ ...HLS, fileList: [FILE] }), ['Java', 'Go']],
    ['an unknown fileListMode', query({ ...HLS, fileListMode: 'text' }), ['Node', 'Java', 'Go', MIDDLEWARE]],
    ['no fileListMode', query({ status: 5, fileList: '', sliceStartTime: 0 }), ['Node', 'Java', 'Go', MIDDLEWARE]],
    ['no serverResponse', judge({ endpoint: 'query', body: HANDLE }), ['Node', 'Java', 'Go', MIDDLEWARE]],
    ['a recording with the reply of snapshots', query(SNAPSHOT, 'individual'), ['Node', 'Java', 'Go', MIDDLEWARE]],
    ['snapshots with the reply of a recording', query(JSON_LIST, 'individual', true), ['Node', 'Java', 'Go']],
    ['snapshots that say text', query({ ...SNAPSHOT, fileListMode: 'string' }, 'individual', true), ['Java']],
    [
      'a page with fileName',
      query(
        {
          status: 4,
          extensionServiceState: [{ ...PAGE, payload: { ...PAGE.payload, fileList: [{ fileName: 'a' }] } }],
        },
        'web',
      ),
      ['Java'],
    ],
    ['a push before the page', query({ status: 4, extensionServiceState: [PUSH, PAGE] }, 'web'), ['Java']],
    [
      'a push with a member more',
      query({ status: 4, extensionServiceState: [PAGE, { ...PUSH, payload: { ...PUSH.payload, retries: 1 } }] }, 'web'),
      ['Java'],
    ],
    ['a page as an object', query({ status: 4, extensionServiceState: PAGE }, 'web'), ['Java', MIDDLEWARE]],
    [
      'a number among texts',
      judge({ endpoint: 'start', body: { ...HANDLE, uid: 527841 } }),
      ['Go', MIDDLEWARE, 'Cloud-Recording-Golang'],
    ],
    [
      'a member more that is no text',
      judge({ endpoint: 'update', body: { ...HANDLE, status: 1 } }),
      ['Cloud-Recording-Golang'],
    ],
    [
      'a start without sid',
      judge({ endpoint: 'start', status: 201, body: { resourceId: 'r', code: 7, reason: 'already started' } }),
      ['Node', 'Python', 'Java', 'flat-server'],
    ],
    [
      'an array',
      judge({ endpoint: 'acquire', body: [] }),
      ['Node', 'Python', 'Java', 'Go', MIDDLEWARE, 'Cloud-Recording-Golang', 'flat-server'],
    ],
    [
      'no JSON',
      judge({ endpoint: 'acquire', body: 'ok' }),
      ['Node', 'Python', 'Java', 'Go', MIDDLEWARE, 'Cloud-Recording-Golang', 'flat-server'],
    ],
    ['a code as text', judge({ endpoint: 'stop', status: 404, body: { code: '404', reason: 'x' } }), ['Go', 'all']],
    ['a code with a fraction', judge({ endpoint: 'start', status: 500, body: '{"code":502.0,"reason":"x"}' }), ['all']],
    ['a code without reason', judge({ endpoint: 'stop', status: 404, body: { code: 404 } }), ['all']],
    ['an error without words', judge({ endpoint: 'stop', status: 404, body: {} }), ['all']],
    ['a page of HTML', judge({ endpoint: 'query', status: 502, body: '<html>' }), ['Node', 'Cloud-Recording-Golang']],
    [
      'no request id',
      judge({ endpoint: 'start', body: HANDLE, headers: { 'content-type': 'application/json' } }),
      ['all'],
    ],
    [
      'plain text',
      judge({ endpoint: 'start', body: HANDLE, headers: { ...HEADERS, 'content-type': 'text/plain' } }),
      ['all'],
    ],
  ])('%s', (_name, { failures }, readers) => {
    expect(names(failures), failures.join('\n')).toEqual(readers);
  });
});

describe('a webhook as flat-server takes it', () => {
  const sample = {
    noticeId: '31aeb35a9245cbd977cfe18b438b75ed',
    notifyMs: 1596555306283,
    eventType: 40,
    sid: 'd12fdce9024d37862a8f3a88e387c817',
    payload: {
      serviceType: 1,
      uid: '1001',
      sequence: 1,
      sendts: 1596555306257,
      cname: 'Testing2',
      details: { status: 0, msgName: 'recorder_started' },
      sid: 'd12fdce9024d37862a8f3a88e387c817',
    },
    productId: 3,
  };
  const sign = (body: string) => createHmac('sha256', 'secret').update(body).digest('hex');
  const take = (body: string) => parseFlatServerWebhook(body, 'secret', sign(body));
  const withDetails = (eventType: number, details: unknown) =>
    JSON.stringify({ ...sample, eventType, payload: { ...sample.payload, details } });

  test('the real one passes', () => {
    expect(take(JSON.stringify(sample))).toEqual(sample);
    expect(take(withDetails(45, { msgName: 'recorder_snapshot_file', fileName: 'd/a.jpg' })).eventType).toBe(45);
    expect(sign(vector)).toBe('6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99');
  });
  const vector =
    '{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}';

  test.each([
    ['spaces', JSON.stringify(sample, null, 1), /signature/],
    ['an escaped slash', JSON.stringify(sample).replace('Testing2', 'a\\/b'), /signature/],
    ['an escaped letter', JSON.stringify(sample).replace('Testing2', '\\u0041'), /signature/],
    ['a whole number with a point', JSON.stringify(sample).replace('"sequence":1', '"sequence":1.0'), /signature/],
    ['a number as text', JSON.stringify({ ...sample, productId: '3' }), /productId is no whole number/],
    ['a fraction', JSON.stringify({ ...sample, notifyMs: 1.5 }), /notifyMs is no whole number/],
    ['no payload', JSON.stringify({ ...sample, payload: undefined }), /payload is no object/],
    ['a number for a text', JSON.stringify({ ...sample, noticeId: 1 }), /noticeId is no string/],
    ['a uid as number', JSON.stringify({ ...sample, payload: { ...sample.payload, uid: 1001 } }), /uid is no string/],
    ['details that are none', withDetails(40, null), /details is no object/],
    ['a snapshot without file', withDetails(45, { msgName: 'x' }), /fileName is no string/],
    ['no JSON', '{', /not JSON/],
  ])('%s is refused', (_name, body, why) => {
    expect(() => take(body)).toThrow(why);
  });

  test('another secret is refused', () => {
    expect(() => parseFlatServerWebhook(JSON.stringify(sample), 'other', sign(JSON.stringify(sample)))).toThrow(
      /signature/,
    );
    expect(() => parseFlatServerWebhook(JSON.stringify(sample), 'secret', '')).toThrow(/signature/);
  });
});
