import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('Zod says in English what is wrong, and holds no other language', () => {
  const script = `
    const { leaveOutLanguages } = await import('./zod-languages.ts');
    leaveOutLanguages();
    const { z } = await import('zod');
    const { error } = z.string().safeParse(1);
    console.log(JSON.stringify({ said: error.issues[0].message, languages: Object.keys(z.locales) }));`;
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname });
  expect(JSON.parse(String(told))).toEqual({
    said: 'Invalid input: expected string, received number',
    languages: ['default'],
  });
});
