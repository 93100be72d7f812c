/**
 * Layouts that do not show what their sender probably means (contract §1.2.3, §1.4, §4.7).
 */
import { lintUid } from './subscription.ts';
import { isEmpty, isObject, memberPath, type Warning } from './warning.ts';

export type Canvas = { width: number; height: number };

/** Regions wider than this cut more than half of an upright picture. */
const WIDE = 1.2;
/** Width by height of an upright phone. */
const PORTRAIT = 9 / 16;

/** The layout that a member is for, by the member's name. */
const LAYOUT_OF = { layoutConfig: 3, maxResolutionUid: 2 } as const;
/** Endings of image files that cannot be shown; an address without any of them may be an image that can. */
const OTHER_IMAGES = /\.(gif|webp|svg|avif|tiff?|ico|heic)$/i;

/**
 * Checks `transcodingConfig` of start, or `clientRequest` of updateLayout.
 * @param canvas in pixels; without it no cropping can be found
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
  for (const name of ['backgroundImage', 'defaultUserBackgroundImage'])
    warnings.push(...lintImage(config[name], memberPath(path, name)));
  warnings.push(...lintUid(config['maxResolutionUid'], memberPath(path, 'maxResolutionUid')));
  const images = entriesOf(config['backgroundConfig']);
  if (images) {
    const place = memberPath(path, 'backgroundConfig');
    warnings.push(...lintUids(images, place, (first) => `The user has entry ${first} already, whose image is shown.`));
    for (const [index, { image_url: url }] of images.entries())
      warnings.push(...lintImage(url, `${place}[${index}].image_url`));
  }
  const regions = entriesOf(config['layoutConfig']);
  if (regions) {
    const place = memberPath(path, 'layoutConfig');
    const message = (first: number) => `The user of this region has region ${first} already, and is shown there only.`;
    warnings.push(...lintUids(regions, place, message));
    if (layout === 3 && canvas) warnings.push(...lintCropping(regions, place, canvas));
  }
  return warnings;
}

/** The kind of an image is known only once it is fetched; an address that names another kind tells it earlier. */
export function lintImage(url: unknown, path: string): Warning[] {
  const ending = typeof url === 'string' ? OTHER_IMAGES.exec(URL.parse(url)?.pathname ?? '')?.[1] : undefined;
  if (ending === undefined) return [];
  const message = `The address names a ${ending.toLowerCase()} file; images that are shown are PNG, JPEG and BMP.`;
  return [{ code: 'left-out', path, message }];
}

/** A list has at most 17 entries. */
function entriesOf(list: unknown): Record<string, unknown>[] | undefined {
  if (!Array.isArray(list)) return undefined;
  return list.slice(0, 17).map((entry: unknown) => (isObject(entry) ? entry : {}));
}

function shownLayout(layout: unknown): string {
  return typeof layout === 'number' ? String(layout) : 'something else';
}

/** @param message of an entry whose user already has the entry of that number */
function lintUids(
  entries: readonly Record<string, unknown>[],
  path: string,
  message: (first: number) => string,
): Warning[] {
  const seen = new Map<unknown, number>();
  const warnings: Warning[] = [];
  for (const [index, { uid }] of entries.entries()) {
    const place = `${path}[${index}].uid`;
    warnings.push(...lintUid(uid, place));
    if (isEmpty(uid)) continue;
    const first = seen.get(uid);
    if (first === undefined) seen.set(uid, index);
    else warnings.push({ code: 'contradictory', path: place, message: message(first) });
  }
  return warnings;
}

/** One warning for all regions, because those of a grid are alike. */
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
