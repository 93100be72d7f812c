/**
 * GET /metrics: what Prometheus reads, in its text format (version 0.0.4). Aircheck's own, not of the contract. A
 * customer sees the recordings of the apps that it may use.
 */
import type { FastifyInstance } from 'fastify';
import { authenticate, type CustomerAccount } from './auth.ts';

/** A recorder at work, as it told of itself last. */
export type RecorderSample = {
  sid: string;
  appid: string;
  mode: string;
  /** How many rungs are taken from the picture (ADR 0023); undefined where none is encoded. */
  depth: number | undefined;
  lagUs: number;
  /** Of the process, and of the programs of a web page. */
  cpuUs: number;
  memoryBytes: number;
};

export type MetricsOptions = {
  customers: readonly CustomerAccount[];
  /** The App IDs of recordings that are not over, one for each. */
  recordings(): string[];
  /** Those that have told of themselves. */
  recorders(): RecorderSample[];
};

type Metric = {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
  valueIn(recorder: RecorderSample): number | undefined;
};

const METRICS: readonly Metric[] = [
  {
    name: 'aircheck_recorder_rung',
    type: 'gauge',
    help: 'What is taken from the picture because the machine is too slow; 0 is nothing.',
    valueIn: ({ depth }) => depth,
  },
  {
    name: 'aircheck_recorder_lag_seconds',
    type: 'gauge',
    help: 'How late the recording is made.',
    valueIn: ({ lagUs }) => lagUs / 1e6,
  },
  {
    name: 'aircheck_recorder_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time of the recorder.',
    valueIn: ({ cpuUs }) => cpuUs / 1e6,
  },
  {
    name: 'aircheck_recorder_memory_bytes',
    type: 'gauge',
    help: 'Memory of the recorder.',
    valueIn: ({ memoryBytes }) => memoryBytes,
  },
];

export function metricsRoute(app: FastifyInstance, { customers, recordings, recorders }: MetricsOptions): void {
  app.get('/metrics', async (request, reply) => {
    const { apps } = authenticate(request.headers.authorization, customers);
    const isSeen = (appid: string) => apps === undefined || apps.includes(appid);
    const seen = recorders().filter(({ appid }) => isSeen(appid));
    const lines = [
      ...headOf('aircheck_recordings', 'gauge', 'Recordings that are not over.'),
      `aircheck_recordings ${recordings().filter(isSeen).length}`,
    ];
    for (const { name, type, help, valueIn } of METRICS) {
      lines.push(...headOf(name, type, help));
      for (const recorder of seen) {
        const value = valueIn(recorder);
        // Neither label has a character that the format would have escaped.
        if (value !== undefined) lines.push(`${name}{sid="${recorder.sid}",mode="${recorder.mode}"} ${value}`);
      }
    }
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(`${lines.join('\n')}\n`);
  });
}

function headOf(name: string, type: string, help: string): [string, string] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}
