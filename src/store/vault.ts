/**
 * Vault: secrets as the database keeps them, sealed by AES-256-GCM with a key that is not in the database, so that a
 * copy of the database alone reveals no storage keys or tokens. Each sealed text names its key, so that keys can be
 * changed one after another.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { Fault } from '../kernel/fault.ts';

const PREFIX = 'sealed:1';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

type VaultKey = { id: string; key: Buffer };

export class Vault {
  readonly #keys: readonly VaultKey[];

  /**
   * @param keys 64 hex digits each. The first one seals and all of them open, so that a key can be changed while rows
   * are still sealed with the old one. Throws a Fault for a malformed key, and when there is none.
   */
  constructor(keys: readonly string[]) {
    this.#keys = keys.map((hex) => {
      if (!/^[0-9a-fA-F]{64}$/.test(hex))
        throw new Fault('secret-key-invalid', 'a secret key is 64 hexadecimal characters', { blame: 'caller' });
      const key = Buffer.from(hex, 'hex');
      // Identifies the key, and reveals nothing of it.
      return { id: createHash('sha256').update('aircheck key id').update(key).digest('hex').slice(0, 8), key };
    });
    if (this.#keys.length === 0)
      throw new Fault('secret-key-invalid', 'there is no secret key to seal with', { blame: 'caller' });
  }

  /** A key for a new vault. */
  static newKey(): string {
    return randomBytes(KEY_BYTES).toString('hex');
  }

  /** `sealed:1:<key id>:<base64 of nonce, tag and text>` */
  seal(text: string): string {
    const { id, key } = this.#keys[0] as VaultKey;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    // The key's id is authenticated too: a row cannot be changed to look as if another key had sealed it.
    cipher.setAAD(Buffer.from(id));
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return `${PREFIX}:${id}:${Buffer.concat([iv, cipher.getAuthTag(), data]).toString('base64')}`;
  }

  /** Throws a Fault when the key is not among ours, or the text was changed. */
  open(sealed: string): string {
    const [, , id = '', packed = ''] = sealed.split(':');
    const known = this.#keys.find((each) => each.id === id);
    if (!Vault.isSealed(sealed) || !known)
      throw new Fault(
        'secret-unreadable',
        `the key ${id} that a secret was sealed with is missing: put it back into secretKeys, or into secret.key of the data folder, and start again`,
        { blame: 'caller' },
      );
    const bytes = Buffer.from(packed, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', known.key, bytes.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(id));
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    try {
      return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    } catch (cause) {
      throw new Fault('secret-unreadable', 'a sealed secret was changed, and cannot be opened', {
        blame: 'self',
        cause,
      });
    }
  }

  /** As `open`; undefined where none of our keys opens it. One secret that is lost must not cost the others. */
  openIfKnown(sealed: string): string | undefined {
    try {
      return this.open(sealed);
    } catch (error) {
      if (error instanceof Fault && error.code === 'secret-unreadable') return undefined;
      throw error;
    }
  }

  /** Sealed with the present key; undefined where it is so already, and where none of our keys opens it. */
  resealed(sealed: string): string | undefined {
    const text = this.isCurrent(sealed) ? undefined : this.openIfKnown(sealed);
    return text === undefined ? undefined : this.seal(text);
  }

  /** Whether `seal` made the text; earlier versions kept secrets unsealed. */
  static isSealed(text: string): boolean {
    return text.startsWith(`${PREFIX}:`);
  }

  /** Whether it is sealed with the present key. */
  isCurrent(text: string): boolean {
    return text.startsWith(`${PREFIX}:${this.#keys[0]?.id}:`);
  }
}
