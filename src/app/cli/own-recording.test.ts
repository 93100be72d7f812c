import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Fault } from '../../kernel/fault.ts';
import { bring, untilEnded } from './own-recording.ts';
import { Patience } from './patience.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-bring-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const CONTENT = Buffer.from('an MP4');
const ask = async () => new Response(CONTENT, { status: 206 });
const patience = new Patience();
const off = new AbortController();
const wanted = { bytes: CONTENT.length, code: 'cut-refused', signal: off.signal };

test('a file is brought', async () => {
  const to = join(dir, 'x.part');
  await bring({ ask, patience }, '/file', { ...wanted, to });
  expect(readFileSync(to)).toEqual(CONTENT);
});

test('where it cannot be written the command says so', async () => {
  const refused = { code: 'cut-refused', message: expect.stringContaining('could not be brought here') };
  // A folder, one that does not exist, and a disk that is full.
  for (const to of [dir, join(dir, 'none/x.part'), '/dev/full'])
    await expect(bring({ ask, patience }, '/file', { ...wanted, to })).rejects.toMatchObject(refused);
});

test('a connection that is lost in the middle is told of, and what is short is no file', async () => {
  const broken = async () =>
    new Response(
      new ReadableStream({
        start(body) {
          body.enqueue(CONTENT.subarray(0, 2));
          body.error(new TypeError('terminated'));
        },
      }),
      { status: 206 },
    );
  const to = join(dir, 'x.part');
  await expect(bring({ ask: broken, patience }, '/file', { ...wanted, to })).rejects.toMatchObject({
    code: 'cut-refused',
  });
  await expect(bring({ ask, patience }, '/file', { ...wanted, to, bytes: 99 })).rejects.toThrow(
    '6 bytes instead of 99',
  );
});

test('Ctrl-C calls it off', async () => {
  const refuse = (words: string) => new Fault('cut-refused', words, { blame: 'caller' });
  const before = process.listenerCount('SIGINT');
  const work = untilEnded(refuse, async (signal) => {
    process.emit('SIGINT', 'SIGINT');
    await bring({ ask, patience }, '/file', { ...wanted, to: join(dir, 'x.part'), signal });
  });
  await expect(work).rejects.toThrow('ended by SIGINT; it is called off');
  expect(process.listenerCount('SIGINT')).toBe(before);
});
