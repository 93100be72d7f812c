import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { lintCall } from './lint/lint.ts';
import * as examples from './openapi/examples.ts';
import { openApiDocument } from './openapi.ts';
import { PROBLEMS } from './problems.ts';
import { acquireReplySchema, parseAcquire } from './rest/acquire.ts';
import { MODES, type Mode } from './rest/fields.ts';
import { queryReplySchemas } from './rest/query.ts';
import { parseStart } from './rest/start.ts';
import { parseStop, stopReplySchemas } from './rest/stop.ts';
import { parseUpdate } from './rest/update.ts';
import { parseUpdateLayout } from './rest/update-layout.ts';
import { NOTICE_TYPES, noticeBody } from './webhook/notice.ts';

const document = openApiDocument();
/** The document as whoever downloads it has it. */
const wire = JSON.parse(JSON.stringify(document));
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema({ $id: 'document', ...wire });

const compiled = (pointer: string): ValidateFunction => ajv.compile({ $ref: `document#${pointer}` });
const component = (name: string) => compiled(`/components/schemas/${name}`);
const escaped = (part: string) =>
  part.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D');
const bodyOf = (path: string, method = 'post') =>
  compiled(`/paths/${escaped(path)}/${method}/requestBody/content/application~1json/schema`);
const replyOf = (path: string, method = 'post') =>
  compiled(`/paths/${escaped(path)}/${method}/responses/200/content/application~1json/schema`);

const APP = '/v1/apps/{appid}/cloud_recording';
const TASK = `${APP}/resourceid/{resourceid}/sid/{sid}/mode/{mode}`;
const PATHS = {
  acquire: `${APP}/acquire`,
  start: `${APP}/resourceid/{resourceid}/mode/{mode}/start`,
  update: `${TASK}/update`,
  updateLayout: `${TASK}/updateLayout`,
  query: `${TASK}/query`,
  stop: `${TASK}/stop`,
};
const valuesOf = (group: Record<string, { value: unknown }>) =>
  Object.entries(group).map(([name, { value }]) => [name, value] as const);
const fits = (validate: ValidateFunction, value: unknown) => {
  const fine = validate(value);
  return fine ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
};

describe('the document', () => {
  test('is OpenAPI 3.1', async () => {
    const result = await new Validator().validate(structuredClone(wire));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(wire.openapi).toBe('3.1.0');
  });

  test('refers to nothing that is not in it, and has no part that nothing refers to', () => {
    const refs = new Set(JSON.stringify(wire).match(/#\/components\/[A-Za-z]+\/[A-Za-z]+/g));
    const parts = ['schemas', 'headers'].flatMap((kind) =>
      Object.keys(wire.components[kind]).map((name) => `#/components/${kind}/${name}`),
    );
    expect([...refs].sort()).toEqual(parts.sort());
  });

  test('is the same each time', () => {
    expect(JSON.stringify(openApiDocument())).toBe(JSON.stringify(document));
  });

  test('every operation has a name of its own, a summary and a known tag', () => {
    type Operation = { operationId: string; summary: string; tags?: string[] };
    const within = (items: Record<string, Record<string, Operation>>) =>
      Object.values(items)
        .flatMap((item) => Object.entries(item))
        .filter(([method]) => ['get', 'post', 'patch', 'delete'].includes(method))
        .map(([, operation]) => operation);
    const calls = within(wire.paths);
    const ids = [...calls, ...within(wire.webhooks)].map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = wire.tags.map(({ name }: { name: string }) => name);
    for (const { summary, tags: own } of calls) {
      expect(summary).toMatch(/\w/);
      expect(tags).toContain(own?.[0]);
    }
  });

  test('every member of a request or reply is described', () => {
    const bare: string[] = [];
    type Schema = { $ref?: string; description?: string; properties?: Record<string, Schema>; items?: Schema } & Record<
      'anyOf' | 'oneOf' | 'allOf',
      Schema[] | undefined
    >;
    const look = (schema: Schema, path: string): void => {
      for (const option of [schema.anyOf, schema.oneOf, schema.allOf].flatMap((options) => options ?? []))
        look(option, path);
      if (schema.items) look(schema.items, path);
      for (const [name, member] of Object.entries(schema.properties ?? {})) {
        if (!member.description && !member.$ref) bare.push(`${path}.${name}`);
        look(member, `${path}.${name}`);
      }
    };
    for (const [name, schema] of Object.entries<Schema>(wire.components.schemas)) look(schema, name);
    expect(bare).toEqual([]);
  });

  test('every problem is an answer of some operation, with its own body', () => {
    const answers = new Map<string, unknown>();
    for (const item of Object.values<Record<string, { responses?: Record<string, unknown> }>>(wire.paths))
      for (const { responses } of Object.values(item))
        for (const [status, response] of Object.entries(responses ?? {})) {
          const media = (response as { content?: Record<string, { examples?: Record<string, { value: unknown }> }> })
            .content?.['application/json'];
          for (const [name, { value }] of Object.entries(media?.examples ?? {}))
            answers.set(`${status} ${name}`, value);
        }
    for (const [name, problem] of Object.entries(PROBLEMS)) {
      const body = answers.get(`${problem.http} ${name}`);
      expect(body, name).toEqual(
        problem.shape === 'api' ? { code: problem.code, reason: problem.reason } : { message: problem.message },
      );
      expect(fits(component(problem.shape === 'api' ? 'ApiError' : 'GatewayError'), body)).toEqual([]);
    }
  });
});

describe('examples', () => {
  const modeOf = (name: string): Mode => MODES.find((mode) => name.startsWith(mode)) ?? 'mix';

  test.each(valuesOf(examples.ACQUIRE_REQUESTS))('acquire, %s', (_name, body) => {
    expect(fits(bodyOf(PATHS.acquire), body)).toEqual([]);
    expect(() => parseAcquire(body)).not.toThrow();
    expect(lintCall({ call: 'acquire', body })).toEqual([]);
  });
  test.each(valuesOf(examples.START_REQUESTS))('start, %s', (name, body) => {
    const mode = modeOf(name);
    expect(fits(bodyOf(PATHS.start), body)).toEqual([]);
    expect(fits(component(`StartRequest${mode[0]?.toUpperCase()}${mode.slice(1)}`), body)).toEqual([]);
    expect(() => parseStart(mode, body)).not.toThrow();
    expect(lintCall({ call: 'start', mode, body })).toEqual([]);
  });
  test.each(valuesOf(examples.UPDATE_REQUESTS))('update, %s', (name, body) => {
    expect(fits(bodyOf(PATHS.update), body)).toEqual([]);
    expect(() => parseUpdate(modeOf(name), body)).not.toThrow();
    expect(lintCall({ call: 'update', mode: modeOf(name), body })).toEqual([]);
  });
  test.each(valuesOf(examples.UPDATE_LAYOUT_REQUESTS))('updateLayout, %s', (_name, body) => {
    expect(fits(bodyOf(PATHS.updateLayout), body)).toEqual([]);
    expect(() => parseUpdateLayout(body)).not.toThrow();
    expect(lintCall({ call: 'updateLayout', body, canvas: { width: 1280, height: 720 } })).toEqual([]);
  });
  test.each(valuesOf(examples.STOP_REQUESTS))('stop, %s', (_name, body) => {
    expect(fits(bodyOf(PATHS.stop), body)).toEqual([]);
    expect(() => parseStop(body)).not.toThrow();
    expect(lintCall({ call: 'stop', body })).toEqual([]);
  });

  test('of replies', () => {
    expect(fits(replyOf(PATHS.acquire), examples.ACQUIRE_REPLY)).toEqual([]);
    expect(acquireReplySchema.safeParse(examples.ACQUIRE_REPLY).success).toBe(true);
    for (const call of ['start', 'update', 'updateLayout'] as const)
      expect(fits(replyOf(PATHS[call]), examples.HANDLE_REPLY)).toEqual([]);
    const groups = [
      ['query', 'get', examples.QUERY_REPLIES, queryReplySchemas],
      ['stop', 'post', examples.STOP_REPLIES, stopReplySchemas],
    ] as const;
    for (const [call, method, replies, schemas] of groups)
      for (const [name, value] of valuesOf(replies)) {
        expect(fits(replyOf(PATHS[call], method), value), name).toEqual([]);
        const mode = name === 'snapshots' ? 'individual' : name.startsWith('web') ? 'web' : 'mix';
        expect(schemas[mode].safeParse(value).error, name).toBeUndefined();
      }
  });
});

describe('schemas of the document refuse', () => {
  const { mix } = examples.START_REQUESTS;
  const changed = (clientRequest: object) => ({
    ...mix.value,
    clientRequest: { ...(mix.value as { clientRequest: object }).clientRequest, ...clientRequest },
  });
  test.each([
    ['a missing uid', { ...mix.value, uid: undefined }],
    ['a uid that is a number', { ...mix.value, uid: 527841 }],
    ['no storageConfig', changed({ storageConfig: undefined })],
    ['a vendor nobody knows', changed({ storageConfig: { vendor: 99, bucket: 'b' } })],
    ['a frame too wide', changed({ recordingConfig: { transcodingConfig: { width: 4000 } } })],
    ['a layout nobody knows', changed({ recordingConfig: { transcodingConfig: { mixedVideoLayout: 4 } } })],
    [
      'a region without a height',
      changed({ recordingConfig: { transcodingConfig: { layoutConfig: [{ x_axis: 0, y_axis: 0, width: 1 }] } } }),
    ],
  ])('%s', (_what, body) => {
    const wireBody = JSON.parse(JSON.stringify(body));
    expect(fits(component('StartRequestMix'), wireBody)).not.toEqual([]);
    expect(() => parseStart('mix', wireBody)).toThrow();
  });

  test('a query reply with a member that no client library knows', () => {
    const { value } = examples.QUERY_REPLIES.mix as { value: { serverResponse: object } };
    const reply = { ...value, serverResponse: { ...value.serverResponse, subServiceStatus: {} } };
    expect(fits(component('QueryReplyMix'), reply)).not.toEqual([]);
  });
});

describe('webhooks', () => {
  test('there is one for each type of notice', () => {
    expect(Object.keys(wire.webhooks).sort()).toEqual(
      Object.values(NOTICE_TYPES)
        .map(({ details }) => details.shape.msgName.value)
        .sort(),
    );
  });

  test('a notice as it is sent fits its own, and no other', () => {
    const payload = { cname: 'ch1', uid: '1', sid: 'a'.repeat(32), sequence: 0, sendts: 1, serviceType: 1 };
    const details = { msgName: 'recorder_started', status: 0 };
    const notice = {
      noticeId: 'b'.repeat(32),
      productId: 3,
      eventType: 40,
      sid: payload.sid,
      payload: { ...payload, serviceScene: 'mix_record', details },
    } as const;
    const body = JSON.parse(noticeBody(notice, 2));
    const webhook = (name: string) => compiled(`/webhooks/${name}/post/requestBody/content/application~1json/schema`);
    expect(fits(webhook('recorder_started'), body)).toEqual([]);
    expect(fits(webhook('recorder_leave'), body)).not.toEqual([]);
    expect(fits(webhook('recorder_started'), { ...body, notifyMs: undefined })).not.toEqual([]);
  });
});
