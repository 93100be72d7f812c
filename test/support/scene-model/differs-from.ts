/**
 * A model of a composite recording that is changed while users come and go and it is put on hold, for tests that hold
 * files against it: what colour each part of the canvas may have at each moment.
 */
import type { Rect } from '../judge/regions.ts';
import type { Yuv } from '../media/participants.ts';
import { type Allowed, GRID, partsOf, type Shown, shownOf, wantedAt } from './parts.ts';
import type { SceneModel } from './scene.ts';
import { spokeOver } from './speakers.ts';

/** The frame of a file. */
export type ModelFrame = {
  atS: number;
  /** The medians of a rectangle in pixels. */
  colourOf(rect: Rect): Yuv;
};

/** So long after someone came or went, or an image took the place of a picture, it may still be as before. */
export const PRESENCE_S = 0.6;
/** So long before or after may somebody else be heard to speak. */
const SPEECH_S = 0.35;

/**
 * Whether a frame can be one of a moment of the recording: as it was at most `slackS` before or after, with those who
 * were there or had just come or gone. Undefined when it can; else what was wrong with it at the moment itself.
 */
export function differsFrom(model: SceneModel, frame: ModelFrame, atS: number, slackS: number): string | undefined {
  const around = [atS, atS - slackS, atS + slackS];
  const looks = new Set(around.map((s) => heldAt(model.looks, s)));
  const drawn = new Set(around.map((s) => heldAt(model.overlays, s)));
  const casts = new Map<string, { shown: Shown[] }>();
  const speakers = new Map<string, readonly string[]>();
  const said = spokeOver(model.stays);
  for (const s of [atS, ...steps(atS - SPEECH_S, atS + SPEECH_S, 0.05)]) speakers.set(said(s).join(), said(s));
  let told: string | undefined;
  for (const { overlays } of drawn) {
    casts.clear();
    for (const s of [atS, ...steps(atS - PRESENCE_S, atS + slackS, 0.02)]) {
      const shown = shownOf(model.stays, s, overlays.hidesWithoutVideo === true);
      casts.set(shown.map(({ uid, view }) => `${uid} ${view}`).join(), { shown });
    }
    for (const look of looks)
      for (const { shown } of casts.values())
        for (const spoke of overlays.speaker ? speakers.values() : [[]]) {
          const parts = partsOf(model, { look, overlays, shown, spoke, atS });
          const wrong = faults(frame, [...GRID(model.canvas), ...parts.flatMap(({ probes = [] }) => probes)], (rect) =>
            wantedAt(parts, rect),
          );
          if (wrong.length === 0) return undefined;
          told ??= `at ${atS.toFixed(3)} s, ${JSON.stringify({ look, overlays, shown, spoke })}: ${wrong.join('; ')}`;
        }
  }
  return told;
}

function heldAt<T extends { atS: number }>(of: readonly T[], atS: number): T {
  return of.findLast((each) => each.atS <= atS) ?? of[0]!;
}

function steps(fromS: number, toS: number, byS: number): number[] {
  return Array.from({ length: Math.floor((toS - fromS) / byS) + 1 }, (_, n) => fromS + n * byS);
}

function faults(frame: ModelFrame, probes: readonly Rect[], wanted: (rect: Rect) => Allowed[] | undefined): string[] {
  return probes.flatMap((rect) => {
    const allowed = wanted(rect);
    if (!allowed) return [];
    const found = frame.colourOf(rect);
    if (allowed.some((each) => each.fits(found))) return [];
    return [`${rect.x},${rect.y} is ${found.y},${found.u},${found.v} and not ${allowed.map(({ what }) => what)}`];
  });
}
