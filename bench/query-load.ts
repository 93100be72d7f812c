/**
 * The child process of `api.ts`: asks one address over and over on kept-open connections, warms up first, and reports
 * how soon and how rightly it was answered. A process of its own, so that its CPU is not the server's.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

export type QueryLoadJob = {
  url: string;
  headers: Record<string, string>;
  connections: number;
  warmUpS: number;
  measureS: number;
  /** The `serverResponse.status` that each answer must hold; any other answer is wrong. */
  status: number;
};
export type QueryLoadResult = {
  /** Answers while measuring, right and wrong. */
  answers: number;
  /** Answers that are not 200 with the status, and requests that got none. */
  wrong: number;
  spanS: number;
  /** Time of each answer, milliseconds, the shortest first. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
};
/** `measuring` comes when the warm-up is over. */
export type QueryLoadReport = { type: 'measuring' } | { type: 'done'; result: QueryLoadResult };

type Totals = { errors: number; mismatches: number; duration: number; requests: { sent: number } };
type Options = {
  url: string;
  headers: Record<string, string>;
  connections: number;
  duration: number;
  verifyBody: (body: string) => boolean;
};
// The package has no types.
const autocannon = createRequire(import.meta.url)('autocannon') as (options: Options) => EventEmitter & Promise<Totals>;

async function ask({ url, headers, connections, status }: QueryLoadJob, seconds: number): Promise<QueryLoadResult> {
  const holds = (body: string): boolean => {
    try {
      return (JSON.parse(body) as { serverResponse?: { status?: number } }).serverResponse?.status === status;
    } catch {
      return false;
    }
  };
  const run = autocannon({ url, headers, connections, duration: seconds, verifyBody: holds });
  const eachMs: number[] = [];
  let not200 = 0;
  // Its own histogram knows whole milliseconds only.
  run.on('response', (_client: unknown, code: number, _bytes: number, ms: number) => {
    eachMs.push(ms);
    if (code !== 200) not200++;
  });
  const totals = await run;
  const sorted = Float64Array.from(eachMs).sort();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  // A connection that is cut is no error to it. At the end, each connection has one request under way.
  const unanswered = Math.max(totals.errors, totals.requests.sent - sorted.length - connections);
  return {
    answers: sorted.length,
    // An answer that is not 200 has the wrong body too.
    wrong: Math.max(not200, totals.mismatches) + unanswered,
    spanS: totals.duration,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}

const job = process.argv[2];
if (!job || !process.send) throw new Error('run me through api.ts');
const parsed = JSON.parse(job) as QueryLoadJob;
const tell = (report: QueryLoadReport) => process.send?.(report);
process.on('disconnect', () => process.exit(0));
await ask(parsed, parsed.warmUpS);
tell({ type: 'measuring' });
tell({ type: 'done', result: await ask(parsed, parsed.measureS) });
