/**
 * Gives each notice what makes it unique: an id, its number in the recording, and the recording that it belongs to
 * (contract §3.2). Pure.
 */
import {
  NOTICE_TYPES,
  type Notice,
  type NoticeDraft,
  noticeSchema,
  type ServiceScene,
} from '../contract/webhook/notice.ts';
import { type LastingTask, takesOnlySnapshots } from './task.ts';

function sceneOf({ document: { plan } }: LastingTask): ServiceScene {
  if (plan.mode === 'mix') return 'mix_record';
  if (plan.mode === 'web') return 'web_record';
  return takesOnlySnapshots(plan) ? 'rtc_snapshot' : 'rtc_record';
}

/**
 * @param sequence number of the first of these notices
 * @param nowMs when they happened, Unix milliseconds
 * @param newId makes a noticeId
 */
export function stamp(
  drafts: readonly NoticeDraft[],
  task: LastingTask,
  sequence: number,
  nowMs: number,
  newId: () => string,
): Notice[] {
  const { sid, cname, uid } = task;
  const serviceScene = sceneOf(task);
  return drafts.map(({ eventType, details }, index) =>
    noticeSchema.parse({
      noticeId: newId(),
      productId: 3,
      eventType,
      sid,
      payload: {
        cname,
        uid,
        sid,
        sequence: sequence + index,
        sendts: Math.floor(nowMs),
        serviceType: NOTICE_TYPES[eventType].serviceType,
        serviceScene,
        details,
      },
    }),
  );
}
