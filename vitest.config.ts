import { defineConfig } from 'vitest/config';

// Two projects: `fast` is every test that needs no child process, browser or encoder run; `slow` is the rest.
// Slow files run one after another: each starts servers, recorders and publishers of its own and the machine has two
// cores.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['**/*.slow.test.ts', 'node_modules/**'],
          // A database in WebAssembly takes some seconds to begin on a machine that does much else.
          testTimeout: 20_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'slow',
          include: ['src/**/*.slow.test.ts', 'test/**/*.slow.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
