/**
 * Fleet: which node a call belongs to, and carrying it there (ADR 0026). The customer sees one server: a call is
 * answered as the node that it belongs to answers it, byte for byte.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ProblemName, problem } from '../../contract/problems.ts';
import { parseAcquire } from '../../contract/rest/acquire.ts';
import { type Clock, sleep, within } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { Overload } from '../../session/overload.ts';
import type { Node } from '../../store/node-tables.ts';
import type { PlaceTables } from '../../store/place-tables.ts';
import { estimate } from '../../worker/cost.ts';
import type { Copies } from './copies.ts';
import type { NodeDirectory } from './directory.ts';
import type { CarriedAnswer, CarriedRequest, NodeLinks } from './links.ts';
import { nodesWithRoom } from './placement.ts';
import { PLACED_HEADER } from './signature.ts';

/**
 * What says where a call belongs: the channel in its body, its resource, its task, the channel in its path, a task and
 * then whatever files are left of it, or the node that a cut's id begins with. A route without one is answered by any
 * node.
 */
type LivesAt = 'channelOfBody' | 'resource' | 'task' | 'channel' | 'taskOrFiles' | 'cut' | 'mix';

declare module 'fastify' {
  interface FastifyContextConfig {
    livesAt?: LivesAt;
    /** The call may wait for uploads, as long as a synchronous stop does. */
    waitsForUploads?: boolean;
    /** The answer is a function of the recording alone, and a copy is as good until the recording changes. */
    isOfRecording?: boolean;
  }
  interface FastifyRequest {
    /** The body as it came. */
    rawBody?: Buffer;
  }
}

export type FleetOptions = {
  /** The id of this node. */
  self: string;
  places: Pick<PlaceTables, 'ofTask' | 'ofMix' | 'ofResource' | 'ofFiles' | 'home' | 'claimHome'>;
  directory: Pick<NodeDirectory, 'find' | 'all'>;
  links: Pick<NodeLinks, 'send'>;
  /** Without it each call is carried. */
  copies?: Pick<Copies, 'answer' | 'forget'> | undefined;
  /** Whether this node has the task, and it has not ended. */
  holds(sid: string): boolean;
  clock: Clock;
  log: Record<'info' | 'warn' | 'error', (details: object, text: string) => void>;
  /** Told of each recording that another node makes because this one, the home of its channel, is full. */
  onPlaced?(): void;
  callTimeoutMs: number;
  syncStopTimeoutMs: number;
};

/** The answer of a node that a request was carried to, and to which the call does not belong any more. */
export const MISDIRECTED = 421;
/** Headers that a call needs where it is answered. Credentials were checked where it came in. */
const CARRIED_HEADERS = ['content-type', 'content-encoding', 'if-match', 'if-none-match', 'range'] as const;
/** How much longer than the other node's own limit its answer is waited for. */
const GRACE_MS = 2_000;
/** How soon the owner of a call is looked for again, while nobody has taken over from one that is gone. */
const LOOK_AGAIN_MS = 200;
const MAX_KNOWN_TASKS = 10_000;
/** How many nodes are asked to make a recording that this one is too full for. */
const MAX_PLACES = 3;
const ID = /^[\w-]{1,512}$/;

export class Fleet {
  readonly #options: FleetOptions;
  /** Owners of tasks by sid, as they were found; where one has changed, its former owner says so. */
  readonly #owners = new Map<string, string>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get self(): string {
    return this.#options.self;
  }

  /** A node of the fleet that lives; undefined when its lease is over. */
  find(id: string): Promise<Node | undefined> {
    return this.#options.directory.find(id);
  }

  /** How publishers reach the nodes that take them. */
  async publicUrls(): Promise<string[]> {
    const nodes = await this.#options.directory.all();
    return nodes.flatMap(({ state, publicUrl }) => (state === 'live' && publicUrl ? [publicUrl] : []));
  }

  /** The home of a channel, made now if it has none; undefined where that is this node, or nobody takes channels. */
  async homeElsewhere(appid: string, cname: string): Promise<Node | undefined> {
    const { self, places, directory } = this.#options;
    const home = await places.claimHome(appid, cname);
    return home === undefined || home === self ? undefined : directory.find(home);
  }

  /** Whether a call that was carried here belongs here, or nowhere. */
  async isHere(request: FastifyRequest): Promise<boolean> {
    const owner = await this.#ownerOf(request, false);
    return owner === undefined || owner === this.#options.self;
  }

  /**
   * Carries a call to the node that it belongs to. Resolves to that node's answer, or to undefined when this node is to
   * answer. Throws the timeout of the call when its node is gone and nobody has taken over.
   */
  async carry(request: FastifyRequest): Promise<CarriedAnswer | undefined> {
    const { config } = request.routeOptions;
    if (config.livesAt === undefined) return undefined;
    const { clock, callTimeoutMs, log } = this.#options;
    const deadlineUs = clock.monoUs() + callTimeoutMs * 1000;
    for (let tries = 0; ; ) {
      const isFirst = tries === 0;
      const owner = await this.#soon(request, this.#ownerOf(request, isFirst));
      if (owner === undefined || owner === this.#options.self) return undefined;
      const node = await this.#soon(request, this.#options.directory.find(owner));
      const answer = node && (await this.#ask(request, node));
      if (answer) {
        if (answer.status !== MISDIRECTED) return answer;
        // It had the call when this node last looked; one more look is at the database.
        tries++;
      }
      this.#forget(request);
      if (tries > 1 || clock.monoUs() >= deadlineUs) {
        log.warn({ owner, url: request.url }, 'a call belongs to a node that is gone, and no other has taken over');
        throw problem(lateProblem(request));
      }
      if (!answer) await sleep(clock, LOOK_AGAIN_MS);
    }
  }

  /** As `#try`, from a copy where there is a good one. */
  async #ask(request: FastifyRequest, node: Node): Promise<CarriedAnswer | undefined> {
    const { copies } = this.#options;
    const { sid } = request.params as { sid?: string };
    const { url, method, routeOptions } = request;
    if (!copies || sid === undefined) return this.#try(request, node);
    if (routeOptions.config.isOfRecording && !url.includes('?'))
      return copies.answer(node, { url, sid }, () => this.#try(request, node));
    if (method === 'GET') return this.#try(request, node);
    // Whoever changed something here finds it changed when they ask next.
    copies.forget(node.id, sid);
    return this.#try(request, node).finally(() => copies.forget(node.id, sid));
  }

  /** Undefined where the request may be sent again, to whoever has the call by then. */
  async #try(request: FastifyRequest, node: Node): Promise<CarriedAnswer | undefined> {
    try {
      return await this.send(request, node);
    } catch (error) {
      const isRepeatable = request.method === 'GET' || (error instanceof Fault && error.code === 'node-unreachable');
      this.#options.log.warn({ why: messageOf(error), url: request.url }, 'a call could not be carried to its node');
      if (!isRepeatable) throw problem(lateProblem(request), undefined, { cause: error });
      return undefined;
    }
  }

  /**
   * Carries a request as it came.
   * @param more further headers that it needs there
   * @throws Fault as of NodeLinks
   */
  send(request: FastifyRequest, node: Node, more: readonly string[] = []): Promise<CarriedAnswer> {
    return this.#send(node, request, carriedRequest(request, more));
  }

  #send(node: Node, { routeOptions }: FastifyRequest, carried: CarriedRequest): Promise<CarriedAnswer> {
    const { links, callTimeoutMs, syncStopTimeoutMs } = this.#options;
    const limitMs = routeOptions.config.waitsForUploads ? syncStopTimeoutMs : callTimeoutMs;
    return links.send(node, carried, limitMs + GRACE_MS);
  }

  /**
   * Has the node with most room make a recording whose channel is at home here, where this node is full (ADR 0032).
   * Resolves to its answer, or to undefined where no node takes it. Throws the timeout of the call where nobody knows
   * what became of it.
   */
  async place(request: FastifyRequest, { plan, message: why }: Overload): Promise<CarriedAnswer | undefined> {
    const { self, directory, log, onPlaced } = this.#options;
    const { mode } = plan;
    const { resourceid } = request.params as { resourceid?: string };
    const nodes = await this.#soon(request, directory.all());
    for (const node of nodesWithRoom(nodes, self, estimate(plan)).slice(0, MAX_PLACES)) {
      const carried = carriedRequest(request, []);
      const placed = { ...carried, headers: { ...carried.headers, [PLACED_HEADER]: self } };
      const answer = await this.#send(node, request, placed).catch((error: unknown) => {
        if (error instanceof Fault && error.code === 'node-unreachable') return undefined;
        throw problem(lateProblem(request), undefined, { cause: error });
      });
      // It has become full or leaves, or is another by now.
      if (!answer || answer.status === MISDIRECTED || answer.status >= 500) continue;
      if (answer.status < 300) {
        onPlaced?.();
        log.info(
          { node: node.name, mode, resourceid, why },
          'another node records a channel of this one, which is full',
        );
      }
      return answer;
    }
    log.error({ mode, resourceid, nodes: nodes.length }, `start refused, and no other node has room: ${why}`);
    return undefined;
  }

  /** @param mayRecall whether what was found before is good enough */
  async #ownerOf(request: FastifyRequest, mayRecall: boolean): Promise<string | undefined> {
    const { places } = this.#options;
    const params = request.params as Record<string, string | undefined>;
    const { appid = '', sid = '', resourceid = '', cname = '', cutid = '', mixid = '' } = params;
    switch (request.routeOptions.config.livesAt) {
      case 'channelOfBody': {
        const named = cnameOf(request.body);
        return named === undefined ? undefined : places.claimHome(appid, named);
      }
      case 'resource': {
        const resource = ID.test(resourceid) ? await places.ofResource(resourceid) : undefined;
        if (resource?.appid !== appid) return undefined;
        return resource.owner ?? places.claimHome(appid, resource.cname);
      }
      case 'channel':
        return cname.includes('\0') ? undefined : places.home(appid, cname);
      case 'task':
        return this.#ownerOfTask(appid, sid, mayRecall);
      case 'taskOrFiles':
        return (await this.#ownerOfTask(appid, sid, mayRecall)) ?? this.#ownerOfFiles(appid, sid);
      case 'cut': {
        const [owner = ''] = cutid.split('.');
        // What a node that is gone had made is gone with it.
        return (await this.#options.directory.find(owner)) && owner;
      }
      case 'mix':
        return ID.test(mixid) ? places.ofMix(mixid) : undefined;
      default:
        return undefined;
    }
  }

  async #ownerOfTask(appid: string, sid: string, mayRecall: boolean): Promise<string | undefined> {
    const { self, places, holds } = this.#options;
    if (!ID.test(sid)) return undefined;
    if (holds(sid)) return self;
    const known = mayRecall ? this.#owners.get(sid) : undefined;
    if (known !== undefined) return known;
    const owner = await places.ofTask(appid, sid);
    // What this node has, and whether it has it still, it knows itself.
    if (owner !== undefined && owner !== self) this.#recall(sid, owner);
    return owner;
  }

  async #ownerOfFiles(appid: string, sid: string): Promise<string | undefined> {
    return ID.test(sid) ? this.#options.places.ofFiles(appid, sid) : undefined;
  }

  #recall(sid: string, owner: string): void {
    this.#owners.set(sid, owner);
    if (this.#owners.size > MAX_KNOWN_TASKS) this.#owners.delete(this.#owners.keys().next().value as string);
  }

  #forget({ params }: FastifyRequest): void {
    this.#owners.delete((params as { sid?: string }).sid ?? '');
  }

  /** A database that does not answer must not keep the caller waiting. */
  #soon<T>(request: FastifyRequest, work: Promise<T>): Promise<T> {
    const { clock, callTimeoutMs, log } = this.#options;
    const late = () => problem(lateProblem(request));
    return within(clock, callTimeoutMs, work, late).catch((error: unknown) => {
      if (error instanceof Fault) throw error;
      log.warn({ why: messageOf(error), url: request.url }, 'it cannot be found out which node a call belongs to');
      throw problem(lateProblem(request), undefined, { cause: error });
    });
  }
}

/** Passes on the answer of another node. */
export function passOn(reply: FastifyReply, { status, headers, body }: CarriedAnswer): FastifyReply {
  // Nothing is sent without a type, as where the answer comes from.
  return reply
    .code(status)
    .headers(headers)
    .send(body.length > 0 ? body : undefined);
}

function carriedRequest(request: FastifyRequest, more: readonly string[]): CarriedRequest {
  const { method, url, rawBody } = request;
  const headers: Record<string, string> = { 'x-request-id': request.id };
  for (const name of [...CARRIED_HEADERS, ...more]) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return { method, url, headers, body: rawBody };
}

/** Undefined where the body is no good; whoever answers says why. */
function cnameOf(body: unknown): string | undefined {
  try {
    return parseAcquire(body).cname;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** What the call is answered when its node cannot be had in time. */
function lateProblem({ routeOptions }: FastifyRequest): ProblemName {
  switch (routeOptions.config.livesAt) {
    case 'channelOfBody':
      return 'allocate-timeout';
    case 'resource':
      return 'start-timeout';
    default:
      return 'request-timeout';
  }
}
