/**
 * Resources: what acquire gave out, as later calls name it in their paths. Those of recordings that this server owns
 * are found without the database.
 */
import { type ProblemName, problem } from '../contract/problems.ts';
import type { SaidNames } from '../contract/rest/body.ts';
import { MODES, type Mode } from '../contract/rest/fields.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Fault } from '../kernel/fault.ts';
import type { RecordingStore, Resource } from './ports.ts';
import type { Task } from './task.ts';

/** The path of a call on one resource. */
export type ResourcePath = { appid: string; resourceId: string; mode: Mode };

/** What an id in a path may look like: ours, those of other servers, and an empty one that a client spliced in. */
const RESOURCE_ID = /^[\w-]{0,512}$/;
const HOUR_MS = 3_600_000;

export class Resources {
  #options: { store: RecordingStore; clock: Clock };
  #kept = new Map<string, Resource>();

  constructor({ store, clock }: { store: RecordingStore; clock: Clock }) {
    this.#options = { store, clock };
  }

  /** Keeps the resource of a recording that this server owns. */
  keep(resource: Resource): void {
    this.#kept.set(resource.resourceId, resource);
  }

  /** Forgets it, once the recording that it started is not this server's any more. */
  forget(resourceId: string, sid: string): void {
    if (this.#kept.get(resourceId)?.sid === sid) this.#kept.delete(resourceId);
  }

  /** The resource of a path, after checking that it belongs to the path, and to the names in the body. */
  async of(endpoint: string, { appid, resourceId, mode }: ResourcePath, names: SaidNames = {}): Promise<Resource> {
    const refuse = (name: ProblemName, why: string): Fault => problem(name, `${endpoint}: ${why}`);
    const resource = await this.#find(resourceId);
    // A resource that was never started is answered as not found, like a recording that has ended (stop.txt). An id
    // with other characters is an error of form.
    if (!resource && endpoint !== 'start' && RESOURCE_ID.test(resourceId)) throw refuseUnfound();
    if (!resource) throw refuse('resource-unknown', 'resourceId is not one that acquire gave out!');
    if (resource.appid !== appid) throw refuse('sid-mismatch', 'resourceId does not belong to this appid!');
    // Of a recording that was never started, perhaps for what does not fit here, stop tells that alone (stop.txt).
    if (resource.sid === undefined && endpoint !== 'start') return resource;
    if (names.cname !== undefined && resource.cname !== names.cname)
      throw refuse('resource-mismatch', 'cname is not the one resourceId was acquired for!');
    if (names.uid !== undefined && resource.uid !== names.uid)
      throw refuse('resource-mismatch', 'uid is not the one resourceId was acquired for!');
    const { scene, cname, uid, startedMs, resourceExpiredHour } = resource;
    if ((scene === 1) !== (mode === 'web')) {
      const why = `mode ${mode} does not fit scene ${scene} of acquire; the modes are ${MODES.join(', ')}!`;
      throw problem('resource-mismatch', `${endpoint}: ${why}`, { details: { cname, uid } });
    }
    if (startedMs !== undefined && this.#options.clock.nowMs() > startedMs + resourceExpiredHour * HOUR_MS)
      throw problem('resource-expired', undefined, { details: { cname, uid } });
    return resource;
  }

  async #find(resourceId: string): Promise<Resource | undefined> {
    if (resourceId === '' || !RESOURCE_ID.test(resourceId)) return undefined;
    const known = this.#kept.get(resourceId);
    if (known) return known;
    return this.#options.store.findResource(resourceId);
  }
}

/** Answers that no such recording runs here. */
export function refuseUnfound(names?: { cname: string; uid: string }): Fault {
  return problem('no-worker', undefined, names && { details: names });
}

/** Later calls, and a start that is sent again, must name the mode of the first start (contract §0.2, §6.13). */
export function refuseOtherMode({ document, cname, uid }: Task, mode: Mode): void {
  const started = document.plan.mode;
  if (started !== mode)
    throw problem('resource-mismatch', `mode is ${mode}, but the recording was started in ${started} mode!`, {
      details: { cname, uid },
    });
}
