/** What a Plan needs besides the request that it is made from. */
export type PlanOptions = {
  sid: string;
  /** Start of every file name (contract §4.1). */
  baseName: string;
  /** As in Plan. */
  failoverNames?: boolean;
  mp4Limit: { durationMs: number; bytes: number };
};
