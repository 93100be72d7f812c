/**
 * Overlays of a composite (`clientRequest.aircheck`) that do not show what their sender probably means.
 */
import { lintImage } from './layout.ts';
import { isEmpty, isObject, memberPath, type Warning } from './warning.ts';

const MEMBERS = ['nameLabels', 'watermark', 'clock', 'activeSpeaker', 'hideUsersWithoutVideo'];
/** Where these stand when the request does not say. */
const PLACES = { watermark: 'bottom-right', clock: 'top-right' };

/**
 * Checks `aircheck` of start or update.
 * @param config the recording's `recordingConfig`, or what is known of it
 */
export function lintOverlays(aircheck: unknown, path: string, config: unknown): Warning[] {
  if (!isObject(aircheck)) return [];
  const { streamTypes, transcodingConfig } = isObject(config) ? config : {};
  const { watermark, clock, activeSpeaker: speaker } = aircheck;
  const warnings: Warning[] = [];
  const contradict = (name: string, message: string) =>
    warnings.push({ code: 'contradictory', path: memberPath(path, name), message });
  if (streamTypes === 0)
    for (const name of MEMBERS)
      if (!isEmpty(aircheck[name]))
        contradict(name, `${name} has no effect, because streamTypes 0 records no picture.`);
  if (isObject(watermark)) {
    warnings.push(...lintImage(watermark['image'], memberPath(`${path}.watermark`, 'image')));
    const place = watermark['position'] ?? PLACES.watermark;
    if (isObject(clock) && place === (clock['position'] ?? PLACES.clock))
      contradict('watermark', 'watermark stands in the same corner as the clock, which covers it.');
  }
  if (!isObject(speaker)) return warnings;
  const { highlight, layout = 'none' } = speaker;
  if (streamTypes === 1)
    contradict('activeSpeaker', 'activeSpeaker has no effect, because streamTypes 1 records no sound to tell it by.');
  if (highlight === false && layout === 'none')
    contradict('activeSpeaker', 'activeSpeaker has no effect with neither a highlight nor a layout.');
  if (layout !== 'none' && isObject(transcodingConfig) && !isEmpty(transcodingConfig['mixedVideoLayout']))
    contradict('activeSpeaker', 'activeSpeaker.layout is used instead of mixedVideoLayout.');
  return warnings;
}
