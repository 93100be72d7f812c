import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Four projects. `fast` is every test that needs no child process, browser or encoder run. `held` encodes, records and
// judges by a held clock, or takes many seconds of CPU otherwise: its files need the machine's cores and no moment of
// real time, so they run beside each other, and behind the slow ones (scripts/test.ts). `quiet` waits for most of its
// time: for databases and their disk, for stores and what is tried again, and for time-outs. Its files take less than
// half of two cores and judge no picture or sound, so they run two at a time, and beside the fast ones; one that starts
// a server for each of its tests takes half of the machine as they start, and belongs to `slow` unless they all wait at
// once. `slow` is the rest: servers, recorders, browsers and publishers in real time. Its files run alone, one after
// another: a machine that has two cores has none to spare beside them but for what gives way.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['{src,test,bench}/**/*.test.ts'],
          exclude: ['**/*.{held,quiet,slow}.test.ts', 'node_modules/**'],
          // Loading the modules for each file anew, in a process of its own, would be half of the time.
          isolate: false,
          // A database in WebAssembly takes some seconds to begin on a machine that does much else.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'held',
          include: ['src/**/*.held.test.ts', 'test/**/*.held.test.ts'],
          // No test has a bound of its own: behind others each takes a multiple of its time.
          testTimeout: 900_000,
          hookTimeout: 900_000,
          expect: { poll: { timeout: 300_000 } },
          // Half of the cores, for which there is time enough behind the slow ones: what the product itself runs at the
          // end of the scale, mixes and thumbnails, shares with these what is left, and would wait for all of them.
          maxWorkers: Math.max(1, availableParallelism() >> 1),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'quiet',
          include: ['src/**/*.quiet.test.ts', 'test/**/*.quiet.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'slow',
          include: ['src/**/*.slow.test.ts', 'test/**/*.slow.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
