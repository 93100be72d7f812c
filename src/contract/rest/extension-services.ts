/**
 * `extensionServiceConfig` of start in web mode: the page to record, and where to push it live (contract §1.2.7).
 */
import { z } from 'zod';
import { readRtmpAddress } from '../line/push.ts';
import { httpUrlSchema, oneOf, whole } from './fields.ts';

const pageSchema = z
  .object({
    url: httpUrlSchema,
    audioProfile: oneOf(0, 1, 2),
    videoWidth: whole(240, 1920),
    videoHeight: whole(240, 1920),
    maxRecordingHour: whole(1, 720),
    videoBitrate: whole(50, 8000).optional(),
    VideoBitrate: whole(50, 8000).optional().meta({ description: 'videoBitrate as two client libraries spell it.' }),
    videoFps: whole(5, 60).default(15),
    mobile: z.boolean().default(false),
    maxVideoDuration: whole(30, 240).default(120),
    onhold: z.boolean().default(false),
    readyTimeout: whole(0, 60).default(0),
  })
  .refine((page) => page.videoWidth * page.videoHeight <= 1920 * 1080, {
    path: ['videoWidth'],
    message: 'videoWidth x videoHeight must not be over 1920 x 1080',
  });

const rtmpUrlSchema = z
  .string()
  .max(2048)
  .refine((text) => readRtmpAddress(text), 'must be an rtmp:// or rtmps:// address with an application');
/** The contract allows one. */
const MAX_OUTPUTS = 4;
export const rtmpOutputsSchema = z
  .array(z.object({ rtmpUrl: rtmpUrlSchema }))
  .min(1, `must have 1 to ${MAX_OUTPUTS} entries`)
  .max(MAX_OUTPUTS, `must have 1 to ${MAX_OUTPUTS} entries`)
  .refine((outputs) => new Set(outputs.map(({ rtmpUrl }) => rtmpUrl)).size === outputs.length, {
    message: 'must name each address once',
  });

/** A client library sends `""` when it sets none. */
const abortPolicy = z.enum(['', 'error_abort'], 'must be "error_abort"').optional();

const webRecorderSchema = z.object({
  serviceName: z.literal('web_recorder_service'),
  errorHandlePolicy: abortPolicy,
  serviceParam: pageSchema,
});
const rtmpPublishSchema = z.object({
  serviceName: z.literal('rtmp_publish_service'),
  errorHandlePolicy: z.enum(['', 'error_ignore', 'error_abort'], 'must be "error_ignore" or "error_abort"').optional(),
  serviceParam: z.object({ outputs: rtmpOutputsSchema }),
});

export const extensionServiceConfigSchema = z
  .object({
    errorHandlePolicy: abortPolicy,
    apiVersion: z.string().optional(),
    extensionServices: z
      .array(
        z.discriminatedUnion('serviceName', [webRecorderSchema, rtmpPublishSchema], {
          error: (issue) =>
            issue.code === 'invalid_union' ? 'must be "web_recorder_service" or "rtmp_publish_service"' : undefined,
        }),
      )
      .max(8),
  })
  .superRefine(({ extensionServices }, context) => {
    const names = extensionServices.map((service) => service.serviceName);
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['extensionServices'], message });
    if (!names.includes('web_recorder_service')) refuse('extensionServices must have a web_recorder_service');
    else if (new Set(names).size !== names.length) refuse('extensionServices must name each service once');
  });
