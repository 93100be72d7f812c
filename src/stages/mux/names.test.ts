import { basename, posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { baseName, mp4Name, playlistName, sliceName } from './names.ts';

const SID = '38f8e3cfdc474cd56fc1ceba380d7e1a';

describe('file names', () => {
  test('are the contract’s', () => {
    const base = baseName(SID, 'ch1');
    expect(playlistName(base)).toBe(`${SID}_ch1.m3u8`);
    expect(sliceName(base, Date.UTC(2019, 8, 20, 12, 51, 42, 485))).toBe(`${SID}_ch1_20190920125142485.ts`);
    expect(mp4Name(base, 0)).toBe(`${SID}_ch1_0.mp4`);
  });

  test('have - for every special character of the channel name', () => {
    expect(baseName(SID, 'a_b.c d')).toBe(`${SID}_a-b-c-d`);
    expect(baseName(SID, '!@#$%^&*()+=[]{}~|,;:?<>')).toBe(`${SID}_${'-'.repeat(24)}`);
  });

  test('refuse a sid that is none', () => {
    expect(() => baseName('../etc', 'x')).toThrow(/sid/);
  });

  test('never leave their folder, whatever the channel is called', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('..', '../../x', '/', '\\', '\0', '.')),
        (cname) => {
          const base = baseName(SID, cname);
          for (const name of [playlistName(base), sliceName(base, 0), mp4Name(base, 3)]) {
            const path = posix.join('/spool', name);
            const isSafe = /^[A-Za-z0-9_.-]{1,250}$/.test(name) && path === `/spool/${basename(path)}`;
            if (!isSafe) return false;
          }
          return true;
        },
      ),
    );
  });
});
