/**
 * What knip takes for used. `npm run check` runs it twice: over everything, and with `--production` over the program
 * alone, where what only tests use counts as unused.
 */
import type { KnipConfig } from 'knip';

const config: KnipConfig = {
  // What is started by a path rather than imported, beside what package.json names. `!` marks parts of the program.
  entry: [
    'src/client/index.ts!',
    'src/app/cli/child.ts!',
    'src/store/pglite-worker.ts!',
    'src/worker/fork-server.ts!',
    'src/stages/upload/target/digest-worker.ts!',
    'web/publish/*.js!',
    'web/dashboard/src/main.tsx',
    'scripts/{build-dashboard,bundle,screenshots}.ts',
    'bench/encode-canvases.ts',
    'bench/query-load.ts',
    'bench/reception/{receiver,sender}.ts',
    'scripts/{check,generate-docs,run-behind,test}.ts',
    'test/support/{camera-process,fake-completer,fake-recorder,forking-server,moved-client,page-programs-process,s3-server-process}.ts',
    'test/support/publish/publisher-process.ts',
  ],
  project: [
    'src/**/*.ts!',
    'web/publish/*.js!',
    'web/dashboard/src/**/*.{ts,tsx}',
    '{bench,examples,scripts,test,types}/**/*.ts',
  ],
  // A test may look at what a file of the program uses itself.
  ignoreExportsUsedInFile: process.argv.includes('--production'),
  // These are read from node_modules by path: the first by the program, for its WebAssembly, the others by tests and
  // benches.
  ignoreDependencies: ['@evan/opus', 'autocannon', 'axe-core', 'azurite', 'dashjs', 's3rver'],
  // Debian's own, and packages of it (scripts/setup.sh); the last four are used by tests only where they are installed.
  ignoreBinaries: [
    ...[
      'chrt',
      'ffmpeg',
      'ffprobe',
      'ip',
      'mkfifo',
      'mkfs.ext4',
      'mount',
      'taskset',
      'timedatectl',
      'umount',
      'unshare',
    ],
    ...['docker-compose', 'helm', 'promtool', 'renice', 'setsid', 'systemd-analyze'],
  ],
};

export default config;
