/** The server's log: JSON lines on standard error, without secrets. */
import { type Logger, pino } from 'pino';

export type Log = Logger;

/** Names of members that may hold a secret, wherever they occur. */
const SECRET_NAMES = ['accessKey', 'secretKey', 'stsToken', 'token', 'authorization', 'certificate', 'secret', 'salt'];

/** A copy of a request body for the log, with every secret replaced. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      SECRET_NAMES.includes(name) && member !== '' ? '[redacted]' : redact(member),
    ]),
  );
}

/**
 * A log that writes to standard error, because standard output belongs to the commands. Another thread writes the
 * lines, so that a slow reader cannot hold up packets; `flushLog` writes what waits before a process ends.
 */
export function createLog(level: string): Log {
  const paths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`]);
  return pino(
    { level, base: null, redact: { paths, censor: '[redacted]' }, timestamp: pino.stdTimeFunctions.isoTime },
    destination(),
  );
}

/** How much may wait for a slow reader, bytes; lines beyond it are dropped. */
const MAX_WAITING_BYTES = 8_000_000;
let shared: ReturnType<typeof pino.destination> | undefined;

/** All logs of the process share it, so that lines stay in order. */
function destination(): ReturnType<typeof pino.destination> {
  if (shared) return shared;
  shared = pino.destination({ fd: 2, sync: false, maxLength: MAX_WAITING_BYTES });
  // A reader that has gone takes no more lines, but that must not end the process.
  shared.on('error', () => {});
  process.on('exit', flushLog);
  return shared;
}

/** Writes all waiting lines at once. */
function flushLog(): void {
  try {
    shared?.flushSync();
  } catch {
    // Nobody reads any more.
  }
}
