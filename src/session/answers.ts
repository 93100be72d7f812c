/**
 * What query and stop say of a recording, in the shape that its mode has (contract §1.5, §1.6). Pure.
 */
import { toFileList } from '../contract/rest/file-list.ts';
import { type PageStanding, type RtmpPublishState, toWebRecorderState } from '../contract/rest/page-state.ts';
import { type QueryReply, toQueryResponse } from '../contract/rest/query.ts';
import type { StopReply, UploadingStatus } from '../contract/rest/stop.ts';
import { listed, type Task, type TaskState } from './task.ts';

export function queryResponse(task: Task, state: TaskState, unit: 's' | 'ms'): QueryReply['serverResponse'] {
  const standing = standingOf(task, state);
  const recording = listed(task, state);
  if (!standing) return toQueryResponse(state.status, recording, unit);
  const page = toWebRecorderState(recording, standing, unit);
  return { status: state.status, extensionServiceState: [page, ...pushStates(task, state, standing)] };
}

/**
 * What query says beyond the contract about a recording of a channel; a web page's state has `onhold` in the contract.
 */
export function extensionOf({ document: { plan } }: Task): Pick<QueryReply, 'aircheck'> {
  return plan.mode === 'web' || plan.onhold === undefined ? {} : { aircheck: { onhold: plan.onhold } };
}

export function stopResponse(
  task: Task,
  state: TaskState,
  uploadingStatus: UploadingStatus,
  unit: 's' | 'ms',
): StopReply['serverResponse'] {
  const standing = standingOf(task, state);
  const recording = listed(task, state);
  if (!standing) return { ...toFileList(recording, unit), uploadingStatus };
  const upload = { serviceName: 'upload_service', payload: { uploadingStatus } } as const;
  return { extensionServiceState: [toWebRecorderState(recording, standing, unit), upload] };
}

/**
 * The state of each push that is wanted now, in the order in which the customer named them; none where no push was
 * started.
 */
function pushStates({ document: { pushes } }: Task, state: TaskState, standing: PageStanding): RtmpPublishState[] {
  if (!pushes) return [];
  const outputs = pushes.map(({ id, url: rtmpUrl }) => {
    const known = state.pushes.find((push) => push.id === id);
    return { rtmpUrl, status: known?.status ?? (standing.onhold ? 'onhold' : 'connecting') };
  });
  return [{ serviceName: 'rtmp_publish_service', payload: { outputs, state: standing.state } }];
}

/** The state of a web page's recording; undefined in other modes. */
function standingOf({ document: { plan } }: Task, { phase, joined }: TaskState): PageStanding | undefined {
  if (plan.mode !== 'web') return undefined;
  const isOver = phase === 'uploading' || phase === 'ended';
  return { onhold: plan.onhold, state: isOver ? 'exit' : joined ? 'inProgress' : 'init' };
}
