/**
 * MP4s of this server in players: a composite, and single users whose pictures are turned, have pixels that are not
 * square, or begin later than their sound, or before it. Each player must show them upright, in their shape and their
 * colours, and flash and beep at the same moments. docs/reference/players.md has what is found here as a table.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { VideoColor } from '../../src/media/track.ts';
import { completeSpool } from '../../src/pipeline/complete.ts';
import { startBrowser } from '../support/browser.ts';
import { colourDistance } from '../support/judge/image.ts';
import { BLUE, BT601, BT709, GREEN, RED, type Rgb, yuvIn } from '../support/media/participants.ts';
import { playInChromium } from '../support/players/in-chromium.ts';
import { type Played, playByProgram, playByVlc } from '../support/players/played.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, planOf, record, SID } from '../support/scripted-recording.ts';

const END_S = 3.4;
const SECONDS = [1, 2, 3];
/** Coding and scaling change colours by less; another matrix or range by more. */
const COLOUR = 10;

/** Of the quarters of every picture: top left, top right, bottom left, bottom right. */
const QUARTERS: readonly Rgb[] = [
  { r: 220, g: 30, b: 40 },
  { r: 20, g: 160, b: 50 },
  { r: 30, g: 60, b: 210 },
  { r: 200, g: 180, b: 30 },
];
const FULL709 = { matrix: BT709.matrix, fullRange: true };
const quarters = (color: typeof BT601) => QUARTERS.map((rgb) => yuvIn(rgb, color));
const user = { fromS: -1, toS: 9 };

/** Who is in a file, the shape in which the picture must be seen, and the quarters in its corners. */
type Case = { user: ScriptedUser; size: { width: number; height: number }; corners: number[] };
const COMPOSITE: Case = {
  // Browsers send BT.601, and say nothing of it. Of this size players take what says nothing for BT.709.
  user: { ...user, uid: '1', participant: RED, quarters: quarters(BT601) },
  size: { width: 1280, height: 720 },
  corners: [0, 1, 2, 3],
};
const USERS: Record<string, Case> = {
  'H.264 of a phone, of wide pixels, before its sound': {
    user: {
      ...{ ...user, uid: '1', participant: RED, quarters: quarters(BT709), color: BT709 },
      ...{ sizes: [{ fromS: -1, width: 240, height: 180 }], sampleAspect: [4, 3] },
      // To be turned by 90 degrees clockwise.
      orientations: [{ fromS: -1, bits: 1 }],
      mutes: [{ kind: 'audio', fromS: -1, toS: 0.7 }],
    },
    size: { width: 180, height: 320 },
    corners: [2, 0, 3, 1],
  },
  'VP9 of a phone, after its sound': {
    user: {
      ...{ ...user, uid: '2', participant: GREEN, codec: 'vp9', quarters: quarters(BT709), color: BT709 },
      // By 270 degrees.
      orientations: [{ fromS: -1, bits: 3 }],
      mutes: [{ kind: 'video', fromS: -1, toS: 0.7 }],
    },
    size: { width: 180, height: 320 },
    corners: [1, 3, 0, 2],
  },
  'AV1 of full range': {
    user: { ...user, uid: '3', participant: BLUE, codec: 'av1', quarters: quarters(FULL709), color: FULL709 },
    size: { width: 320, height: 180 },
    corners: [0, 1, 2, 3],
  },
};
const CASES = [['a composite', COMPOSITE] as const, ...Object.entries(USERS)];

/** What players made of each case, in order. */
const played: Record<string, Played[]> = {};

beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-mp4-players-'));
  try {
    const paths = await recordAll(dir);
    const browser = await startBrowser();
    try {
      const { video, mediabunny } = await playInChromium(browser.context, paths);
      Object.assign(played, { chromium: video, mediabunny });
    } finally {
      await browser.close();
    }
    const eachBy = (play: (path: string, toneHz: number, color: VideoColor) => Promise<Played>) =>
      Promise.all(
        CASES.map(
          (
            [
              ,
              {
                user: { participant, color = BT601 },
              },
            ],
            n,
          ) => play(paths[n]!, participant.toneHz, color),
        ),
      );
    played['ffmpeg'] = await eachBy((path, toneHz) => playByProgram('ffmpeg', path, toneHz));
    played['mpv'] = await eachBy((path, toneHz) => playByProgram('mpv', path, toneHz));
    played['vlc'] = await eachBy(playByVlc);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

/** Records the cases, and returns their MP4s in order. */
async function recordAll(dir: string): Promise<string[]> {
  const shown = { ...planOf().video!, ...COMPOSITE.size, fps: 15, bitrateKbps: 2000 };
  const composite = await record(dir, [COMPOSITE.user], planOf({ video: shown }), END_S);
  const singles = await record(
    mkdtempSync(join(dir, 'singles-')),
    Object.values(USERS).map((each) => each.user),
    individualPlanOf({ extras: { mp4: true, manifest: false } }),
    END_S,
  );
  const extras = { sid: SID, cname: 'room', mp4: true, speakers: false, manifest: false };
  await completeSpool(singles.dir, { extras });
  const ofUser = (uid: string) => join(singles.dir, `${BASE}__uid_s_${uid}__uid_e_av_0.mp4`);
  return [composite.mp4, ...Object.values(USERS).map((each) => ofUser(each.user.uid))];
}

/** How far marks of players may be off: pictures first, sound second. */
const OFF_S: Record<string, readonly [number, number]> = {
  // A frame, and what a coder of sound spreads an edge by.
  ...{ ffmpeg: [0.04, 0.03], mpv: [0.04, 0.03], mediabunny: [0.04, 0.03] },
  // A busy machine shows some pictures late or not at all, and sound is told by the clock of the page.
  chromium: [0.15, 0.15],
  // It moves what it plays into a file by some hundredths of a second.
  vlc: [0.12, 0.15],
};

describe.each(CASES)('%s', (name, { size, corners }) => {
  const n = CASES.findIndex(([other]) => other === name);

  test.each(Object.entries(OFF_S))('in %s', (player, offS) => {
    const { [n]: seen } = played[player]!;
    const { size: shown, corners: colours, flashes, beeps } = seen!;
    // Of pixels that are not square some players shrink one side, and some widen the other.
    expect(Math.abs(shown.width / shown.height - size.width / size.height)).toBeLessThan(0.01);
    const found = colours.map((rgb) => QUARTERS.findIndex((quarter) => colourDistance(rgb, quarter) <= COLOUR));
    expect(found, JSON.stringify(colours)).toEqual(corners);
    for (const [i, marks] of [flashes, beeps].entries()) {
      // Where a file begins, a flash may be the first thing that is seen.
      const later = marks.filter((atS) => atS > 0.5);
      expect(later.map((atS) => Math.round(atS))).toEqual(SECONDS);
      for (const atS of later) expect(Math.abs(atS - Math.round(atS))).toBeLessThan(offS[i]!);
    }
  });
});
