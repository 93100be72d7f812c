/**
 * `aircheck store test`: tries a storageConfig as a recording would, and says what works.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { loadConfig } from '../../config/load.ts';
import { storageConfigSchema } from '../../contract/line/storage.ts';
import { systemClock } from '../../kernel/clock.ts';
import { EndpointGuard } from '../../kernel/endpoint-guard.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { createTarget } from '../../stages/upload/target/create-target.ts';
import { print, printJson } from './print.ts';

/** Larger than one part, so that uploads in parts are tried too. */
const LARGE_BYTES = 9 * 1024 * 1024;

/**
 * @param given a storageConfig as JSON, or a file that holds one; `-` reads standard input
 * Throws a Fault, with the store's own words, for the first step that does not work.
 */
export async function testStore(given: string, { json = false }: { json?: boolean } = {}): Promise<void> {
  const parsed = storageConfigSchema.safeParse(read(given));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'storageConfig'}: ${message}`);
    throw new Fault('storage-invalid', problems.join('\n'), { blame: 'caller' });
  }
  const storage = parsed.data;
  const config = loadConfig();
  const guard = new EndpointGuard({ networks: config.storageNetworks, plainHttp: config.storagePlainHttp });
  const warnings: string[] = [];
  const steps: Step[] = [];
  const say = (line: string) => {
    if (!json) print(line);
  };
  const target = await createTarget(storage, {
    localStorageDir: config.localStorageDir,
    guard,
    clock: systemClock,
    warn(text) {
      warnings.push(text);
      say(`warning  ${text}`);
    },
  });
  try {
    say(`store    ${target.description}`);
    for (const [what, data] of [
      ['a small file', Buffer.from('test')],
      ['a file in parts', randomBytes(LARGE_BYTES)],
    ] as const) {
      const key = [...storage.fileNamePrefix, `aircheck-test-${randomBytes(6).toString('hex')}`].join('/');
      const began = systemClock.monoUs();
      const { evidence } = await target.put(key, { data }, 'application/octet-stream');
      const tookMs = Math.round((systemClock.monoUs() - began) / 1000);
      say(`ok       ${what}: ${tookMs} ms, ${PROVED[evidence]}`);
      const kept = await target.remove(key).then(
        () => undefined,
        (error: unknown) => messageOf(error),
      );
      say(kept === undefined ? 'ok       removed again' : `note     ${key} could not be removed: ${kept}`);
      steps.push({
        what,
        key,
        tookMs,
        evidence,
        removed: kept === undefined,
        ...(kept !== undefined && { why: kept }),
      });
    }
    if (json) printJson({ store: target.description, steps, warnings });
  } finally {
    target.close();
  }
}

type Step = { what: string; key: string; tookMs: number; evidence: string; removed: boolean; why?: string };

const PROVED = {
  digest: 'the store told the digest of what it has',
  size: 'the store told the size of what it has',
  accepted: 'the store took it but cannot confirm what it holds: copies on the spool will be kept for a while',
} as const;

function read(given: string): unknown {
  try {
    const text = given.trimStart().startsWith('{') ? given : readFileSync(given === '-' ? 0 : given, 'utf8');
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('storage-unreadable', `the storageConfig cannot be read: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
}
