/**
 * What an update asks to change of a running recording (contract §1.3).
 */
import { type PushTarget, toTargets } from '../contract/line/push.ts';
import type { Stereo } from '../contract/line/stereo.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import { problem } from '../contract/problems.ts';
import { toOverlaysChange } from '../contract/rest/overlays.ts';
import { type StereoLists, toStereo } from '../contract/rest/stereo.ts';
import { toSubscriptions } from '../contract/rest/to-plan.ts';
import { listsOf, type UpdateRequest } from '../contract/rest/update.ts';
import { newHexId } from '../kernel/ids.ts';
import type { PushPort, TaskPorts } from './ports.ts';
import { kindsOf, type Task } from './task.ts';
import type { TaskChange } from './task-change.ts';

/** Throws `request-invalid` for a change that is not allowed. */
export function changeOf(
  task: Task,
  request: UpdateRequest['clientRequest'],
  ports: Pick<TaskPorts, 'pushes' | 'log'>,
): TaskChange {
  const change: TaskChange = {};
  if (request.mode === 'web') {
    change.onhold = request.webRecordingConfig?.onhold;
    change.pushes = newTargets(task, request.rtmpPublishConfig?.outputs, ports);
  } else {
    const lists = listsOf(request);
    if (lists) change.subscribe = toSubscriptions(lists, kindsOf(task.document.plan));
    change.onhold = request.aircheck?.onhold;
    if (request.mode === 'mix') {
      change.stereo = newStereo(task, request.aircheck?.stereo);
      change.overlays = toOverlaysChange(request.aircheck);
    }
  }
  if (request.storageConfig) change.storage = renewed(task, request.storageConfig);
  return change;
}

/** Throws `request-invalid` for files with one channel: no encoder can turn them into stereo while they are written. */
function newStereo({ document: { plan } }: Task, lists: StereoLists | undefined): Stereo | undefined {
  // For a recording without sound the caller gets a warning.
  if (!lists || plan.mode !== 'mix' || !plan.audio) return undefined;
  if (plan.audio.channels === 1)
    throw problem(
      'request-invalid',
      'update: aircheck.stereo needs a recording in stereo: one that was started with aircheck.stereo or audioProfile 2!',
    );
  return toStereo(lists);
}

/** Throws `request-invalid` for an address that may never be pushed to. */
export function refusePushes(pushes: PushPort, call: 'start' | 'update', urls: readonly string[]): void {
  for (const url of urls) {
    const refusal = pushes.refusalOf(url);
    if (refusal !== undefined) throw problem('request-invalid', `${call}: rtmpUrl ${refusal}!`);
  }
}

/** Has an effect only where a push was started (contract §1.3). */
function newTargets(
  { sid, document }: Task,
  outputs: { rtmpUrl: string }[] | undefined,
  { pushes, log }: Pick<TaskPorts, 'pushes' | 'log'>,
): PushTarget[] | undefined {
  if (!outputs) return undefined;
  const urls = outputs.map(({ rtmpUrl }) => rtmpUrl);
  refusePushes(pushes, 'update', urls);
  if (document.pushes) return toTargets(urls, document.pushes, newHexId);
  log.warn({ sid }, 'without effect: rtmpPublishConfig, as no rtmp_publish_service was started');
  return undefined;
}

/** The task's storage with the credentials that an update may renew. Throws `request-invalid` for another bucket. */
function renewed(task: Task, given: StorageConfig): StorageConfig {
  const { storage } = task.document;
  for (const member of ['vendor', 'region', 'bucket'] as const)
    if (given[member] !== storage[member])
      throw problem(
        'request-invalid',
        `update: storageConfig.${member} cannot change; update renews accessKey, secretKey, stsToken and stsExpiration!`,
      );
  const { accessKey, secretKey, stsToken, stsExpiration } = given;
  return { ...storage, accessKey, secretKey, stsToken, stsExpiration };
}
