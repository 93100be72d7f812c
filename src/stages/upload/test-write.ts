/**
 * A test write: a small object that shows, when a recording starts, whether its store takes files. Otherwise a wrong
 * key would show only with the first slice, a quarter of a minute later.
 */
import { type Clock, within } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Target } from './target/target.ts';

/** A store that has not answered by then is told of as well. */
const LIMIT_MS = 2_500;
const DATA = Buffer.from('Aircheck wrote this to see whether it may, and removes it again.\n');

/**
 * Why the store does not take the object `key`; undefined when it does. The object is removed again if that is allowed.
 */
export async function testWrite(target: Target, key: string, clock: Clock): Promise<Fault | undefined> {
  const late = new AbortController();
  const limit = () => {
    const seconds = LIMIT_MS / 1000;
    const fault = new Fault('store-slow', `${target.description} has not taken a test object within ${seconds} s`, {
      blame: 'destination',
      retryable: true,
    });
    late.abort(fault);
    return fault;
  };
  try {
    await within(clock, LIMIT_MS, target.put(key, { data: DATA }, 'text/plain', { signal: late.signal }), limit);
  } catch (error) {
    return error instanceof Fault ? error : undefined;
  }
  // Keys that may put but not remove are common, and the object is harmless.
  await target.remove(key).catch(() => undefined);
  return undefined;
}
