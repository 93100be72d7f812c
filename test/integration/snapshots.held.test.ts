/**
 * Snapshots of scripted channels on a held clock, from packets to files: whose picture, of when, how many.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../src/media/segment.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { readImage } from '../support/judge/image.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, type Made, record } from '../support/scripted-recording.ts';

/** The scripts' clock at a recording's zero. */
const ZERO_UTC_MS = Date.UTC(2026, 0, 1, 0, 1);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-snapshots-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

type Seen = { atS: number; colour: 'red' | 'green' | 'blue'; size: string };

/** Every snapshot of a user as a viewer sees it, in order of time. */
function seenOf({ files, dir: spool }: Made, uid: string): Seen[] {
  const own = files.filter((file): file is Snapshot => file.type === 'snapshot' && file.uid === uid);
  return own.map(({ name, startUtcMs, bytes }) => {
    const stamp = new Date(startUtcMs).toISOString().replace(/\D/g, '');
    expect(name).toBe(`${BASE}__uid_s_${uid}__uid_e_video_${stamp}.jpg`);
    const image = readImage(join(spool, name));
    expect(image.bytes).toBe(bytes);
    const { r, g, b } = image.at(0.15, 0.4);
    const [strongest, next] = [r, g, b].toSorted((x, y) => y - x) as [number, number, number];
    expect(strongest - next, `${name}: ${r} ${g} ${b}`).toBeGreaterThan(50);
    const colour = strongest === r ? 'red' : strongest === g ? 'green' : 'blue';
    return { atS: (startUtcMs - ZERO_UTC_MS) / 1000, colour, size: `${image.width}x${image.height}` };
  });
}

/** They lie at these times, up to half a second before and a little after. */
function expectPlan(seen: Seen[], colour: Seen['colour'], places: number[], lateS = 0.2): void {
  const said = `at ${seen.map(({ atS }) => atS.toFixed(2)).join(', ')}`;
  expect(seen.length, said).toBe(places.length);
  seen.forEach((picture, n) => {
    expect(picture.colour).toBe(colour);
    expect(picture.atS, said).toBeGreaterThanOrEqual(places[n]! - 0.55);
    expect(picture.atS, said).toBeLessThanOrEqual(places[n]! + lateS);
  });
}

describe('snapshots', () => {
  test('alone: of each user its own picture every interval, none while it sends none', async () => {
    const users: ScriptedUser[] = [
      // Users begin where no flash is shown at any interval: it would hide their colour.
      { uid: '1', participant: RED, fromS: 0.75, toS: 60, gopS: 600, answersKeyFrameRequests: true },
      {
        ...{ uid: '2', participant: GREEN, codec: 'vp8', fromS: 0.4, toS: 60, gopS: 600 },
        mutes: [{ fromS: 7.2, toS: 17.5, kind: 'video' }],
      },
      { uid: '3', participant: BLUE, codec: 'vp9', fromS: 2.5, toS: 6.2, gopS: 600, answersKeyFrameRequests: true },
      { uid: '3', participant: BLUE, codec: 'vp9', fromS: 9.75, toS: 60, gopS: 600, answersKeyFrameRequests: true },
      { uid: '4', participant: BLUE, fromS: 0.75, toS: 60, video: false },
    ];
    const plan = individualPlanOf({
      ...{ streamMode: 'none', records: { audio: false, video: true } },
      snapshots: { intervalMs: 5000 },
    });
    const made = await record(dir, users, plan, 22);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expectPlan(seenOf(made, '1'), 'red', [0.75, 5.75, 10.75, 15.75, 20.75]);
    // Silent: a second is waited for its first answer.
    expectPlan(seenOf(made, '2'), 'green', [0.4, 5.4, 17.5, 20.4], 1.2);
    expectPlan(seenOf(made, '3'), 'blue', [2.5, 9.75, 14.75, 19.75]);
    // Nothing but snapshots and the quality report, all of them told of.
    const types = made.files.map(({ type }) => type);
    expect(types.toSorted()).toEqual(['document', ...Array(13).fill('snapshot')]);
    expect(made.happenings.filter(({ type }) => type === 'fileSpooled').length).toBeGreaterThanOrEqual(13);
    expect(readdirSync(made.dir).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(made.feed.keyFrameRequests.length).toBeLessThan(16);
  });

  test('beside a recording, of another size and after a turn of the phone', async () => {
    const users: ScriptedUser[] = [
      {
        ...{ uid: '1', participant: RED, fromS: 0.75, toS: 60, answersKeyFrameRequests: true },
        sizes: [{ fromS: 7.5, width: 640, height: 360 }],
        orientations: [
          { fromS: 0, bits: 0 },
          { fromS: 12.5, bits: 1 },
        ],
      },
    ];
    const made = await record(dir, users, individualPlanOf({ snapshots: { intervalMs: 5000 } }), 17.5);
    const seen = seenOf(made, '1');
    expectPlan(seen, 'red', [0.75, 5.75, 10.75, 15.75]);
    expect(seen.map(({ size }) => size)).toEqual(['320x180', '320x180', '640x360', '360x640']);
    expect(made.files.filter(({ type }) => type === 'slice').length).toBeGreaterThanOrEqual(4);
  });

  test('each second, whatever is lost on the way', async () => {
    const users: ScriptedUser[] = [
      {
        uid: '1',
        participant: RED,
        fromS: 0.3,
        toS: 60,
        gopS: 600,
        answersKeyFrameRequests: true,
        stalls: [{ fromS: 5.1, toS: 5.2 }],
      },
    ];
    const made = await record(dir, users, individualPlanOf({ snapshots: { intervalMs: 1000 } }), 12.5);
    const times = seenOf(made, '1').map(({ atS }) => atS);
    expect(times.slice(0, 5).map(Math.floor)).toEqual([0, 1, 2, 3, 4]);
    expect(times.length).toBeGreaterThanOrEqual(11);
    for (let n = 1; n < times.length; n++) {
      expect(times[n]! - times[n - 1]!).toBeGreaterThan(0.45);
      expect(times[n]! - times[n - 1]!).toBeLessThan(2.5);
    }
    // One for the loss, perhaps repeated, none for the pictures.
    expect(made.feed.keyFrameRequests.length).toBeLessThanOrEqual(4);
  });
});
