/**
 * The cases: one plan each for what networks and people do, and what its recording must come to.
 */

import { BLUE, GREEN, RED, YELLOW } from '../support/media/participants.ts';
import { pageParticipant } from '../support/publish/browser-publisher.ts';
import { type Plan, SOURCE } from './plan.ts';
import { bothWays, crowd, everyoneBehind, lossPlan, padded, sizes, skewed, stalls, steps, two } from './plan-parts.ts';

/** Goals that a case has beside those that all have: nothing that is not to be there, and no wrong picture. */
export type Goals = {
  score?: number;
  /** The median offset at most, milliseconds. */
  medianMs?: number;
  /** Share of flashes, and of beeps, that must be there, 0 to 1. */
  there?: number;
  /** The longest a picture may stand still though it is sent, seconds. */
  frozenS?: number;
  /** How much later picture or sound may lie at the end than at the start, milliseconds. */
  driftMs?: number;
  clicks?: number;
  /** Share of frames that must stand as they were taken: the right way up, and at their size. */
  upright?: number;
};

export type Case = { meaning: string; plan: Plan; goals: Goals };

export const CASES: Record<string, Case> = {
  clean: {
    meaning: 'nothing is impaired',
    plan: everyoneBehind({}),
    goals: { score: 98, medianMs: 20, there: 1, frozenS: 1 },
  },
  'loss-2': {
    meaning: '2 % of packets are lost, both ways',
    plan: lossPlan(0.02),
    goals: { there: 0.98, frozenS: 1 },
  },
  'loss-5': {
    meaning: '5 % of packets are lost, both ways',
    plan: lossPlan(0.05),
    goals: { there: 0.98, frozenS: 1 },
  },
  'loss-10': {
    meaning: '10 % of packets are lost, both ways',
    plan: lossPlan(0.1),
    goals: { there: 0.95, frozenS: 1 },
  },
  bursts: {
    meaning: 'about 3 % of packets are lost in bursts of 5 on average, both ways',
    plan: everyoneBehind(bothWays({ bursts: { begin: 0.006, end: 0.2 } })),
    goals: { frozenS: 1 },
  },
  jitter: {
    meaning: 'each packet is delayed by 0 to 50 ms, and so out of order, both ways',
    plan: everyoneBehind(bothWays({ jitterMs: 50 })),
    goals: { there: 1, frozenS: 1 },
  },
  reorder: {
    meaning: '5 % of packets come 30 ms after their turn',
    plan: everyoneBehind(bothWays({ reorder: { share: 0.05, byMs: 30 } })),
    goals: { there: 1, frozenS: 1 },
  },
  duplication: {
    meaning: '10 % of packets come twice',
    plan: everyoneBehind(bothWays({ duplicate: 0.1 })),
    goals: {},
  },
  delay: {
    meaning: 'everything is 300 ms late, both ways',
    plan: everyoneBehind(bothWays({ delayMs: 300 })),
    goals: {},
  },
  rate: {
    meaning: 'each participant has a bottleneck of 500 kbit/s with a queue of half a second',
    plan: everyoneBehind({ toServer: { rate: { kbps: 500, maxQueueMs: 500 } } }),
    goals: {},
  },
  blackout: {
    meaning: 'nothing gets through for 5 s, either way, and then all does',
    plan: everyoneBehind(bothWays({ blackouts: [{ fromS: 7, toS: 12 }] })),
    goals: { frozenS: 1 },
  },
  'gap-1': {
    meaning: 'nothing gets through for 1 s, either way',
    plan: everyoneBehind(bothWays({ blackouts: [{ fromS: 8, toS: 9 }] })),
    goals: { there: 1, frozenS: 1 },
  },
  'gap-30': {
    meaning: 'nothing of one gets through for 30 s, and then it publishes again with the same uid',
    plan: two(
      {
        ...bothWays({ blackouts: [{ fromS: 6, toS: 36 }] }),
        events: [
          { atS: 15, does: 'lose' },
          { atS: 36.5, does: 'rejoin' },
        ],
      },
      {},
      46,
    ),
    goals: { score: 95, there: 1 },
  },
  rejoin: {
    meaning: 'one leaves for 6 s and comes back',
    plan: two(
      {},
      {
        events: [
          { atS: 6, does: 'leave' },
          { atS: 12, does: 'rejoin' },
        ],
      },
    ),
    goals: { score: 95, there: 1 },
  },
  replace: {
    meaning: 'each publishes again with the same uid while its former session still stands',
    plan: two({ events: [{ atS: 7, does: 'replace' }] }, { events: [{ atS: 12, does: 'replace' }] }),
    goals: { score: 95, there: 1 },
  },
  restart: {
    meaning: 'each goes on with new SSRCs, sequence numbers and timestamps within its session',
    plan: two({ events: [{ atS: 7, does: 'restart' }] }, { events: [{ atS: 12, does: 'restart' }] }),
    goals: { score: 95, there: 1 },
  },
  mute: {
    meaning: 'one switches its microphone off for 7 s, the other its camera',
    plan: two(
      {
        events: [
          { atS: 5, does: 'muteAudio' },
          { atS: 12, does: 'unmuteAudio' },
        ],
      },
      {
        events: [
          { atS: 6, does: 'muteVideo' },
          { atS: 13, does: 'unmuteVideo' },
        ],
      },
    ),
    goals: { score: 95, there: 1 },
  },
  'camera-off': {
    meaning: 'each switches its camera off for half a minute',
    plan: two(
      {
        events: [
          { atS: 4, does: 'muteVideo' },
          { atS: 34, does: 'unmuteVideo' },
        ],
      },
      {
        events: [
          { atS: 6, does: 'muteVideo' },
          { atS: 36, does: 'unmuteVideo' },
        ],
      },
      44,
    ),
    goals: { score: 95, there: 1 },
  },
  disabled: {
    meaning: 'each disables its camera’s track for 6 s and sends black meanwhile, as browsers do',
    plan: two(
      {
        events: [
          { atS: 5, does: 'show', scene: { ...SOURCE, black: true } },
          { atS: 11, does: 'show', scene: SOURCE },
        ],
      },
      {
        events: [
          { atS: 8, does: 'show', scene: { ...SOURCE, black: true, everyNth: 15 } },
          { atS: 14, does: 'show', scene: SOURCE },
        ],
      },
    ),
    goals: { score: 95, there: 1 },
  },
  dtx: {
    meaning: 'one sends next to no sound between its beeps (Opus DTX)',
    plan: two({ sends: { dtx: true } }, {}),
    goals: { score: 95, there: 1, clicks: 0 },
  },
  resolution: {
    meaning: 'both go down to a quarter of the picture, up to four times of it, and back, without a new track',
    plan: two(
      { events: sizes([6, 160, 90], [11, 640, 360], [16, 320, 180]) },
      { events: sizes([5, 640, 360], [10, 160, 90], [15, 320, 180]) },
    ),
    goals: { score: 95, there: 1, frozenS: 1 },
  },
  orientation: {
    meaning: 'each turns its phone: the first says so with the packets, the second sends a picture of other sides',
    plan: two(
      {
        picture: { width: 320, height: 240 },
        events: [
          { atS: 5, does: 'show', scene: { width: 240, height: 320, turn: 90 } },
          { atS: 10, does: 'show', scene: { width: 320, height: 240, turn: 180 } },
          { atS: 15, does: 'show', scene: { width: 320, height: 240, turn: 0 } },
        ],
      },
      {
        picture: { width: 320, height: 240 },
        events: [
          { atS: 7, does: 'show', scene: { width: 240, height: 320 } },
          { atS: 12, does: 'show', scene: { width: 240, height: 320, turn: 270 } },
        ],
      },
    ),
    goals: { score: 95, there: 1, frozenS: 1, upright: 0.95 },
  },
  screen: {
    meaning: 'each shares a screen for 7 s in place of its camera: larger, of other sides, two frames a second',
    plan: two(
      {
        events: [
          { atS: 5, does: 'show', scene: { width: 640, height: 400, everyNth: 15 } },
          { atS: 12, does: 'show', scene: SOURCE },
        ],
      },
      {
        events: [
          { atS: 6, does: 'show', scene: { width: 640, height: 400, everyNth: 15 } },
          { atS: 13, does: 'show', scene: SOURCE },
        ],
      },
    ),
    goals: { score: 95, there: 1, frozenS: 1 },
  },
  'no-reports': {
    meaning: 'no one sends sender reports; the first one’s picture is 40 ms late on its way',
    plan: two({ sends: { reportsAfterS: 'never', videoLateMs: 40 } }, { sends: { reportsAfterS: 'never' } }),
    goals: { score: 90, there: 1, clicks: 0 },
  },
  'late-reports': {
    meaning: 'sender reports begin 6 s after media; the first one’s picture is 60 ms late on its way',
    plan: two({ sends: { reportsAfterS: 6, videoLateMs: 60 } }, { sends: { reportsAfterS: 6 } }),
    goals: { score: 90, there: 1, clicks: 0 },
  },
  stall: {
    meaning: 'capture stalls without a gap in the timestamps: one’s microphone for 1.8 s, the other’s camera for 3 s',
    plan: two(
      { sends: { mutesStall: true }, events: stalls('Audio', [6, 1.8]) },
      { sends: { mutesStall: true }, events: stalls('Video', [7, 3]) },
    ),
    goals: { score: 95, clicks: 0 },
  },
  stalls: {
    meaning: 'each one’s microphone stalls for 0.3 s, four times, without a gap in its timestamps',
    plan: two(
      { sends: { mutesStall: true }, events: stalls('Audio', [4, 0.3], [6, 0.3], [8, 0.3], [10, 0.3]) },
      { sends: { mutesStall: true }, events: stalls('Audio', [5, 0.3], [7, 0.3], [9, 0.3], [11, 0.3]) },
    ),
    goals: { score: 95, clicks: 0 },
  },
  'no-resend': {
    meaning: '5 % of packets are lost, and no one sends lost sound again',
    plan: two(
      { ...bothWays({ loss: 0.05 }), sends: { neverResendsSound: true } },
      { ...bothWays({ loss: 0.05 }), sends: { neverResendsSound: true } },
    ),
    goals: { frozenS: 1 },
  },
  'clock-steps': {
    meaning:
      'clocks step: one’s microphone by 1.5 s, the other’s camera by 0.8 s, and then what both tell the time by, by 1.5 s',
    plan: two(
      { events: [steps(5, 'microphone', 1.5), steps(12, 'wall', 1.5)] },
      { events: [steps(6, 'camera', 0.8), steps(13, 'wall', -1.5)] },
      22,
    ),
    goals: { score: 95, there: 1, frozenS: 1, clicks: 0 },
  },
  'b-frames': {
    meaning: 'each sends two pictures in a row that refer to a later one, as OBS and FFmpeg do',
    plan: two({ sends: { bFrames: 2 } }, { codec: 'h264', sends: { bFrames: 2 } }),
    goals: { score: 95, there: 1, frozenS: 1, clicks: 0 },
  },
  padding: {
    meaning:
      'each sends a simulcast of two layers, and of the larger one nothing but padding for 8 s; the smaller one goes on',
    plan: two(
      { sends: { simulcast: true }, events: padded(5, 8) },
      { sends: { simulcast: true }, events: padded(6, 8) },
    ),
    goals: { score: 95, there: 1, frozenS: 1, clicks: 0 },
  },
  chromium: {
    meaning: 'one is Chromium with our page, of which 5 % of packets are lost, both ways',
    plan: two(
      {
        ...{ participant: pageParticipant('PAGE', 240, 880), page: { hue: 240 }, codec: 'vp8' },
        ...bothWays({ loss: 0.05 }),
      },
      {},
    ),
    goals: { score: 95, there: 0.98, frozenS: 1 },
  },
  crowd: {
    meaning: 'sixteen join two who are there, all at once: eighteen, of whom seventeen have a place',
    plan: { seconds: 25, seed: 2024, roles: crowd(18, 8) },
    goals: { score: 95, there: 1 },
  },
  skew: {
    meaning:
      'five minutes, four participants: two whose clocks are all 500 ppm fast or slow, two of whom only the microphone’s is',
    plan: {
      seconds: 300,
      seed: 2024,
      roles: [
        skewed('1', RED, 'h264', { camera: 500, microphone: 500, wall: 500 }),
        skewed('2', GREEN, 'vp8', { camera: -500, microphone: -500, wall: -500 }),
        skewed('3', BLUE, 'vp8', { microphone: 500 }),
        skewed('4', YELLOW, 'h264', { microphone: -500 }),
      ],
    },
    goals: { score: 95, there: 1, frozenS: 1, driftMs: 20, clicks: 0 },
  },
};
