import Fastify from 'fastify';
import { expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { MixReply } from '../../contract/rest/mix.ts';
import type { ListedRecordingReply } from '../../contract/rest/recording-list.ts';
import { errorSender } from '../errors.ts';
import { Changes, changesRoute } from './changes.ts';

type World = {
  unfinished: Map<string, number>;
  asked: string[][];
  fails: boolean;
  /** Of each sid how far its mixes are. */
  mixes: Map<string, number[]>;
  askedOfMixes: string[][];
};

function begin() {
  const world: World = { unfinished: new Map(), asked: [], fails: false, mixes: new Map(), askedOfMixes: [] };
  const clock = new ManualClock();
  const warnings: string[] = [];
  const changes = new Changes({
    clock,
    log: { warn: (_details, text) => void warnings.push(text) },
    mixesOf: async (_appid, sids) => {
      world.askedOfMixes.push([...sids]);
      if (world.fails) throw new Error('away');
      const mixes = [...world.mixes].filter(([sid]) => sids.includes(sid));
      return new Map(mixes.map(([sid, all]) => [sid, all.map((progress) => ({ sid, progress }) as MixReply)]));
    },
    list: {
      unfinished: async () => {
        if (world.fails) throw new Error('away');
        return [...world.unfinished].map(([sid, revision]) => ({ sid, revision }));
      },
      of: async (_appid, sids) => {
        world.asked.push([...sids]);
        return sids.map((sid) => ({ sid }) as ListedRecordingReply);
      },
    },
  });
  const told: string[] = [];
  const end = changes.watch('app', { onRecordings: (some) => void told.push(...some.map(({ sid }) => sid)) });
  /** A second passes. */
  const look = async () => {
    clock.advance(1000);
    await settled();
    return told.splice(0);
  };
  return { world, changes, look, end, warnings, clock };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

test('what changes is told, what has ended is told once, and all that goes on now and then', async () => {
  const { world, look } = begin();
  world.unfinished.set('a', 1).set('b', 1);
  expect(await look()).toEqual(['a', 'b']);
  expect(await look()).toEqual([]);
  world.unfinished.set('b', 2);
  expect(await look()).toEqual(['b']);
  world.unfinished.delete('a');
  expect(await look()).toEqual(['a']);
  expect(await look()).toEqual([]);
  expect(await look()).toEqual(['b']);
});

test('many watchers of an app cost as much as one, and none costs nothing', async () => {
  const { world, changes, look, end } = begin();
  const ends = Array.from({ length: 20 }, () => changes.watch('app', { onRecordings() {} }));
  world.unfinished.set('a', 1);
  await look();
  expect(world.asked).toHaveLength(1);
  for (const each of [...ends, end]) each();
  expect(changes.watchers).toBe(0);
  await look();
  expect(world.asked).toHaveLength(1);
});

test('a database that is away for a while loses no change', async () => {
  const { world, look, warnings } = begin();
  world.unfinished.set('a', 1);
  await look();
  world.fails = true;
  expect(await look()).toEqual([]);
  expect(warnings).toHaveLength(1);
  world.fails = false;
  world.unfinished.delete('a');
  expect(await look()).toEqual(['a']);
});

test('mixes of the recording that is looked at are told at once, and when they have got on, are others or gone', async () => {
  const { world, changes, look } = begin();
  world.mixes.set('a', [0.25]).set('b', [0.5]);
  const [mine, others]: [number[][], number[][]] = [[], []];
  const onMixes = (told: number[][]) => (mixes: MixReply[]) => void told.push(mixes.map(({ progress }) => progress));
  const endMine = changes.watch('app', { onRecordings() {}, mixes: { sid: 'a', onMixes: onMixes(mine) } });
  await settled();
  expect(mine).toEqual([[0.25]]);
  changes.watch('app', { onRecordings() {}, mixes: { sid: 'c', onMixes: onMixes(others) } });
  await settled();
  expect(others).toEqual([[]]);
  await look();
  world.mixes.set('a', [0, 0.75]);
  world.fails = true;
  await look();
  expect(mine).toEqual([[0.25]]);
  world.fails = false;
  await look();
  await look();
  world.mixes.delete('a');
  await look();
  expect([mine, others]).toEqual([[[0.25], [0, 0.75], []], [[]]]);
  // One question for all, and none of what nobody looks at.
  expect(world.askedOfMixes.at(-1)).toEqual(['a', 'c']);
  endMine();
  world.askedOfMixes.length = 0;
  await look();
  expect(world.askedOfMixes).toEqual([['c']]);
});

test('over HTTP events have a name and a line, and mixes are told to whoever asks for them alone', async () => {
  const { world, changes, clock } = begin();
  const sid = 'a'.repeat(32);
  world.mixes.set(sid, [0.25]);
  world.unfinished.set('r', 1);
  const app = Fastify();
  app.setErrorHandler(errorSender({ legacyErrorCodes: false }));
  onTestFinished(() => app.close());
  changesRoute(app, { changes, clock });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const open = async (query: string) => {
    const { body } = await fetch(`${url}/changes${query}`, { signal: over.signal });
    const [chunks, decoder] = [body!.getReader(), new TextDecoder()];
    let text = '';
    return async (until: string) => {
      while (!text.includes(until)) text += decoder.decode((await chunks.read()).value, { stream: true });
      return text;
    };
  };
  const [plain, withMixes] = [await open(''), await open(`?mixesOf=${sid}`)];
  const told = `event: mixes\ndata: ${JSON.stringify({ sid, mixes: [{ sid, progress: 0.25 }] })}\n\n`;
  expect(await withMixes('event')).toBe(`retry: 2000\n\n${told}`);
  clock.advance(1000);
  const recording = 'event: recording\ndata: {"sid":"r"}\n\n';
  expect(await withMixes('recording')).toBe(`retry: 2000\n\n${told}${recording}`);
  expect(await plain('recording')).toBe(`retry: 2000\n\n${recording}`);
  const refused = await app.inject('/changes?mixesOf=A');
  expect([refused.statusCode, refused.body]).toEqual([400, expect.stringContaining('32 lowercase hexadecimal digits')]);
});
