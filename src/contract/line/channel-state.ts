/**
 * What a recorder knows of its channel at one moment, in a form that can be kept in a file: who is there, their tracks
 * and their clocks. A run that goes on with another's recording reads the feed again from some time before that moment;
 * what the state holds already is not noted twice. A moment is monotonic microseconds where its comment says so, else
 * microseconds of the recording.
 */
import { z } from 'zod';
import { participantClockStateSchema, receptionStateSchema } from './reception-state.ts';

const kind = z.enum(['audio', 'video']);

/** `leftUs` is absent for a user who is still there. */
const rosterStateSchema = z.object({
  stays: z.array(z.object({ uid: z.string(), order: z.int(), joinedUs: z.number(), leftUs: z.number().optional() })),
  nextOrder: z.int(),
});

/** `lastUs` is when the last packet of the stream came in, monotonic. */
const streamsStateSchema = z.array(z.object({ uid: z.string(), kind, lastUs: z.number(), receiving: z.boolean() }));

const trackStateSchema = z.object({
  track: z.int(),
  reception: receptionStateSchema,
  /** The unwrapped timestamp of the last sample that was used; absent before the first. */
  usedRtpTime: z.number().optional(),
  /** Where the track's last sound ended. */
  endUs: z.number().optional(),
});

export const channelStateSchema = z.object({
  /** Identifies the feed that the track numbers belong to: the time in its `hello`, monotonic. */
  feedUs: z.number(),
  /** Everything that arrived up to here has been taken. Monotonic. */
  takenUs: z.number(),
  /** Since when nobody is in the channel, monotonic; absent while somebody is. */
  emptySinceUs: z.number().optional(),
  roster: rosterStateSchema,
  streams: streamsStateSchema,
  clocks: z.array(z.object({ uid: z.string(), clock: participantClockStateSchema })),
  tracks: z.array(trackStateSchema),
  /** The tracks that are wanted and for which there is no room; absent where there is room for all. */
  refused: z.array(z.int()).optional(),
});

export type RosterState = z.infer<typeof rosterStateSchema>;
export type StreamsState = z.infer<typeof streamsStateSchema>;
export type TrackState = z.infer<typeof trackStateSchema>;
export type ChannelState = z.infer<typeof channelStateSchema>;
