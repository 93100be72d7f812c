/**
 * The server's log: JSON lines on standard error, with secrets taken out.
 */
import { type Logger, pino } from 'pino';

export type Log = Logger;

/** Members that may hold a secret wherever they turn up. */
const SECRET_NAMES = ['accessKey', 'secretKey', 'stsToken', 'token', 'authorization', 'certificate', 'secret', 'salt'];

/** A copy fit for the log of a request body, with every secret replaced. */
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

/** A log that writes to standard error, so that standard output stays the commands' own. */
export function createLog(level: string): Log {
  const paths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`]);
  return pino(
    { level, base: null, redact: { paths, censor: '[redacted]' }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
