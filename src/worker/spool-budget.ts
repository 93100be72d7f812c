/** How much of the disk recordings may take: all together, each one, and those of one app. Pure. */

export type SpoolLimits = {
  /** Free space below which running recordings end; 0 sets no limit. */
  reserveBytes: number;
  /** Limit for everything on the spool; 0 sets none. */
  totalBytes: number;
  /** Limit for one recording; 0 sets none. */
  recordingBytes: number;
  /** Share of the disk, or of `totalBytes` where that is less, that one of several apps may take. 100 sets no limit. */
  appPercent: number;
};

/** A recording whose files lie on the spool. */
export type Occupant = { sid: string; appid: string; bytes: number; isRunning: boolean };

export type SpoolState = {
  freeBytes: number;
  /** Size of the whole disk. */
  diskBytes: number;
  /** Everything on the spool, also folders of unknown recordings. */
  spoolBytes: number;
  occupants: readonly Occupant[];
  /** Bytes of the backup store on this disk, by app. */
  backupBytes: ReadonlyMap<string, number>;
  /** Whether there is more than one app. */
  isShared: boolean;
};

export type Ending = { sid: string; why: string };

/** Why no recording of this app may begin, in words; undefined when one may. */
export function spoolRefusalOf(appid: string, state: SpoolState, limits: SpoolLimits): string | undefined {
  const { freeBytes, spoolBytes } = state;
  const { reserveBytes, totalBytes } = limits;
  if (reserveBytes > 0 && freeBytes < reserveBytes)
    return `the spool's disk has ${megabytes(freeBytes)} free, and recordings end below ${megabytes(reserveBytes)} (spoolReserveMb)`;
  if (totalBytes > 0 && spoolBytes >= totalBytes)
    return `${megabytes(spoolBytes)} lie on the spool, and ${megabytes(totalBytes)} are allowed (spoolTotalMb)`;
  return shareExceeded(appid, state, limits);
}

/**
 * Which running recordings are to end now. One that takes more than its own budget always ends. Where all together take
 * too much, the largest recording of the app that takes most ends, one at a time: a good store soon has its files, and
 * that makes room. All end when half of the reserve is gone.
 */
export function endingsOf(state: SpoolState, limits: SpoolLimits): Ending[] {
  const { freeBytes, spoolBytes, occupants } = state;
  const { reserveBytes, totalBytes, recordingBytes } = limits;
  const running = occupants.filter(({ isRunning }) => isRunning);
  const full = `the server's disk is nearly full`;
  if (freeBytes < reserveBytes / 2) return running.map(({ sid }) => ({ sid, why: full }));

  const endings = new Map<string, string>();
  if (recordingBytes > 0)
    for (const { sid, bytes } of running)
      if (bytes > recordingBytes)
        endings.set(sid, `the recording takes ${megabytes(bytes)}, and ${megabytes(recordingBytes)} are allowed`);
  const end = (one: Occupant | undefined, why: string) => one && !endings.has(one.sid) && endings.set(one.sid, why);
  for (const appid of new Set(running.map((each) => each.appid))) {
    const why = shareExceeded(appid, state, limits);
    if (why !== undefined) end(largest(running.filter((each) => each.appid === appid)), why);
  }
  const isFull = freeBytes < reserveBytes;
  if (endings.size === 0 && (isFull || (totalBytes > 0 && spoolBytes > totalBytes))) {
    const takers = [...new Set(running.map(({ appid }) => appid))];
    const [most] = takers.sort((a, b) => bytesOf(b, state) - bytesOf(a, state));
    end(largest(running.filter(({ appid }) => appid === most)), isFull ? full : `the server's spool is full`);
  }
  return [...endings].map(([sid, why]) => ({ sid, why }));
}

function shareExceeded(appid: string, state: SpoolState, limits: SpoolLimits): string | undefined {
  const { isShared, diskBytes } = state;
  const { appPercent, totalBytes } = limits;
  if (!isShared || appPercent >= 100) return undefined;
  const share = ((totalBytes > 0 ? Math.min(totalBytes, diskBytes) : diskBytes) * appPercent) / 100;
  const bytes = bytesOf(appid, state);
  if (bytes <= share) return undefined;
  return `files of this app that are not in their store take ${megabytes(bytes)} of the server's disk, and ${megabytes(share)} are allowed (spoolAppPercent)`;
}

function bytesOf(appid: string, { occupants, backupBytes }: SpoolState): number {
  const own = occupants.filter((each) => each.appid === appid);
  return own.reduce((sum, { bytes }) => sum + bytes, backupBytes.get(appid) ?? 0);
}

function largest(occupants: readonly Occupant[]): Occupant | undefined {
  return occupants.reduce<Occupant | undefined>(
    (most, each) => (most && most.bytes >= each.bytes ? most : each),
    undefined,
  );
}

function megabytes(bytes: number): string {
  return `${Math.max(0, Math.floor(bytes / 1e6))} MB`;
}
