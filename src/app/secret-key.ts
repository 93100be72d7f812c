/**
 * The key that secrets in the database are sealed with, when none is configured: in a fleet made of its key, so that
 * each node can open what another sealed; else made at the first start, in a file for this user's eyes only.
 */
import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, messageOf } from '../kernel/fault.ts';
import { keepFile } from '../kernel/kept-file.ts';
import { Vault } from '../store/vault.ts';

const NAME = 'secret.key';
/** Keeps what is made of a fleet's key for this from being of use for anything else. */
const LABEL = 'aircheck secrets in the database';

type Keys = {
  /** 64 hexadecimal digits each. */
  secretKeys: readonly string[];
  fleetKey: readonly string[];
};

/**
 * The configured keys, followed by those of the fleet and the one of the data folder, because what these sealed must
 * still be opened. Throws a Fault when the file can be neither read nor made.
 */
export function secretKeys(dataDir: string, keys: Keys): string[] {
  const ofFleet = keys.fleetKey.map((key) => Buffer.from(hkdfSync('sha256', key, '', LABEL, 32)).toString('hex'));
  const configured = [...keys.secretKeys, ...ofFleet];
  const kept = read(join(dataDir, NAME));
  if (kept !== undefined) return [...configured, kept];
  return configured.length > 0 ? [...configured] : [make(join(dataDir, NAME))];
}

function read(path: string): string | undefined {
  let key: string;
  try {
    key = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Fault('secret-key-unreadable', `${path} cannot be read: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
  if (/^[0-9a-f]{64}$/i.test(key)) return key;
  throw new Fault(
    'secret-key-invalid',
    `${path} does not hold 64 hexadecimal digits: restore it from a backup; or remove it, and what it had sealed in the database (keys of stores, of recordings that have not ended) cannot be opened any more`,
    { blame: 'caller' },
  );
}

/** The key is synced before its first use: if a power cut took the key, everything it sealed would be lost. */
function make(path: string): string {
  const key = Vault.newKey();
  try {
    keepFile(path, `${key}\n`);
  } catch (cause) {
    throw new Fault('secret-key-unwritable', `${path} cannot be made: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
  return key;
}
