import { expect, test } from 'vitest';
import { noticeBody, type Notice as Told } from '../contract/webhook/notice.ts';
import { signatureHeaders } from '../notify/signature.ts';
import { readWebhook } from './webhook.ts';

const SECRET = 'a secret ü';
const TOLD: Told = {
  noticeId: 'b'.repeat(32),
  productId: 3,
  eventType: 11,
  sid: 'a'.repeat(32),
  payload: {
    ...{ cname: 'größer', uid: '1', sid: 'a'.repeat(32), sequence: 4, sendts: 1, serviceType: 0 },
    serviceScene: 'mix_record',
    details: { msgName: 'session_exit', exitStatus: 0 },
  },
};
const body = noticeBody(TOLD, 7);
const signature = signatureHeaders(SECRET, body)['Agora-Signature-V2'];

test('what the server sends is read, as text and as bytes, and its type says what is in it', async () => {
  for (const given of [body, Buffer.from(body), new TextEncoder().encode(body)]) {
    const notice = await readWebhook({ body: given, signature, secret: SECRET });
    expect(notice).toEqual({ ...TOLD, notifyMs: 7 });
    if (notice.eventType !== 11) throw new Error('not of its type');
    const exit: 0 | 1 = notice.payload.details.exitStatus;
    expect(exit).toBe(0);
  }
});

test('a view into a larger buffer is read as what it shows', async () => {
  const larger = Buffer.concat([Buffer.from('xx'), Buffer.from(body), Buffer.from('yy')]);
  const view = larger.subarray(2, larger.length - 2);
  expect((await readWebhook({ body: view, signature, secret: SECRET })).noticeId).toBe(TOLD.noticeId);
});

test.each([
  ['another body', { body: `${body} ` }],
  ['another secret', { secret: 'a secret u' }],
  ['no secret', { secret: '' }],
  ['no signature', { signature: undefined }],
  ['the older signature', { signature: signatureHeaders(SECRET, body)['Agora-Signature'] }],
  ['a signature that is not one', { signature: 'z'.repeat(64) }],
  ['a signature with more behind it', { signature: `${signature}00` }],
])('%s is refused', async (_what, changes) => {
  await expect(readWebhook({ body, signature, secret: SECRET, ...changes })).rejects.toThrow(TypeError);
});

test('what is signed and no notice is refused', async () => {
  const other = '{"noticeId":1}';
  const signed = signatureHeaders(SECRET, other)['Agora-Signature-V2'];
  await expect(readWebhook({ body: other, signature: signed, secret: SECRET })).rejects.toThrow('no notice');
});
