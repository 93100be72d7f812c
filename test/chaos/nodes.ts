/**
 * Scenarios with two nodes of a fleet: the one that records dies, stands still, or is cut off from the database, and
 * the other goes on.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { FleetScene } from '../support/fleet.ts';
import { PostgresServer } from '../support/postgres.ts';
import type { Report } from './play.ts';

/**
 * How soon a recording is live on the other node, with a publisher that comes as soon as that has it. A database sees
 * at once that a process is gone, and by the lease alone, which is over after 4 s, that one stands still or is cut off.
 */
const LIVE_WITHIN_MS = { gone: 6_000, silent: 9_000 };
/** How long the other node records before the first is let back in. */
const ALONE_MS = 5_000;

/** Does harm to the first node, and returns how to undo it. */
type DoHarm = (scene: FleetScene) => Promise<() => Promise<void>>;

async function takeOver(becomes: keyof typeof LIVE_WITHIN_MS, harm: DoHarm): Promise<Report> {
  const postgres = await PostgresServer.start();
  try {
    const scene = await FleetScene.open(postgres);
    try {
      return { takes: [], problems: await played(scene, harm, LIVE_WITHIN_MS[becomes]) };
    } finally {
      await scene.close();
    }
  } finally {
    await postgres.close();
  }
}

async function played(scene: FleetScene, harm: DoHarm, liveWithinMs: number): Promise<string[]> {
  const { second, recording } = scene;
  const problems: string[] = [];
  const harmedMs = Date.now();
  const undo = await harm(scene);
  await scene.takenOver();
  await scene.publish(second);
  const liveMs = await scene.live(second);
  if (liveMs - harmedMs > liveWithinMs) problems.push(`live again after ${liveMs - harmedMs} ms`);
  await pause(ALONE_MS);
  await undo();
  await scene.broughtBack();
  const stopped = await scene.stop(second);
  if (stopped.status !== 200) problems.push(`stop answered ${stopped.status}: ${JSON.stringify(stopped.body)}`);
  await scene.mended();
  problems.push(...(await scene.problems(liveMs)));
  const events = await second.events(recording.sid);
  const numbers = events.map(({ payload }) => payload.sequence);
  if (numbers.some((number, n) => number !== n)) problems.push(`events are numbered ${numbers.join(' ')}`);
  const count = (type: number) => events.filter(({ eventType }) => eventType === type).length;
  if (count(12) !== 1 || count(11) !== 1)
    problems.push(`event 12 came ${count(12)} times, event 11 ${count(11)} times`);
  return problems;
}

export function nodeKilled(): Promise<Report> {
  return takeOver('gone', async ({ first }) => {
    await first.kill();
    return () => first.start();
  });
}

export function nodeStopped(): Promise<Report> {
  return takeOver('silent', async ({ first }) => {
    const { pid } = first.running;
    process.kill(pid, 'SIGSTOP');
    return async () => void process.kill(pid, 'SIGCONT');
  });
}

export function nodeCutOff(): Promise<Report> {
  return takeOver('silent', async (scene) => {
    scene.cut();
    return async () => scene.mend();
  });
}
