/** The call in the document that fetches an MP4 which was made of a recording afterwards: a cut, or a mix. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import type { ProblemName } from '../problems.ts';
import { EVERYWHERE, errors } from './responses.ts';

const mp4 = { 'video/mp4': { schema: { type: 'string', format: 'binary' } } } as const;

/** @param refusals what it answers besides where there is no MP4 to fetch */
export function madeMp4Call(
  what: 'cut' | 'mix',
  path: z.ZodObject,
  refusals: readonly ProblemName[],
): ZodOpenApiOperationObject {
  return {
    operationId: `${what}File`,
    tags: ['Recording'],
    summary: `Fetch the MP4 of a ${what}, or a span of its bytes`,
    requestParams: {
      path,
      header: z.object({
        Range: z
          .string()
          .optional()
          .meta({ description: 'As `bytes=0-999999`. Needed for more than 64 MB of another node.' }),
      }),
    },
    responses: {
      200: { description: 'The MP4.', content: mp4 },
      206: { description: 'A span of it.', content: mp4 },
      ...errors([...EVERYWHERE, ...refusals, 'range-invalid']),
    },
  };
}
