import { describe, expect, test } from 'vitest';
import { maskedAddress, readRtmpAddress, toTargets } from './push.ts';

describe('an address', () => {
  test.each([
    ['rtmp://x/y', { host: 'x', port: 1935, app: 'y', key: '' }],
    ['rtmp://live.example.com/app/key', { port: 1935, tls: false, app: 'app', key: 'key' }],
    ['rtmps://live.example.com:444/app/key?sig=a/b==', { port: 444, tls: true, app: 'app', key: 'key?sig=a/b==' }],
    ['rtmps://live.example.com/rtmp2/k', { port: 443, tcUrl: 'rtmps://live.example.com/rtmp2' }],
    [
      'rtmp://h:19350/app/instance/key/more',
      { app: 'app/instance', key: 'key/more', tcUrl: 'rtmp://h:19350/app/instance' },
    ],
    ['rtmp://h/app?vhost=v/key', { app: 'app?vhost=v', key: 'key' }],
    ['rtmp://[::1]:1936/a/b', { host: '::1', port: 1936 }],
  ])('%s', (text, parts) => {
    expect(readRtmpAddress(text)).toMatchObject(parts);
  });

  test.each(['http://h/a/b', 'rtmp:///a/b', 'rtmp://h', 'rtmp://h/', 'rtmp://user:word@h/a/b', 'rtmpt://h/a', 'x'])(
    '%s is none',
    (text) => {
      expect(readRtmpAddress(text)).toBeUndefined();
    },
  );
});

test.each([
  ['rtmp://live.example.com/app/key', 'rtmp://live.example.com/app/***'],
  ['rtmps://h:444/app/key?sig=abc', 'rtmps://h:444/app/***'],
  ['rtmp://h/app/secret/stream', 'rtmp://h/app/***'],
  ['rtmp://h/maybe-a-key', 'rtmp://h/***'],
  ['rtmp://h/app?auth=secret/key', 'rtmp://h/***'],
  ['not an address', '***'],
])('%s is told as %s', (text, told) => {
  expect(maskedAddress(text)).toBe(told);
});

test('a push whose address stays goes on', () => {
  let ids = 0;
  const newId = () => String(++ids);
  const first = toTargets(['rtmp://a/b', 'rtmp://c/d'], [], newId);
  const second = toTargets(['rtmp://e/f', 'rtmp://c/d'], first, newId);
  expect(second).toEqual([{ id: '3', url: 'rtmp://e/f' }, first[1]]);
});
