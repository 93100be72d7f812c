import { describe, expect, test } from 'vitest';
import { Vault } from './vault.ts';

const [first, second] = [Vault.newKey(), Vault.newKey()];

describe('a sealed secret', () => {
  test('is opened by its key alone, and is never the same text', () => {
    const vault = new Vault([first]);
    const sealed = vault.seal('sécret');
    expect(vault.open(sealed)).toBe('sécret');
    expect(sealed).not.toContain('cret');
    expect(vault.seal('sécret')).not.toBe(sealed);
    expect(Vault.isSealed(sealed)).toBe(true);
    expect(Vault.isSealed('AKIA')).toBe(false);
    expect(() => new Vault([second]).open(sealed)).toThrow(
      /the key [0-9a-f]{8} that a secret was sealed with is missing/,
    );
  });

  test('outlives a change of keys, and says that it is of the old one', () => {
    const sealed = new Vault([first]).seal('x');
    const both = new Vault([second, first]);
    expect(both.open(sealed)).toBe('x');
    expect(both.isCurrent(sealed)).toBe(false);
    expect(both.isCurrent(both.seal('x'))).toBe(true);
  });

  test('that was changed at any byte is not opened', () => {
    const vault = new Vault([first]);
    const sealed = vault.seal('text');
    const head = sealed.lastIndexOf(':') + 1;
    const bytes = Buffer.from(sealed.slice(head), 'base64');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => vault.open(sealed.slice(0, head) + changed.toString('base64'))).toThrow(/was changed/);
    }
  });
});

test('a key that is none is refused without being told', () => {
  expect(() => new Vault(['hidden-key'])).toThrow(/64 hexadecimal/);
  expect(() => new Vault(['hidden-key'])).not.toThrow(/hidden/);
  expect(() => new Vault([])).toThrow(/no secret key/);
});
