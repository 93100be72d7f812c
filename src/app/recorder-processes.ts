/** What the processes of recorders are started with, by what they record: flags of V8, and the environment. */

/**
 * A recorder encodes one frame at a time and syncs a file now and then; two threads are enough. More would move the
 * encoder's working set from core to core, and give each thread a heap of its own.
 */
export const RECORDER_ENVIRONMENT = { UV_THREADPOOL_SIZE: '2', MALLOC_ARENA_MAX: '2' };

/**
 * Most of what a composite's recorder holds is native. A small space for young objects, collected by the thread that
 * makes them, saves 30 MB of 150 and takes no more CPU (`npm run bench -- route`).
 */
export const MIXING_RECORDERS = { flags: ['--max-semi-space-size=2', '--single-threaded-gc'], env: {} };

/**
 * A recorder that passes pictures on makes garbage of many small buffers. These flags have it collected, and given back
 * to the system, soon: a third less memory at the same CPU (`npm run bench -- individual`). Half as much room for young
 * objects saves 1 MB more, and costs a fifth more CPU.
 */
export const PASSING_RECORDERS = {
  flags: ['--max-semi-space-size=2', '--optimize-for-size', '--single-threaded-gc'],
  env: { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '65536' },
};

/**
 * Reading a screen holds a thread from picture to picture, beside those that encode and write. A heap that is kept
 * small saves 50 MB of the 230 that a page's recorder takes otherwise (`npm run bench -- pages`).
 */
export const PAGE_RECORDERS = { flags: ['--optimize-for-size'], env: { UV_THREADPOOL_SIZE: '4' } };
