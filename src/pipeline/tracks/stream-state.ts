/**
 * StreamState: whether each user's sound and picture are arriving, told only when it changes (webhooks 43 and 44).
 */

import type { StreamsState } from '../../contract/line/channel-state.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';

/**
 * A stream that was silent for this long has stopped. For a muted microphone or camera Chromium goes on sending silence
 * and black pictures.
 */
const SILENT_US = 3_000_000;

export type StreamChange = { uid: string; kind: MediaKind; receiving: boolean };

export class StreamState {
  #lastUs = new Map<string, { uid: string; kind: MediaKind; lastUs: HostUs; receiving: boolean }>();

  save(): StreamsState {
    return [...this.#lastUs.values()].map((stream) => ({ ...stream }));
  }

  /** Goes on from the state of another one: what that one told is not told again. */
  restore(streams: StreamsState): void {
    for (const stream of streams) this.#lastUs.set(`${stream.kind} ${stream.uid}`, { ...stream });
  }

  /** A whole picture or sound came. Returns the change that this makes, if any. */
  onMedia(uid: string, kind: MediaKind, nowUs: HostUs): StreamChange | undefined {
    const key = `${kind} ${uid}`;
    const known = this.#lastUs.get(key);
    if (known?.receiving) {
      known.lastUs = Math.max(known.lastUs, nowUs);
      return undefined;
    }
    this.#lastUs.set(key, { uid, kind, lastUs: nowUs, receiving: true });
    return { uid, kind, receiving: true };
  }

  /** Streams that have fallen silent by now. */
  onTime(nowUs: HostUs): StreamChange[] {
    const changes: StreamChange[] = [];
    for (const s of this.#lastUs.values()) {
      if (!s.receiving || nowUs - s.lastUs < SILENT_US) continue;
      s.receiving = false;
      changes.push({ uid: s.uid, kind: s.kind, receiving: false });
    }
    return changes;
  }

  /** The user's stream ended. Returns the change if it was arriving. */
  onEnd(uid: string, kind: MediaKind): StreamChange | undefined {
    const known = this.#lastUs.get(`${kind} ${uid}`);
    this.#lastUs.delete(`${kind} ${uid}`);
    return known?.receiving ? { uid, kind, receiving: false } : undefined;
  }

  /** All streams that still arrive end now. */
  endAll(): StreamChange[] {
    const changes = [...this.#lastUs.values()].filter((s) => s.receiving);
    this.#lastUs.clear();
    return changes.map(({ uid, kind }) => ({ uid, kind, receiving: false }));
  }
}
