/**
 * `recordingFileConfig` and `snapshotConfig` of start: which files are to be made (contract §1.2.4, §1.2.5).
 */
import { z } from 'zod';
import { problem } from '../problems.ts';
import { type Mode, whole } from './fields.ts';

export const recordingFileConfigSchema = z.object({
  avFileType: z
    .array(z.string())
    .min(1, 'must name at least one file type')
    .max(8)
    .default(['hls'])
    .meta({ description: '["hls"] or ["hls","mp4"]; in individual mode, one MP4 of each user, made at the end.' }),
});

export const snapshotConfigSchema = z.object({
  captureInterval: whole(1, 3600).default(10),
  fileType: z
    .array(z.string())
    .refine((types) => types.length === 1 && types[0] === 'jpg', 'must be ["jpg"]')
    .meta({ description: 'Exactly ["jpg"].' }),
});

export type FileTypeOptions = {
  /** Refuses MP4 in individual mode, as the real service does (contract §1.2.4, against stop.txt). */
  refuseIndividualMp4?: boolean;
};

const REFUSED = 'mp4, mp3, fmp4 or hls-fmp4 in avFileType is not supported by individual mode';
/** The same words where MP4 is taken (stop.txt). */
const REFUSED_BUT_MP4 =
  'mp3, fmp4 or hls-fmp4 in avFileType is not supported by individual mode; avFileType must be ["hls"] or ["hls","mp4"]';

/** Throws `request-invalid` with the documented reason when a mode cannot make these types of file. */
export function checkFileTypes(
  mode: Mode,
  types: readonly string[],
  { refuseIndividualMp4 = false }: FileTypeOptions = {},
): void {
  const others = types.filter((type) => type !== 'hls');
  const isRefused = (type: string) => type !== 'mp4' || refuseIndividualMp4;
  if (mode === 'individual' && others.some(isRefused))
    throw problem('request-invalid', refuseIndividualMp4 ? REFUSED : REFUSED_BUT_MP4);
  if (others.some((type) => type !== 'mp4') || !types.includes('hls') || new Set(types).size !== types.length)
    throw problem('request-invalid', 'start: avFileType must be ["hls"] or ["hls","mp4"]');
}
