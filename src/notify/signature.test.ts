import { expect, test } from 'vitest';
import { signatureHeaders } from './signature.ts';

// The vendor's own example (contract §3.1).
const BODY =
  '{"eventMs":1560408533119,"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,"payload":{"a":"1","b":2},"productId":1}';

test('are those of the documented example', () => {
  expect(signatureHeaders('secret', BODY)).toEqual({
    'Agora-Signature': '033c62f40f687675f17f0f41f91a40c71c0f134c',
    'Agora-Signature-V2': '6d3320c60b11101395b7fc8f9068748808a0aa1bfa064438e39d1bc2c7d74d99',
  });
});

test('are over bytes, so text and its UTF-8 bytes are signed alike', () => {
  const body = '{"cname":"Zimmer ü 部屋"}';
  expect(signatureHeaders('s', Buffer.from(body, 'utf8'))).toEqual(signatureHeaders('s', body));
});
