/**
 * The thread of `digests.ts`.
 */
import { parentPort } from 'node:worker_threads';
import { type Digests, digestsOf } from './digests-of.ts';

export type DigestTask = { id: number; memory: SharedArrayBuffer; offset: number; length: number };
export type DigestAnswer = { id: number; digests: Digests };

parentPort?.on('message', ({ id, memory, offset, length }: DigestTask) => {
  parentPort?.postMessage({ id, digests: digestsOf(Buffer.from(memory, offset, length)) } satisfies DigestAnswer);
});
