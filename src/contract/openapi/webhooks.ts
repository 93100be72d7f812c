/**
 * The notices that a server sends, as webhooks of the document (contract §3).
 */
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { NOTICE_TYPES, noticeSchema } from '../webhook/notice.ts';

const signature = (algorithm: string) =>
  z.string().meta({ description: `${algorithm} of the body's bytes with the app's secret, in lowercase hexadecimal.` });
const headers = z.object({
  'Agora-Signature': signature('HMAC-SHA1'),
  'Agora-Signature-V2': signature('HMAC-SHA256'),
});

/** Named by the `msgName` of each type. */
export function noticeWebhooks(): ZodOpenApiPathsObject {
  const webhooks: ZodOpenApiPathsObject = {};
  for (const [eventType, { about, details, serviceType }] of Object.entries(NOTICE_TYPES)) {
    const [msgName = eventType] = details.shape.msgName.values;
    const { payload } = noticeSchema.shape;
    const schema = noticeSchema.extend({
      eventType: z.literal(Number(eventType)),
      notifyMs: z.int(),
      payload: payload.extend({ serviceType: z.literal(serviceType), details }),
    });
    webhooks[msgName] = {
      post: {
        operationId: msgName,
        summary: `Event ${eventType}`,
        description: about,
        security: [],
        requestParams: { header: headers },
        requestBody: { required: true, content: { 'application/json': { schema } } },
        responses: { 200: { description: 'Taken. After any other answer the notice is sent again.' } },
      },
    };
  }
  return webhooks;
}
