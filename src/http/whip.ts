/**
 * WHIP (RFC 9725): how publishers come into the embedded channel. POST an offer and get an answer; DELETE ends the
 * session; PATCH trickles candidates. Pages of any origin may publish, because it is the token that lets them in.
 * Beyond the RFC a publisher can ask whether its session stays here.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { App, AppDirectory } from '../channel/whip/apps.ts';
import type { WhipEndpoint } from '../channel/whip/endpoint.ts';
import { type Privilege, verifyRtcToken } from '../channel/whip/token.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { NODES_HEADER, type WhipFleet } from './fleet/whip-fleet.ts';

export type WhipOptions = {
  endpoint: Pick<WhipEndpoint, 'publish' | 'trickle' | 'leave' | 'isSentAway'>;
  apps: AppDirectory;
  clock: Clock;
  /**
   * Whether tokens must also hold the right to publish. Off by default: in the real service it must be switched on
   * ("co-host authentication", contract §5.2), and many token servers give everyone only the right to join.
   */
  checkPublishPrivileges?: boolean;
  /** The fleet that this server is a node of; without one it is the home of all channels. */
  fleet?: WhipFleet | undefined;
};

const SDP = 'application/sdp';
const FRAGMENT = 'application/trickle-ice-sdpfrag';
const BODY_LIMIT_BYTES = 256 * 1024;
const MAX_UID = 4_294_967_295;
/** Contract §0.4. */
const CNAME = /^[a-zA-Z0-9 !#$%&()+\-:;<=.>?@[\]^_{}|~,]{1,63}$/;

/** Status and title by the code of the Fault. */
const PROBLEMS: Record<string, [status: number, title: string]> = {
  'app-unknown': [404, 'Unknown app'],
  'cname-invalid': [400, 'Invalid channel name'],
  'uid-invalid': [400, 'Invalid uid'],
  'token-refused': [401, 'Token refused'],
  'content-type-unsupported': [415, 'Unsupported media type'],
  'sdp-invalid': [400, 'Invalid SDP'],
  'offer-unacceptable': [422, 'Offer not acceptable'],
  'uid-taken': [409, 'uid taken'],
  'session-unknown': [404, 'No such session'],
  'etag-missing': [428, 'Precondition required'],
  'etag-mismatch': [412, 'Precondition failed'],
  'ice-restart-unsupported': [422, 'ICE restart not supported'],
  'method-not-allowed': [405, 'Method not allowed'],
  'channel-closed': [503, 'Shutting down'],
  'rtc-port-unavailable': [503, 'No media port'],
  'ice-gathering-timeout': [503, 'No address in time'],
  'channel-full': [403, 'Channel full'],
  'app-full': [403, 'App full'],
  'server-full': [503, 'Server full'],
  'node-unreachable': [503, 'Node away'],
  'node-silent': [503, 'Node away'],
};

export const whipRoutes: FastifyPluginAsync<WhipOptions> = async (server, options) => {
  server.removeAllContentTypeParsers();
  for (const type of [SDP, FRAGMENT])
    server.addContentTypeParser(type, { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES }, (request, body, done) => {
      request.rawBody = body as Buffer;
      done(null, body.toString());
    });
  server.setErrorHandler(sendProblem);
  server.addHook('onRequest', async (_request, reply) => {
    reply.header('access-control-allow-origin', '*');
    reply.header('access-control-expose-headers', `Location, ETag, Link, Accept-Post, Accept-Patch, ${NODES_HEADER}`);
  });

  const { fleet } = options;
  /** The id of the session of an address; undefined once another node's answer was sent. */
  const sessionOf = async (request: FastifyRequest<SessionParams>, reply: FastifyReply) => {
    const { sessionId } = request.params;
    return fleet ? fleet.sessionHere(sessionId, request, reply) : sessionId;
  };
  const endpoint = '/whip/:appid/:cname';
  const session = '/whip/sessions/:sessionId';

  server.post<EndpointParams>(
    endpoint,
    {
      bodyLimit: BODY_LIMIT_BYTES,
      // Checked before the body is read: nobody without a token can make us hold 256 kB.
      onRequest: async (request) => {
        admit(request, options);
        requireType(request, SDP);
      },
    },
    async (request, reply) => {
      const who = whoOf(request);
      if (await fleet?.publishElsewhere(who, request, reply)) return reply;
      const offer = typeof request.body === 'string' ? request.body : '';
      const { after } = request.query;
      const former = typeof after === 'string' ? { after: after.split(',') } : undefined;
      const published = await options.endpoint.publish({ ...who, offer, ...former });
      await fleet?.tellNodes(reply);
      return reply
        .code(201)
        .header('location', fleet?.addressOf(published.sessionId) ?? `/whip/sessions/${published.sessionId}`)
        .header('etag', published.etag)
        .header('accept-patch', FRAGMENT)
        .type(SDP)
        .send(published.answer);
    },
  );

  server.delete<SessionParams>(session, async (request, reply) => {
    const sessionId = await sessionOf(request, reply);
    if (sessionId === undefined) return reply;
    options.endpoint.leave(sessionId);
    return reply.code(200).send();
  });

  server.patch<SessionParams>(
    session,
    { bodyLimit: BODY_LIMIT_BYTES, onRequest: async (request) => requireType(request, FRAGMENT) },
    async (request, reply) => {
      const sessionId = await sessionOf(request, reply);
      if (sessionId === undefined) return reply;
      const body = typeof request.body === 'string' ? request.body : '';
      options.endpoint.trickle(sessionId, request.headers['if-match'], body);
      return reply.code(204).send();
    },
  );

  server.get<SessionParams>(`${session}/stays`, { exposeHeadRoute: false }, async (request, reply) => {
    const sessionId = await sessionOf(request, reply);
    if (sessionId === undefined) return reply;
    return reply.header('cache-control', 'no-store').send({ stays: !options.endpoint.isSentAway(sessionId) });
  });

  preflight(server, endpoint, 'OPTIONS, POST', { 'accept-post': SDP });
  preflight(server, session, 'OPTIONS, DELETE, PATCH', { 'accept-patch': FRAGMENT });
  refuseMethods(server, endpoint, ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'], 'OPTIONS, POST');
  refuseMethods(server, session, ['GET', 'HEAD', 'PUT', 'POST'], 'OPTIONS, DELETE, PATCH');
};

type EndpointParams = { Params: { appid: string; cname: string }; Querystring: { uid?: string; after?: string } };
type SessionParams = { Params: { sessionId: string } };
type PublishRequest = FastifyRequest<EndpointParams>;

function whoOf({ params: { appid, cname }, query }: PublishRequest): { appid: string; cname: string; uid: string } {
  return { appid, cname, uid: String(query.uid) };
}

/** Checks who wants to publish where. @throws Fault `app-unknown`, `cname-invalid`, `uid-invalid`, `token-refused` */
function admit(request: PublishRequest, options: WhipOptions): void {
  const { appid, cname } = request.params;
  const app = options.apps.find(appid);
  if (!app) throw refuse('app-unknown', 'This server has no app with the App ID in the path.');
  if (!CNAME.test(cname))
    throw refuse(
      'cname-invalid',
      'A channel name has 1 to 63 characters: letters, digits, space and !#$%&()+-:;<=.>?@[]^_{}|~, (in the path, percent-encoded).',
    );
  const uid: unknown = request.query.uid;
  if (typeof uid !== 'string' || !/^[1-9]\d{0,9}$/.test(uid) || Number(uid) > MAX_UID)
    throw refuse('uid-invalid', `The address must end in ?uid= and one whole number from 1 to ${MAX_UID}.`);
  if (app.certificate === undefined || options.fleet?.isAdmitted(whoOf(request), request)) return;
  requireToken(request, app, app.certificate, cname, uid, options);
}

function requireToken(
  request: FastifyRequest,
  app: App,
  certificate: string,
  cname: string,
  uid: string,
  options: WhipOptions,
): void {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined)
    throw refuse('token-refused', 'This app needs a token: send "Authorization: Bearer <RTC token>".');
  const privileges: Privilege[] = ['join'];
  // Only the body says which kinds are offered; whoever may publish may publish both.
  if (options.checkPublishPrivileges) privileges.push('publishAudio', 'publishVideo');
  const nowS = Math.floor(options.clock.nowMs() / 1000);
  const verdict = verifyRtcToken(token, { appId: app.appid, certificate, cname, uid, privileges, nowS });
  if (!verdict.ok) throw refuse('token-refused', `${sentence(verdict.message)}`);
}

function requireType(request: FastifyRequest, type: string): void {
  const given = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (given !== type)
    throw refuse('content-type-unsupported', `The body must be ${type}, and the Content-Type header must say so.`);
}

function preflight(server: FastifyInstance, url: string, methods: string, headers: Record<string, string>): void {
  server.options(url, async (_request, reply) =>
    reply
      .code(204)
      .headers(headers)
      .header('allow', methods)
      .header('access-control-allow-methods', methods)
      .header('access-control-allow-headers', 'Authorization, Content-Type, If-Match')
      .header('access-control-max-age', '86400')
      .send(),
  );
}

/** Other methods are refused as RFC 9725 §4.1 says. */
function refuseMethods(server: FastifyInstance, url: string, methods: string[], allowed: string): void {
  server.route({
    method: methods,
    url,
    // The body does not matter, whatever its type.
    onRequest: async (_request, reply) => {
      reply.header('allow', allowed);
      throw refuse('method-not-allowed', `Only ${allowed} can be used here.`);
    },
    handler: async () => undefined,
  });
}

/** Answers as RFC 9457 says. Faults that are not the caller's are logged, and told without details. */
function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  let [status, title] = [500, 'Internal error'];
  let code = 'internal';
  let detail = 'The server failed; its log says why.';
  const known = error instanceof Fault ? PROBLEMS[error.code] : undefined;
  if (error instanceof Fault && known) {
    [status, title] = known;
    ({ code, message: detail } = error);
  } else if (isHttpError(error) && error.statusCode < 500) {
    status = error.statusCode;
    title = status === 413 ? 'Body too large' : 'Bad request';
    code = status === 413 ? 'body-too-large' : 'request-invalid';
    detail = status === 413 ? `The body may have ${BODY_LIMIT_BYTES} bytes.` : sentence(error.message);
  } else request.log.error({ err: error }, 'a WHIP request failed');
  if (status === 401) reply.header('www-authenticate', `Bearer realm="aircheck", error="invalid_token"`);
  if (status === 503) reply.header('retry-after', '1');
  return reply
    .code(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', title, status, code, detail: sentence(detail) }));
}

function isHttpError(error: unknown): error is Error & { statusCode: number } {
  return error instanceof Error && typeof (error as { statusCode?: unknown }).statusCode === 'number';
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

function refuse(code: keyof typeof PROBLEMS & string, message: string): Fault {
  return new Fault(code, message, { blame: 'caller' });
}
