import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { redact } from './log.ts';

const LOG = join(import.meta.dirname, 'log.ts');
const run = (script: string) =>
  spawnSync(process.execPath, ['--input-type=module', '-e', `import { createLog } from '${LOG}';${script}`], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
const lines = (stderr: string) =>
  stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('writes every line in order, also those of the moment a process ends in', () => {
  const { stderr, stdout } = run(
    `const log = createLog('info'); for (let n = 0; n < 5000; n++) log.info({ n }, 'line'); process.exit(0);`,
  );
  expect(stdout).toBe('');
  expect(lines(stderr).map(({ n }) => n)).toEqual(Array.from({ length: 5000 }, (_, n) => n));
});

test('writes what was logged before an error that nobody caught', () => {
  const { stderr, status } = run(`createLog('info').error('the last word'); throw new Error('broken');`);
  expect(status).not.toBe(0);
  expect(stderr).toContain('the last word');
  expect(stderr).toContain('broken');
});

test('takes secrets out of lines and of bodies', () => {
  const { stderr } = run(`createLog('info').info({ storage: { secretKey: 'hush' }, token: 'hush' }, 'start');`);
  expect(stderr).toContain('[redacted]');
  expect(stderr).not.toContain('hush');
  expect(redact({ a: [{ accessKey: 'hush', bucket: 'b' }] })).toEqual({
    a: [{ accessKey: '[redacted]', bucket: 'b' }],
  });
});
