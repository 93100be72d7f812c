/**
 * lint: everything in a request to warn of, for the log, the recording's report and the header `X-Aircheck-Warnings`;
 * never for the body of an answer.
 */
import type { z } from 'zod';
import { acquireRequestSchema } from '../rest/acquire.ts';
import type { Mode } from '../rest/fields.ts';
import { startRequestSchemas } from '../rest/start.ts';
import { stopRequestSchema } from '../rest/stop.ts';
import { updateRequestSchemas } from '../rest/update.ts';
import { updateLayoutRequestSchema } from '../rest/update-layout.ts';
import type { Canvas } from './layout.ts';
import { type Begun, lintAcquire, lintStart, lintUpdate, lintUpdateLayout } from './meaning.ts';
import { lintRequest } from './structure.ts';
import { isObject, MAX_WARNINGS, type Warning } from './warning.ts';

/** A request as it was sent, with what is known of its recording. */
export type LintedCall =
  | { call: 'acquire' | 'stop'; body: unknown }
  | { call: 'start'; mode: Mode; body: unknown }
  | { call: 'update'; mode: Mode; body: unknown; begun?: Begun | undefined }
  | { call: 'updateLayout'; body: unknown; canvas?: Canvas };

/** At most 50 warnings, none twice. Pure, and safe for any body. */
export function lintCall(call: LintedCall): Warning[] {
  const meant = meaningOf(call);
  const said = new Set(meant.map((warning) => warning.path));
  // Where a member is known to have no effect, that warning says more than that its name is unknown.
  const unknown = lintRequest(schemaOf(call), call.body).filter((warning) => !said.has(warning.path));
  return [...unknown, ...meant].slice(0, MAX_WARNINGS);
}

function schemaOf(call: LintedCall): z.ZodType {
  switch (call.call) {
    case 'acquire':
      return acquireRequestSchema;
    case 'start':
      return startRequestSchemas[call.mode];
    case 'update':
      return updateRequestSchemas[call.mode];
    case 'updateLayout':
      return updateLayoutRequestSchema;
    case 'stop':
      return stopRequestSchema;
  }
}

function meaningOf(call: LintedCall): Warning[] {
  const clientRequest = isObject(call.body) ? call.body['clientRequest'] : undefined;
  switch (call.call) {
    case 'start':
      return lintStart(call.mode, clientRequest);
    case 'update':
      return lintUpdate(call.mode, clientRequest, call.begun);
    case 'updateLayout':
      return lintUpdateLayout(clientRequest, call.canvas);
    case 'acquire':
      return lintAcquire(clientRequest);
    default:
      return [];
  }
}
