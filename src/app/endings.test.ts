import { beforeEach, expect, test } from 'vitest';
import { Endings } from './endings.ts';

let done: string[];
let endings: Endings;
beforeEach(() => {
  done = [];
  endings = new Endings({ error: ({ err }) => void done.push(`failed: ${(err as Error).message}`) });
  for (const name of ['database', 'recorders']) endings.push(async () => done.push(name));
});

test('what was begun last ends first, after what comes before everything else, once', async () => {
  const first = [() => done.push('no more starts'), async () => done.push('recordings')];
  await Promise.all([endings.end(first), endings.end([() => done.push('again')])]);
  expect(done).toEqual(['no more starts', 'recordings', 'recorders', 'database']);
});

test('what fails keeps nothing else from ending: recordings end although the database is away', async () => {
  const away = async () => {
    throw new Error('the database is away');
  };
  await endings.end([away, () => done.push('recordings')]);
  expect(done).toEqual(['failed: the database is away', 'recordings', 'recorders', 'database']);
});
