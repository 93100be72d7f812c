/**
 * `clientRequest.aircheck.stereo` of start and update in composite mode: who is heard on which side. Beyond the wire
 * contract.
 */
import { z } from 'zod';
import type { AudioPlan } from '../line/plan.ts';
import type { Stereo } from '../line/stereo.ts';
import { uidListSchema } from './fields.ts';
import { AUDIO_PROFILES } from './media-values.ts';

const ALL = '#allstream#';

export const stereoSchema = z
  .object({ left: uidListSchema.default([]), right: uidListSchema.default([]) })
  .superRefine(({ left, right }, context) => {
    const twice = left.find((uid) => right.includes(uid));
    if (twice === undefined) return;
    const message = `${twice} cannot be on both lists, left and right; who is on neither is heard on both sides`;
    context.addIssue({ code: 'custom', path: ['right'], message });
  })
  .meta({
    description:
      'Who is heard on the left alone, and who on the right alone; everybody else on both sides. The sound is stereo, whatever audioProfile says.',
  });

export type StereoLists = z.output<typeof stereoSchema>;

/** `["#allstream#"]` stands for everybody who is not on the other list. */
export function toStereo({ left, right }: StereoLists): Stereo {
  const isAll = (uids: readonly string[]) => uids[0] === ALL;
  return {
    left: isAll(left) ? [] : left,
    right: isAll(right) ? [] : right,
    others: isAll(left) ? 'left' : isAll(right) ? 'right' : 'both',
  };
}

/** The profile with two channels, each with as many bits as the one channel had, up to the best profile's. */
export function inStereo({ channels, bitrateKbps }: AudioPlan): AudioPlan {
  return { channels: 2, bitrateKbps: Math.min((bitrateKbps * 2) / channels, AUDIO_PROFILES[2].bitrateKbps) };
}
