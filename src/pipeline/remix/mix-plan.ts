/** Which part of a recording of single users a mix makes, and which slices it reads for that. Pure. */
import type { Manifest } from '../../contract/line/manifest.ts';
import { problem } from '../../contract/problems.ts';
import type { KeptMixRequest } from '../../contract/rest/mix.ts';
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { HoldCutter } from '../../stages/mux/mp4/hold-cutter.ts';
import type { Attended } from '../individual/attendance.ts';
import { countedThrough, manifestOf } from '../individual/manifest.ts';
import { type CastSlice, castOf, slicesWithin } from './cast.ts';

export type MixScene = {
  sid: string;
  cname: string;
  zeroUtcMs: number;
  attended: Attended;
  /** All slices that can be had. */
  files: readonly SpooledFile[];
};

export type PlannedMix = {
  /** Microseconds of the recording. */
  fromUs: RecordingUs;
  toUs: RecordingUs;
  /** The same in seconds of the recording as it plays. */
  fromS: number;
  toS: number;
  /** Whose sound and pictures are in it, in order of joining. */
  users: string[];
  /** Slices that are read for it. */
  slices: CastSlice[];
};

/** An end this little beyond what is recorded is its end: whoever reads a length off a player rounds it. */
const ROUNDED_US = 1_000_000;

/** The manifest of a recording that was not asked to write one. */
export function mixManifest({ sid, cname, zeroUtcMs, attended, files }: MixScene): Manifest {
  const endUs = files.reduce(
    (latest, file) => Math.max(latest, (file.startUtcMs - zeroUtcMs) * 1000 + file.durationUs),
    1,
  );
  return manifestOf({ sid, cname, zeroUtcMs, endUs, ...attended, files: countedThrough(files) });
}

/** Throws a problem: `nothing-stored`, `mix-outside` for users and stretches that were not recorded. */
export function planMix(manifest: Manifest, request: KeptMixRequest): PlannedMix {
  const { users: uids, streamTypes } = request;
  checkUsers(manifest, [...(uids ?? []), ...(request.stereo?.left ?? []), ...(request.stereo?.right ?? [])]);
  const cast = castOf(manifest, { uids, audio: streamTypes !== 1, video: streamTypes !== 0, missing: new Set() });
  const { span } = cast;
  if (!span) throw problem('nothing-stored', 'there is nothing to mix: no files of what was asked for are there');
  const cutter = new HoldCutter(manifest.holds);
  const ownUs = (moment: number | string) =>
    typeof moment === 'number'
      ? cutter.ownTime(Math.round(moment * US))
      : Math.round((Date.parse(moment) - manifest.zeroUtcMs) * 1000);
  const playedS = (us: RecordingUs) => (us - cutter.heldBefore(us)) / US;
  const fromUs = request.from === undefined ? span.startUs : ownUs(request.from);
  const wantedUs = request.to === undefined ? Math.max(span.endUs, 0) : ownUs(request.to);
  const toUs = wantedUs > manifest.endUs && wantedUs - manifest.endUs <= ROUNDED_US ? manifest.endUs : wantedUs;
  // A stretch within a hold is empty too.
  const isEmpty = playedS(toUs) <= playedS(fromUs);
  if (fromUs < 0 || toUs > manifest.endUs || isEmpty) {
    const shown = (us: RecordingUs) => `${Number(playedS(us).toFixed(3))} s`;
    throw problem(
      'mix-outside',
      `there is ${shown(0)} to ${shown(manifest.endUs)}, and ${shown(fromUs)} to ${shown(wantedUs)} was asked for`,
    );
  }
  const there = new Set(
    cast.stays.filter((stay) => stay.leftUs > fromUs && stay.joinedUs < toUs).map(({ uid }) => uid),
  );
  const slices = slicesWithin(cast, fromUs, toUs);
  if (slices.length === 0) throw problem('mix-outside', 'nobody who was asked for sent anything in that stretch');
  return { fromUs, toUs, fromS: playedS(fromUs), toS: playedS(toUs), users: [...there], slices };
}

function checkUsers(manifest: Manifest, uids: readonly string[]): void {
  const known = new Set([...manifest.users, ...manifest.slices].map(({ uid }) => uid));
  const unknown = uids.filter((uid) => uid !== '#allstream#' && !known.has(uid));
  if (unknown.length > 0)
    throw problem('mix-outside', `the recording has no user ${unknown.join(', ')}; it has ${[...known].join(', ')}`);
}
