/** Traces as a collector receives them. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { buildHttp } from '../http/server.ts';
import { traceCalls } from '../http/trace-calls.ts';
import { systemClock } from '../kernel/clock.ts';
import type { SpooledFile } from '../media/segment.ts';
import { Traces } from '../observe/traces.ts';
import { newTaskState } from '../session/task.ts';
import { TaskRunner } from '../session/task-runner.ts';
import { RecordingTraces } from './trace-recordings.ts';

type Value = { stringValue?: string; intValue?: number | string };
/** A span as OTLP has it in JSON. */
type OtlpSpan = {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Value }[];
  events: { name: string }[];
  status: { code?: number; message?: string };
};

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER_SPAN = '00f067aa0ba902b7';

let collector: Server;
let received: { headers: IncomingHttpHeaders; path: string; services: string[]; spans: OtlpSpan[] }[];
let traces: Traces;
let warnings: unknown[];
/** How long the end waits for a collector, compared to what it usually does. */
let patience: number;
beforeEach(async () => {
  received = [];
  collector = createServer(async (request, response) => {
    type Export = {
      resourceSpans: { resource: { attributes: OtlpSpan['attributes'] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
    };
    const { resourceSpans } = (await json(request)) as Export;
    received.push({
      headers: request.headers,
      path: request.url ?? '',
      services: resourceSpans.map(({ resource }) => String(attributeOf(resource.attributes, 'service.name'))),
      spans: resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    });
    response.setHeader('content-type', 'application/json').end('{}');
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  warnings = [];
  patience = 1;
  const { port } = collector.address() as AddressInfo;
  traces = new Traces({
    ...{ url: `http://127.0.0.1:${port}/v1/traces`, authorization: 'Bearer hush', version: '1.2.3' },
    clock: { ...systemClock, after: (delayMs, run) => systemClock.after(patience * delayMs, run) },
    log: { warn: (...given: unknown[]) => void warnings.push(given) } as never,
  });
});
afterEach(async () => {
  await traces.close();
  collector.close();
});

function attributeOf(attributes: OtlpSpan['attributes'], key: string): string | number | undefined {
  const value = attributes.find((each) => each.key === key)?.value;
  return value?.stringValue ?? (value?.intValue === undefined ? undefined : Number(value.intValue));
}
/** All spans that the collector has, once what was ended has been sent. */
async function spans(): Promise<OtlpSpan[]> {
  await traces.close();
  return received.flatMap((each) => each.spans);
}
const slice = (name: string): SpooledFile => ({
  ...{ type: 'slice', name, playlist: 'x.m3u8', index: 0, startUtcMs: 0, durationUs: 1, bytes: 188 },
  ...{ discontinuity: false, starts: [], rotations: [] },
});

/** A server whose start route starts a recording in a world of fakes, traced. */
function scene() {
  const world = new FakeWorld();
  const recordings = new RecordingTraces(traces, world.clock);
  const task = { ...taskOf(), createdMs: world.clock.nowMs() };
  const state = newTaskState();
  world.store.tasks.set(task.sid, { task, state });
  const ports = { ...world.ports(), observer: recordings };
  const runner = new TaskRunner(task, state, world.store.holdOf(task.sid), ports);
  const app = buildHttp({ log: pino({ level: 'silent' }) });
  traceCalls(app, recordings.onCall);
  app.post('/v1/apps/:appid/cloud_recording/resourceid/:resourceid/mode/:mode(^(?:mix)$)/start', async () => {
    await runner.start();
    return {};
  });
  app.get('/v1/broken', () => Promise.reject(new Error('broken')));
  app.get('/healthz', async () => ({}));
  const start = (headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: `/v1/apps/${task.appid}/cloud_recording/resourceid/${task.resourceId}/mode/mix/start`,
      headers,
    });
  return { world, recordings, runner, task, app, start };
}

describe('a recording', () => {
  test('is one trace, beneath the call that started it, which belongs to the trace of the caller', async () => {
    const { world, recordings, runner, task, start } = scene();
    await start({ traceparent: `00-${TRACE_ID}-${CALLER_SPAN}-01` });
    const zeroMs = world.clock.nowMs();
    const { sid } = task;
    const atMs = (ms: number) => zeroMs + ms;
    const told = { sid, generation: 1 };
    const spool = (name: string, ms: number) =>
      recordings.onFact(runner.task, { type: 'fileSpooled', ...told, atMs: atMs(ms), file: slice(name) });
    await runner.dispatch({ type: 'recorderJoined', atMs: atMs(300) });
    recordings.onFact(runner.task, { type: 'firstFrameRecorded', ...told, atMs: atMs(450), recordingUs: 0 });
    spool('x_0.ts', 500);
    world.clock.advance(1000);
    await runner.dispatch({ type: 'playlistStored', file: { key: 'some/folder/x.m3u8', startUtcMs: 0 } });
    spool('x_1.ts', 1000);
    await runner.dispatch({ type: 'rungChanged', rung: 'halfRate', lagMs: 900, atMs: atMs(1000) });
    await runner.stop(false);
    await runner.dispatch({ type: 'recorderEnded', atMs: atMs(1000), reason: 'stopped', message: '' });
    await settle();
    world.uploads[0]!.letFinish();
    await runner.ended;

    const all = await spans();
    const byName = new Map(all.map((span) => [span.name, span]));
    const route = '/v1/apps/:appid/cloud_recording/resourceid/:resourceid/mode/:mode/start';
    expect([...byName.keys()].toSorted()).toEqual(
      [`POST ${route}`, 'recording mix', 'start', 'first frame', 'store slice', 'stop', 'uploads'].toSorted(),
    );
    expect(new Set(all.map(({ traceId }) => traceId))).toEqual(new Set([TRACE_ID]));
    const call = byName.get(`POST ${route}`)!;
    const recording = byName.get('recording mix')!;
    expect([call.parentSpanId, call.kind, recording.parentSpanId]).toEqual([CALLER_SPAN, 2, call.spanId]);
    for (const name of ['start', 'first frame', 'stop', 'uploads'])
      expect(byName.get(name)?.parentSpanId, name).toBe(recording.spanId);
    expect(attributeOf(call.attributes, 'http.response.status_code')).toBe(200);
    expect(attributeOf(recording.attributes, 'aircheck.sid')).toBe(sid);
    const stored = all.filter(({ name }) => name === 'store slice');
    expect(stored.map(({ attributes }) => attributeOf(attributes, 'file.name'))).toEqual(['x_0.ts', 'x_1.ts']);
    const started = byName.get('start')!;
    expect(Number(started.endTimeUnixNano) - Number(started.startTimeUnixNano)).toBeCloseTo(3e8, -6);
    expect(recording.events.map(({ name }) => name)).toEqual(['rung changed']);
    expect(recording.status.code ?? 0).toBe(0);

    const [first] = received;
    expect([first?.path, first?.headers.authorization]).toEqual(['/v1/traces', 'Bearer hush']);
    expect(first?.services[0]).toBe('aircheck');
    expect(warnings).toEqual([]);
  });

  test('of a call that names no trace begins one, and one that fails says so', async () => {
    const { world, runner, task, start } = scene();
    await start({ traceparent: 'no trace' });
    for (let run = 0; run < 3; run++) {
      world.recorders[run]!.exit('it crashed');
      await settle();
    }
    world.uploads[0]?.letFinish();
    await runner.ended;
    const all = await spans();
    const recording = all.find(({ name }) => name === 'recording mix')!;
    const call = all.find(({ spanId }) => spanId === recording.parentSpanId)!;
    expect([call.parentSpanId ?? '', call.traceId === TRACE_ID]).toEqual(['', false]);
    expect(recording.status).toMatchObject({ code: 2, message: expect.stringContaining('lost within a minute') });
    expect(recording.events.map(({ name }) => name)).toEqual(['recorder lost', 'recorder lost', 'recorder lost']);
    expect(attributeOf(recording.attributes, 'aircheck.appid')).toBe(task.appid);
  });

  test('that another server takes over ends here', async () => {
    const { runner, start } = scene();
    await start();
    runner.fence();
    const recording = (await spans()).find(({ name }) => name === 'recording mix');
    expect(recording?.events.map(({ name }) => name)).toEqual(['taken over by another server']);
  });

  test('of a caller who wants no trace has none', async () => {
    const { runner, start } = scene();
    await start({ traceparent: `00-${TRACE_ID}-${CALLER_SPAN}-00` });
    runner.fence();
    expect(await spans()).toEqual([]);
  });
});

describe('calls', () => {
  test('that fail say so; what is no call of the API has no span', async () => {
    const { app } = scene();
    await app.inject('/healthz');
    await app.inject('/v1/broken');
    expect((await spans()).map(({ name, status }) => [name, status.code])).toEqual([['GET /v1/broken', 2]]);
  });

  test('a collector that is away is told of in the log, and holds nothing up', async () => {
    collector.close();
    collector.closeAllConnections();
    patience = 0.01;
    const { app } = scene();
    await app.inject('/v1/broken');
    await traces.close();
    expect(JSON.stringify(warnings)).toContain('traces: ');
  });
});
