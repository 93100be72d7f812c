/**
 * Traces: spans, sent to an OpenTelemetry collector as OTLP over HTTP (JSON). Only whoever is told to trace loads this
 * file, as its libraries take memory.
 */
import {
  type Attributes,
  type Context,
  type DiagLogger,
  DiagLogLevel,
  defaultTextMapGetter,
  diag,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { type Clock, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Log } from './log.ts';

export type TracesOptions = {
  /** Where spans are posted, such as http://127.0.0.1:4318/v1/traces. */
  url: string;
  /** The Authorization header of these posts; none when empty. */
  authorization: string;
  version: string;
  clock: Clock;
  log: Pick<Log, 'warn'>;
};

/** Headers of a request that say which trace it belongs to (W3C Trace Context). */
export type TraceHeaders = { traceparent?: string | undefined; tracestate?: string | undefined };

/** Spans that wait to be sent; those beyond are dropped. */
const MAX_WAITING = 2_048;
/** The collector is no reason to keep a server that is to end. */
const CLOSE_MS = 3_000;

export class Traces {
  readonly #clock: Clock;
  readonly #log: Pick<Log, 'warn'>;
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ url, authorization, version, clock, log }: TracesOptions) {
    this.#clock = clock;
    this.#log = log;
    diag.setLogger(complaints(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    const headers: Record<string, string> = authorization ? { authorization } : {};
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'aircheck', 'service.version': version }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url, headers }), maxQueueSize: MAX_WAITING }),
      ],
    });
    this.#tracer = this.#provider.getTracer('aircheck', version);
  }

  /** Begins the span of a request that was received. One that names no trace begins one. */
  request(name: string, headers: TraceHeaders, attributes: Attributes): TraceSpan {
    const carrier = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const parent = this.#propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
    return new TraceSpan(this.#tracer, this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent));
  }

  /** Begins the first span of a trace. @param atMs when it began, Unix milliseconds */
  root(name: string, atMs: number, attributes: Attributes): TraceSpan {
    return new TraceSpan(this.#tracer, this.#tracer.startSpan(name, { startTime: atMs, attributes }, ROOT_CONTEXT));
  }

  /** Sends what waits, for a few seconds at most. Never rejects. */
  async close(): Promise<void> {
    const late = () => new Error(`the collector has not taken them within ${CLOSE_MS / 1000} s`);
    const sending = this.#provider.forceFlush().then(() => this.#provider.shutdown());
    await within(this.#clock, CLOSE_MS, sending, late).catch((error: unknown) => {
      this.#log.warn({ error: messageOf(error) }, 'traces: what waits cannot be sent');
    });
  }
}

/** A span that has begun. Times are Unix milliseconds; without one the present counts. */
export class TraceSpan {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;

  constructor(tracer: Tracer, span: Span) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = trace.setSpan(ROOT_CONTEXT, span);
  }

  /** Begins a span beneath this one, which may end before it. */
  child(name: string, atMs: number, attributes: Attributes = {}): TraceSpan {
    const span = this.#tracer.startSpan(name, { startTime: atMs, attributes }, this.#context);
    return new TraceSpan(this.#tracer, span);
  }

  /** Something that happened meanwhile. */
  event(name: string, atMs: number, attributes: Attributes = {}): void {
    this.#span.addEvent(name, attributes, atMs);
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  fail(why: string): void {
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: why });
  }

  end(atMs?: number): void {
    this.#span.end(atMs);
  }
}

/** The library's complaints, as when no collector answers, in the server's log. */
function complaints(log: Pick<Log, 'warn'>): DiagLogger {
  const warn = (message: string, ...details: unknown[]) =>
    log.warn({ details: details.map(String) }, `traces: ${message}`);
  const silent = () => {};
  return { error: warn, warn, info: silent, debug: silent, verbose: silent };
}
