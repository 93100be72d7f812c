/**
 * `npm run build`: the program as plain JavaScript in `dist`, for the npm package, and the dashboard. Node strips types
 * from our sources itself, but not from what lies under node_modules.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

// What was built of a file that is gone must not be packed.
rmSync(DIST, { recursive: true, force: true });
// The second gives what `aircheck/client` is typed with.
for (const project of ['tsconfig.build.json', 'tsconfig.client.json']) {
  const { status, error } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
const bundled = spawnSync(process.execPath, [join(ROOT, 'scripts/bundle.ts'), join(DIST, 'children')], {
  stdio: 'inherit',
});
if (bundled.status !== 0) process.exit(bundled.status ?? 1);
await import('./build-dashboard.ts');
chmodSync(join(DIST, 'app/cli/main.js'), 0o755);
