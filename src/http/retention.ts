/**
 * /v1/apps/{appid}/aircheck/recordings/{sid}/retention tells and sets how long files are kept, …/legal-hold keeps them
 * whatever that says, …/deletion deletes them now. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import {
  type DeletionRequest,
  type LegalHoldRequest,
  parseDeletion,
  parseLegalHold,
  parseRetention,
  type RetentionReply,
  type RetentionRequest,
} from '../contract/rest/retention.ts';

/** Who asks. An operator is a customer who may use all apps. */
type Asker = { id: string; isOperator: boolean };

export type RetentionApi = {
  of(appid: string, sid: string): Promise<RetentionReply>;
  set(appid: string, sid: string, request: RetentionRequest, asker: Asker): Promise<RetentionReply>;
  deleteNow(appid: string, sid: string, request: DeletionRequest, asker: Asker): Promise<RetentionReply>;
  hold(appid: string, sid: string, request: LegalHoldRequest, asker: Asker): Promise<RetentionReply>;
  release(appid: string, sid: string, asker: Asker): Promise<RetentionReply>;
};

type Path = { Params: { appid: string; sid: string } };

const SID = /^[0-9a-f]{32}$/;

/** Any node answers: what they change is in the database that all share. */
export function retentionRoutes(app: FastifyInstance, retention: RetentionApi): void {
  app.get<Path>('/recordings/:sid/retention', async (request) => retention.of(...recordingOf(request)));
  app.put<Path>('/recordings/:sid/retention', async (request) =>
    retention.set(...recordingOf(request), parseRetention(request.body), askerOf(request)),
  );
  app.put<Path>('/recordings/:sid/legal-hold', async (request) =>
    retention.hold(...recordingOf(request), parseLegalHold(request.body), askerOf(request)),
  );
  app.delete<Path>('/recordings/:sid/legal-hold', async (request) =>
    retention.release(...recordingOf(request), askerOf(request)),
  );
  app.post<Path>('/recordings/:sid/deletion', async (request, reply) => {
    const told = await retention.deleteNow(...recordingOf(request), parseDeletion(request.body), askerOf(request));
    return reply.code(202).send(told);
  });
}

function recordingOf({ params }: FastifyRequest<Path>): [appid: string, sid: string] {
  if (!SID.test(params.sid)) throw problem('recording-unknown');
  return [params.appid, params.sid];
}

function askerOf({ customer }: FastifyRequest<Path>): Asker {
  if (!customer) throw problem('unauthorized');
  return { id: customer.id, isOperator: customer.apps === undefined };
}
