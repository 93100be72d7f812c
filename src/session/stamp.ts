/**
 * Gives notices what makes each one itself: an id, its number in the recording, and whose it is (contract §3.2). Pure.
 */
import {
  NOTICE_TYPES,
  type Notice,
  type NoticeDraft,
  noticeSchema,
  type ServiceScene,
} from '../contract/webhook/notice.ts';
import type { Task } from './task.ts';

const SCENES: Record<Task['document']['plan']['mode'], ServiceScene> = { mix: 'mix_record' };

/**
 * @param sequence number of the first of them
 * @param nowMs when they happened, Unix milliseconds
 * @param newId makes a noticeId
 */
export function stamp(
  drafts: readonly NoticeDraft[],
  { sid, cname, uid, document }: Task,
  sequence: number,
  nowMs: number,
  newId: () => string,
): Notice[] {
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
        serviceScene: SCENES[document.plan.mode],
        details,
      },
    }),
  );
}
