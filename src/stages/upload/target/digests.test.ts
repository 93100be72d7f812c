import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { DigestTask } from './digest-worker.ts';
import { DigestThread, FileDigest } from './digests.ts';
import { digestsOf } from './digests-of.ts';

/** Threads in the order they were started; each answers when it is told to. */
const threads: FakeThread[] = [];

class FakeThread extends EventEmitter implements Pick<Worker, 'ref' | 'unref' | 'postMessage'> {
  readonly tasks: DigestTask[] = [];
  constructor() {
    super();
    threads.push(this);
  }
  ref(): void {}
  unref(): void {}
  postMessage(task: DigestTask): void {
    this.tasks.push(task);
  }
  answer(): void {
    for (const { id, task } of this.tasks.splice(0)) {
      if (!('memory' in task)) throw new Error('only bytes were to be digested');
      this.emit('message', { id, answer: digestsOf(Buffer.from(task.memory, task.offset, task.length)) });
    }
  }
}

const thread = new DigestThread(() => new FakeThread() as unknown as Worker);
const large = (fill: number) => Buffer.from(new SharedArrayBuffer(100_000)).fill(fill);
const digest = (data: Buffer) => new FileDigest('x', data.length, thread).part(data, 0);

test('what a thread that dies was to digest fails, and the next one digests what comes after', async () => {
  const lost = digest(large(1));
  threads[0]!.emit('error', new Error('no memory'));
  await expect(lost).rejects.toThrow('no memory');
  const next = digest(large(2));
  // Node tells of a thread's failure first, and of its exit later.
  threads[0]!.emit('exit', 1);
  threads[1]!.answer();
  expect(await next).toEqual(digestsOf(large(2)));
  expect(threads).toHaveLength(2);
});
