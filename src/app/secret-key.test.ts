import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Vault } from '../store/vault.ts';
import { secretKeys } from './secret-key.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-secret-key-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});
const [old, young] = ['o'.repeat(32), 'y'.repeat(32)];

describe('a node of a fleet', () => {
  test('opens what another sealed, each with the fleet’s key and a folder of its own', () => {
    const other = mkdtempSync(join(tmpdir(), 'aircheck-secret-key-'));
    onTestFinished(() => rmSync(other, { recursive: true, force: true }));
    const vaults = [dir, other].map((each) => new Vault(secretKeys(each, { secretKeys: [], fleetKey: [young] })));
    expect(vaults[1]?.open(vaults[0]?.seal('a secret') ?? '')).toBe('a secret');
    expect(existsSync(join(dir, 'secret.key'))).toBe(false);
  });

  test('opens what was sealed before its key was changed, and before it came into the fleet', () => {
    const alone = new Vault(secretKeys(dir, { secretKeys: [], fleetKey: [] }));
    const before = new Vault(secretKeys(dir, { secretKeys: [], fleetKey: [old] }));
    const now = new Vault(secretKeys(dir, { secretKeys: [], fleetKey: [young, old] }));
    expect(now.open(before.seal('a secret'))).toBe('a secret');
    expect(now.open(alone.seal('another'))).toBe('another');
    expect(now.isCurrent(before.seal('a secret'))).toBe(false);
  });

  test('seals with the configured key where there is one', () => {
    const configured = Vault.newKey();
    expect(secretKeys(dir, { secretKeys: [configured], fleetKey: [young] })[0]).toBe(configured);
  });
});

test.each(['', '0123\n', `${'x'.repeat(64)}\n`])('a file that holds no key is refused by its name: %j', (text) => {
  writeFileSync(join(dir, 'secret.key'), text);
  expect(() => secretKeys(dir, { secretKeys: [], fleetKey: [] })).toThrow(
    new RegExp(`${join(dir, 'secret.key')}.*64 hexadecimal.*restore.*remove`),
  );
});
