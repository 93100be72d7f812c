import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { noticeOf } from '../../test/support/stored-recording.ts';
import { WebhookReceiver } from '../../test/support/webhook-receiver.ts';
import { noticeBody } from '../contract/webhook/notice.ts';
import { newSid } from '../kernel/ids.ts';
import { createSender } from './sender.ts';

let receiver: WebhookReceiver;
let clock: ManualClock;
beforeEach(async () => {
  receiver = await new WebhookReceiver().start();
  clock = new ManualClock();
});
afterEach(() => receiver.close());

const body = noticeBody(noticeOf(newSid(), 3), 1_755_765_617_377);
const post = (signal?: AbortSignal) => createSender({ clock, timeoutMs: 10_000 })(receiver.webhook, body, signal);

test('what is posted is the body, byte for byte, with both signatures', async () => {
  expect(await post()).toEqual({ delivered: true });
  const [received] = receiver.received;
  expect(received).toMatchObject({ method: 'POST', url: '/hook?x=1', body, signed: true });
  expect(received?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'aircheck' });
  expect(received?.headers['authorization']).toBeUndefined();
  expect(received?.headers['agora-signature']).toMatch(/^[0-9a-f]{40}$/);
  expect(received?.headers['agora-signature-v2']).toMatch(/^[0-9a-f]{64}$/);
});

test('connections are kept', async () => {
  for (let i = 0; i < 8; i++) expect(await post()).toEqual({ delivered: true });
  // The second may be asked for while the first is still being handed back.
  expect(new Set(receiver.received.map(({ connection }) => connection)).size).toBeLessThanOrEqual(2);
});

test.each([201, 204, 400, 404, 500, 503])('%i is not 200', async (status) => {
  receiver.behave = () => status;
  const sent = await post();
  const quoted = status === 204 ? '' : `: status ${status}`;
  expect(sent).toEqual({ delivered: false, error: `the receiver answered ${status} instead of 200${quoted}` });
});

test.each([301, 302, 307, 308])('%i is not followed', async (status) => {
  receiver.behave = () => status;
  expect(await post()).toMatchObject({ delivered: false, error: expect.stringContaining(String(status)) });
  expect(receiver.received).toHaveLength(1);
});

test('one that does not answer in time has failed', async () => {
  receiver.behave = () => 'hang';
  const sent = post();
  await receiver.until(() => receiver.received.length === 1);
  clock.advance(9_999);
  expect(await Promise.race([sent, 'waits'])).toBe('waits');
  clock.advance(1);
  expect(await sent).toEqual({ delivered: false, error: 'the receiver did not answer within 10 s' });
});

test('a 200 whose body never ends is a 200', async () => {
  receiver.behave = () => 'endless';
  const sent = post();
  await receiver.until(() => receiver.received.length === 1);
  // Reading is given up after a second; the clock moves until the sender has come to that.
  const moving = setInterval(() => clock.advance(1_000), 20);
  expect(await sent).toEqual({ delivered: true });
  clearInterval(moving);
});

test('a broken connection, and a receiver that is not there, are told in words', async () => {
  receiver.behave = () => 'drop';
  expect(await post()).toMatchObject({
    delivered: false,
    error: expect.stringMatching(/^the receiver cannot be reached: /),
  });
  const { webhook } = receiver;
  const gone = await new WebhookReceiver().start();
  const url = gone.url;
  await gone.close();
  const sent = await createSender({ clock, timeoutMs: 10_000 })({ ...webhook, url }, body);
  expect(sent).toEqual({ delivered: false, error: expect.stringMatching(/cannot be reached: .*ECONNREFUSED/) });
});

test('a sending can be broken off', async () => {
  receiver.behave = () => 'hang';
  const abort = new AbortController();
  const sent = post(abort.signal);
  await receiver.until(() => receiver.received.length === 1);
  abort.abort(new Error('enough'));
  expect(await sent).toEqual({ delivered: false, error: 'the sending was broken off: enough' });
});

test('a name and a password in the address become the header they stand for', async () => {
  const url = receiver.url.replace('http://', 'http://me:p%40ss@');
  const sent = await createSender({ clock, timeoutMs: 10_000 })({ ...receiver.webhook, url }, body);
  expect(sent).toEqual({ delivered: true });
  const expected = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
  expect(receiver.received[0]?.headers['authorization']).toBe(expected);
});
