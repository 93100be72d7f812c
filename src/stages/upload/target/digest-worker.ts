/**
 * The thread of `digests.ts`.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { type Digests, digestsOf, type PartDigests } from './digests-of.ts';

/** Bytes in a thread's shared memory. */
type Bytes = { memory: SharedArrayBuffer; offset: number; length: number };
/** The running SHA-256 of file `id` goes on with these bytes, the first of which is the file's byte `at`. */
type FilePart = Bytes & { file: { id: number; at: number }; signed: boolean };
/** Asks for the result of a file's running SHA-256, which is then forgotten. */
type FileEnd = { end: number };
/** Asks for the digest of a whole file. */
type WholeFile = { path: string };
export type DigestTask = { id: number; task: Bytes | FilePart | FileEnd | WholeFile };
/** `bytes` is how many bytes the SHA-256 covers. */
export type FileSha256 = { bytes: number; sha256: string };
export type DigestAnswer = { id: number; answer: Digests | PartDigests | FileSha256 } | { id: number; error: string };

/**
 * Files are read one after the other through the same memory: new memory for each would stay until this thread's
 * garbage is collected, which it is only when there are tens of megabytes of it.
 */
const readBuffer = Buffer.allocUnsafeSlow(1024 * 1024);
let reading: Promise<unknown> = Promise.resolve();

const running = new Map<number, { hash: Hash; bytes: number }>();

async function answer(task: DigestTask['task']) {
  if ('path' in task) return inTurn(() => readWhole(task.path));
  if ('end' in task) return end(task.end);
  const data = Buffer.from(task.memory, task.offset, task.length);
  if (!('file' in task)) return digestsOf(data);
  goOn(task.file, data);
  return task.signed ? digestsOf(data) : { md5: hash('md5', data) };
}

function goOn({ id, at }: FilePart['file'], data: Buffer): void {
  const state = running.get(id) ?? { hash: createHash('sha256'), bytes: 0 };
  // After a gap, or a part in the wrong order, there can be no digest of the whole.
  if (state.bytes !== at) return;
  running.set(id, state);
  state.hash.update(data);
  state.bytes += data.length;
}

function end(id: number): FileSha256 {
  const { bytes, hash } = running.get(id) ?? { bytes: 0, hash: createHash('sha256') };
  running.delete(id);
  return { bytes, sha256: hash.digest('hex') };
}

function inTurn<T>(read: () => Promise<T>): Promise<T> {
  const done = reading.then(read);
  reading = done.catch(() => {});
  return done;
}

async function readWhole(path: string): Promise<FileSha256> {
  const file = await open(path);
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(readBuffer);
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
      hash.update(readBuffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

parentPort?.on('message', ({ id, task }: DigestTask) => {
  answer(task).then(
    (answer) => parentPort?.postMessage({ id, answer } satisfies DigestAnswer),
    (error: unknown) => parentPort?.postMessage({ id, error: String(error) } satisfies DigestAnswer),
  );
});
