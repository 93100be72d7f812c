/**
 * What a Plan needs beside the request it is made of.
 */
export type PlanOptions = {
  sid: string;
  /** Start of every file name (contract §4.1). */
  baseName: string;
  /** As of Plan. */
  failoverNames?: boolean;
  mp4Limit: { durationMs: number; bytes: number };
};
