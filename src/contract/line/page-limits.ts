/** What one web page may take of its machine, and the control groups that enforce it. */
import { z } from 'zod';

const folder = z.string().min(1).optional();
/** Folders in which groups can be made, by what they limit. */
const groupHomeSchema = z.object({ memory: folder, pids: folder, cpu: folder });
export type GroupHome = z.infer<typeof groupHomeSchema>;

/** 0 sets no limit. */
export const pageLimitsSchema = z.object({
  home: groupHomeSchema,
  memoryBytes: z.number().min(0),
  processes: z.int().min(0),
  cores: z.number().min(0),
});
export type PageLimits = z.infer<typeof pageLimitsSchema>;
