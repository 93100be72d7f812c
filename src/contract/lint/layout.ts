/**
 * Layouts that do not show what their sender probably means (contract §1.2.3, §1.4, §4.7).
 */
import { lintUid } from './subscription.ts';
import { isEmpty, isObject, memberPath, type Warning } from './warning.ts';

export type Canvas = { width: number; height: number };

/** Regions wider than this cut more than half of a picture held upright. */
const WIDE = 1.2;
/** Width by height of a phone held upright. */
const PORTRAIT = 9 / 16;

/** Which layout a member is for, by the member's name. */
const LAYOUT_OF = { layoutConfig: 3, maxResolutionUid: 2 } as const;
const WITHOUT_EFFECT = ['backgroundImage', 'defaultUserBackgroundImage', 'backgroundConfig'];

/**
 * Of `transcodingConfig` of start, or `clientRequest` of updateLayout.
 * @param canvas in pixels; without it nothing can be said of what is cut
 */
export function lintLayout(config: Record<string, unknown>, path: string, canvas: Canvas | undefined): Warning[] {
  const layout = config['mixedVideoLayout'] ?? 0;
  const warnings: Warning[] = [];
  for (const [name, wanted] of Object.entries(LAYOUT_OF)) {
    if (layout === wanted || isEmpty(config[name])) continue;
    const message = `${name} has no effect, because mixedVideoLayout is ${shownLayout(layout)} and not ${wanted}.`;
    warnings.push({ code: 'contradictory', path: memberPath(path, name), message });
  }
  if (layout === 2 && isEmpty(config['maxResolutionUid']))
    warnings.push({
      code: 'left-out',
      path: memberPath(path, 'mixedVideoLayout'),
      message: 'mixedVideoLayout 2 without maxResolutionUid leaves the large window empty once there are two users.',
    });
  for (const name of WITHOUT_EFFECT)
    if (!isEmpty(config[name]))
      warnings.push({
        code: 'ignored',
        path: memberPath(path, name),
        message: `${name} is not supported by this server and is ignored.`,
      });
  warnings.push(...lintUid(config['maxResolutionUid'], memberPath(path, 'maxResolutionUid')));
  if (Array.isArray(config['layoutConfig'])) {
    // There are 17 at most.
    const regions = config['layoutConfig'].slice(0, 17).map((region: unknown) => (isObject(region) ? region : {}));
    const place = memberPath(path, 'layoutConfig');
    warnings.push(...lintRegionUids(regions, place));
    if (layout === 3 && canvas) warnings.push(...lintCropping(regions, place, canvas));
  }
  return warnings;
}

function shownLayout(layout: unknown): string {
  return typeof layout === 'number' ? String(layout) : 'something else';
}

function lintRegionUids(regions: readonly Record<string, unknown>[], path: string): Warning[] {
  const seen = new Map<unknown, number>();
  const warnings: Warning[] = [];
  for (const [index, { uid }] of regions.entries()) {
    const place = `${path}[${index}].uid`;
    warnings.push(...lintUid(uid, place));
    if (isEmpty(uid)) continue;
    const first = seen.get(uid);
    if (first === undefined) seen.set(uid, index);
    else {
      const message = `The user of this region has region ${first} already, and is shown there only.`;
      warnings.push({ code: 'contradictory', path: place, message });
    }
  }
  return warnings;
}

/** One warning for all regions: those of a grid are alike. */
function lintCropping(regions: readonly Record<string, unknown>[], path: string, canvas: Canvas): Warning[] {
  const wide: number[] = [];
  let widest = 0;
  for (const [index, { width, height, render_mode: mode }] of regions.entries()) {
    if (typeof width !== 'number' || typeof height !== 'number' || (mode ?? 0) !== 0) continue;
    const ratio = (width * canvas.width) / (height * canvas.height);
    if (!Number.isFinite(ratio) || ratio <= WIDE) continue;
    wide.push(index);
    widest = Math.max(widest, ratio);
  }
  if (wide.length === 0) return [];
  const which = wide.length === 1 ? `Region ${wide[0]} is` : `Regions ${wide.join(', ')} are`;
  const kept = Math.round((PORTRAIT / widest) * 100);
  const message = `${which} wide and cut to fill (render_mode 0): of portrait video (9:16) as little as ${kept} % of the height is seen there; render_mode 1 shows all of it.`;
  return [{ code: 'may-crop', path, message }];
}
