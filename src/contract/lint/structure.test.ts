import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startRequestSchemas } from '../rest/start.ts';
import { updateRequestSchemas } from '../rest/update.ts';
import { updateLayoutRequestSchema } from '../rest/update-layout.ts';
import { lintRequest } from './structure.ts';
import { MAX_WARNINGS, memberPath, shorten } from './warning.ts';

const storageConfig = { vendor: 11, region: 0, bucket: 'b', accessKey: 'AK', secretKey: 'SK' };
const mixStart = (changes: object) => ({ cname: 'ch1', uid: '1', clientRequest: { storageConfig, ...changes } });
const lintMix = (changes: object) => lintRequest(startRequestSchemas.mix, mixStart(changes));
const codes = (warnings: { code: string; path: string }[]) => warnings.map(({ code, path }) => `${code} ${path}`);

describe('members a schema does not have', () => {
  test.each([
    // A typo of official samples (contract §0.1).
    [
      'by a letter',
      { recordingConfig: { transcodingConfig: { backgroudColor: '#FF0000' } } },
      'clientRequest.recordingConfig.transcodingConfig.backgroudColor',
      'backgroudColor is not known and is ignored; did you mean backgroundColor?',
    ],
    // As a client library spells it (contract §1.2.2).
    [
      'by a letter and a capital',
      { recordingConfig: { unsunscribeVideoUids: ['1'] } },
      'clientRequest.recordingConfig.unsunscribeVideoUids',
      'unsunscribeVideoUids is not known and is ignored; did you mean unSubscribeVideoUids?',
    ],
    [
      'by capitals',
      { RecordingConfig: { streamTypes: 0 } },
      'clientRequest.RecordingConfig',
      'RecordingConfig is not known and is ignored; did you mean recordingConfig?',
    ],
    [
      'by underscores',
      { recordingConfig: { max_idle_time: 5 } },
      'clientRequest.recordingConfig.max_idle_time',
      'max_idle_time is not known and is ignored; did you mean maxIdleTime?',
    ],
    [
      'by two letters that changed places',
      { recordingConfig: { transcodingConfig: { widht: 1280 } } },
      'clientRequest.recordingConfig.transcodingConfig.widht',
      'widht is not known and is ignored; did you mean width?',
    ],
    [
      'in an item of a list',
      { recordingConfig: { transcodingConfig: { layoutConfig: [{}, { renderMode: 1 }] } } },
      'clientRequest.recordingConfig.transcodingConfig.layoutConfig[1].renderMode',
      'renderMode is not known and is ignored; did you mean render_mode?',
    ],
    [
      'behind a preprocess',
      { storageConfig: { ...storageConfig, extensionParams: { endpont: 'x' } } },
      'clientRequest.storageConfig.extensionParams.endpont',
      'endpont is not known and is ignored; did you mean endpoint?',
    ],
  ])('misspelt %s', (_how, changes, path, message) => {
    expect(lintMix(changes)).toEqual([{ code: 'misspelt', path, message }]);
  });

  test('misnested: says where it belongs', () => {
    expect(lintMix({ recordingConfig: { width: 1280 }, avFileType: ['hls'] })).toEqual([
      {
        code: 'misnested',
        path: 'clientRequest.recordingConfig.width',
        message:
          'width has no effect here and is ignored; it belongs at clientRequest.recordingConfig.transcodingConfig.width or clientRequest.recordingConfig.transcodingConfig.layoutConfig[].width.',
      },
      {
        code: 'misnested',
        path: 'clientRequest.avFileType',
        message:
          'avFileType has no effect here and is ignored; it belongs at clientRequest.recordingFileConfig.avFileType.',
      },
    ]);
    // updateLayout has flat what start has under transcodingConfig.
    const nested = { clientRequest: { transcodingConfig: { mixedVideoLayout: 1 } } };
    expect(codes(lintRequest(updateLayoutRequestSchema, nested))).toEqual(['ignored clientRequest.transcodingConfig']);
    const flat = { clientRequest: { subscribeAudioUids: ['1'] } };
    expect(lintRequest(updateRequestSchemas.mix, flat)[0]?.message).toContain(
      'clientRequest.streamSubscribe.audioUidList.subscribeAudioUids',
    );
  });

  test('misnested rather than misspelt where the very name is known', () => {
    const swapped = { clientRequest: { streamSubscribe: { videoUidList: { subscribeAudioUids: ['1'] } } } };
    expect(codes(lintRequest(updateRequestSchemas.mix, swapped))).toEqual([
      'misnested clientRequest.streamSubscribe.videoUidList.subscribeAudioUids',
    ]);
  });

  test('ignored, when no known name is near', () => {
    expect(lintMix({ recordingConfig: { subtitles: 'x' } })).toEqual([
      {
        code: 'ignored',
        path: 'clientRequest.recordingConfig.subtitles',
        message: 'subtitles is not known and is ignored.',
      },
    ]);
    expect(codes(lintRequest(startRequestSchemas.mix, { ...mixStart({}), appid: 'x' }))).toEqual(['ignored appid']);
  });

  test('a name that was sent as well is not what another one was meant as', () => {
    const both = {
      recordingConfig: { transcodingConfig: { backgroundColor: '#000000', backgroundColour: '#FF0000' } },
    };
    expect(codes(lintMix(both))).toEqual(['ignored clientRequest.recordingConfig.transcodingConfig.backgroundColour']);
  });
});

describe('nothing is said of', () => {
  test.each([
    ['what a client library sends empty', { nonsense: '', other: null, more: {}, list: [] }],
    [
      'an undocumented member of some clients',
      { storageConfig: { ...storageConfig, extensionParams: { enableNTPtimestamp: true } } },
    ],
    ['the group that many send in mix mode', { recordingConfig: { subscribeUidGroup: 0 } }],
    ['empty extensionParams', { storageConfig: { ...storageConfig, extensionParams: { sse: '', tag: '' } } }],
    ['a region without a user', { recordingConfig: { transcodingConfig: { layoutConfig: [{ uid: '', alpha: 0 }] } } }],
  ])('%s', (_what, changes) => {
    expect(lintMix(changes)).toEqual([]);
  });

  test('web requests as two client libraries send them', () => {
    const serviceParam = { url: 'https://example.com', VideoBitrate: 1500, audioProfile: 0 };
    const web = {
      clientRequest: {
        token: '007x',
        storageConfig,
        extensionServiceConfig: {
          apiVersion: 'v1',
          extensionServices: [
            { serviceName: 'web_recorder_service', serviceParam },
            { serviceName: 'rtmp_publish_service', serviceParam: { outputs: [{ rtmpUrl: 'rtmp://x/y' }] } },
          ],
        },
      },
    };
    expect(lintRequest(startRequestSchemas.web, web)).toEqual([]);
  });

  test('what an open object holds', () => {
    const individual = { clientRequest: { transcodeOptions: { container: { format: 'mp4' } } } };
    expect(lintRequest(startRequestSchemas.individual, individual)).toEqual([]);
  });

  test('bodies that are no objects', () => {
    for (const body of [undefined, null, 1, 'text', [], [{ a: 1 }], { clientRequest: 'x' }, { clientRequest: [] }])
      expect(lintRequest(startRequestSchemas.mix, body)).toEqual([]);
  });
});

describe('schemas', () => {
  test('of a union, the option counts that the fixed members point at', () => {
    const rtmp = { serviceName: 'rtmp_publish_service', serviceParam: { url: 'https://example.com' } };
    const body = { clientRequest: { extensionServiceConfig: { extensionServices: [rtmp] } } };
    expect(codes(lintRequest(startRequestSchemas.web, body))).toEqual([
      'misnested clientRequest.extensionServiceConfig.extensionServices[0].serviceParam.url',
    ]);
  });

  test('every wrapping is looked through', () => {
    const inner = () => z.object({ known: z.number() });
    type Tree = { leaf?: number | undefined; branch?: Tree | undefined };
    const tree: z.ZodType<Tree> = z.lazy(() => z.object({ leaf: z.number().optional(), branch: tree.optional() }));
    const schema = z.object({
      optional: inner().optional(),
      nullable: inner().nullable(),
      default: inner().default({ known: 1 }),
      prefault: inner().prefault({ known: 1 }),
      readonly: inner().readonly(),
      caught: inner().catch({ known: 1 }),
      refined: inner().refine(() => true),
      piped: inner().transform((value) => value.known),
      preprocessed: z.preprocess((value) => value, inner()),
      union: z.union([z.string(), inner()]),
      intersection: z.intersection(inner(), z.object({ also: z.number() })),
      record: z.record(z.string(), inner()),
      array: z.array(inner()),
      strict: z.strictObject({ known: z.number() }),
      loose: z.looseObject({ known: inner() }),
      tree,
    });
    const wrong = { zzzzz: 1 };
    const body = {
      ...Object.fromEntries(Object.keys(schema.shape).map((name) => [name, wrong])),
      record: { any: wrong },
      array: [wrong],
      strict: {},
      loose: { unknown: 1, known: wrong },
      tree: { branch: { branch: wrong } },
    };
    expect(lintRequest(schema, body).map(({ path }) => path)).toEqual([
      ...['optional', 'nullable', 'default', 'prefault', 'readonly', 'caught', 'refined', 'piped'].map(
        (n) => `${n}.zzzzz`,
      ),
      'preprocessed.zzzzz',
      'union.zzzzz',
      'intersection.zzzzz',
      'record.any.zzzzz',
      'array[0].zzzzz',
      'loose.known.zzzzz',
      'tree.branch.branch.zzzzz',
    ]);
  });
});

describe('hostile bodies', () => {
  test('there are at most 50 warnings, and names are cut', () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`${'x'.repeat(200)}${n}`, 1]));
    const warnings = lintMix({ recordingConfig: many });
    expect(warnings).toHaveLength(MAX_WARNINGS);
    for (const { path, message } of warnings) {
      expect(path.length).toBeLessThan(120);
      expect(message.length).toBeLessThan(120);
    }
  });

  test('names that are no names are quoted and cannot break a line', () => {
    expect(memberPath('a', 'b c\n')).toBe('a["b c\\n"]');
    expect(memberPath('', 'a')).toBe('a');
    expect(shorten('🎥'.repeat(100))).toBe(`${'🎥'.repeat(63)}…`);
    const body = JSON.parse('{"clientRequest":{"__proto__":{"x":1},"constructor":2,"toString":3}}');
    expect(codes(lintRequest(startRequestSchemas.mix, body))).toEqual([
      'ignored clientRequest.__proto__',
      'ignored clientRequest.constructor',
      'ignored clientRequest.toString',
    ]);
  });

  test('depth and size do not matter', () => {
    const deep = JSON.parse(`{"clientRequest":${'{"clientRequest":'.repeat(50_000)}1${'}'.repeat(50_001)}`);
    expect(codes(lintRequest(startRequestSchemas.mix, deep))).toEqual(['misnested clientRequest.clientRequest']);
    const selfSimilar: z.ZodType = z.lazy(() => z.object({ a: selfSimilar.optional() }));
    const chain = JSON.parse(`${'{"a":'.repeat(50_000)}{"q":1}${'}'.repeat(50_000)}`);
    expect(lintRequest(selfSimilar, chain)).toEqual([]);
    const layoutConfig = Array.from({ length: 100_000 }, () => ({}));
    const empties = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`backgroundColo${n}`, '']));
    expect(lintMix({ recordingConfig: { transcodingConfig: { layoutConfig, ...empties } } })).toEqual([]);
  });
});
