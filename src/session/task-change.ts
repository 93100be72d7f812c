/** What a call changes of a running recording, and what becomes of its task's document by that. Pure. */
import type { Change } from '../contract/line/commands.ts';
import type { OverlaysChange } from '../contract/line/overlays.ts';
import type { Layout, Subscription } from '../contract/line/plan.ts';
import type { PushTarget } from '../contract/line/push.ts';
import type { Stereo } from '../contract/line/stereo.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Warning } from '../contract/lint/warning.ts';
import type { RecordingUs } from '../kernel/time.ts';
import { type KeptChange, keepChanges, overlaysChanged, planAfter } from './changes.ts';
import type { TaskDocument } from './task.ts';

/** What an update or updateLayout changes; each member except `overlays` replaces the whole of what it names. */
export type TaskChange = {
  storage?: StorageConfig;
  subscribe?: { audio: Subscription; video: Subscription };
  layout?: { layout: Layout; backgroundColor: string };
  /** Who is heard on which side of a composite in stereo. */
  stereo?: Stereo | undefined;
  /** Has no effect where there is no picture. */
  overlays?: OverlaysChange | undefined;
  /** Whether nothing is recorded for now. */
  onhold?: boolean | undefined;
  /** Where a web page is pushed to. */
  pushes?: PushTarget[] | undefined;
  warnings?: readonly Warning[];
};

/** At most this many warnings about later calls are kept. */
const MAX_WARNINGS = 200;
/** The document of a task after a change at `nowUs`, and what the recorder must be told of it. */
export function documentAfter(
  document: TaskDocument,
  { storage, subscribe, layout, stereo, overlays, onhold, pushes, warnings = [] }: TaskChange,
  nowUs: RecordingUs,
): { added: KeptChange[]; changed: TaskDocument } {
  const changes: Change[] = [
    ...(subscribe ? [{ type: 'changeSubscription', subscribe } as const] : []),
    ...(layout ? [{ type: 'changeLayout', ...layout } as const] : []),
    ...(stereo ? [{ type: 'changeStereo', stereo } as const] : []),
    ...(overlays ? overlaysChanged(document.plan, overlays) : []),
    ...(onhold === undefined ? [] : [{ type: 'changeHold', onhold } as const]),
  ];
  const added = changes.map((change) => ({ atUs: nowUs, change }));
  const kept = keepChanges(document.changed ?? { before: document.plan, changes: [] }, added, nowUs);
  const changed = {
    ...document,
    storage: storage ?? document.storage,
    ...(pushes && { pushes }),
    ...(added.length > 0 && { plan: planAfter(kept), changed: kept }),
    warnings: [...document.warnings, ...warnings].slice(0, MAX_WARNINGS),
  };
  return { added, changed };
}
