/**
 * Participants: every user's lines in one composite recording. It takes the feed's events and packets, and answers what
 * the picture and the sound of a moment consist of.
 */
import type { ChannelState } from '../../contract/line/channel-state.ts';
import type { FeedEvent } from '../../contract/line/feed.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import { type HostUs, type RecordingUs, US } from '../../kernel/time.ts';
import { type Picture, SOUND_RATE } from '../../media/frame.ts';
import type { QualityCollector } from '../report/quality-collector.ts';
import { ChannelTracks, type Subscriptions, type TrackEntry } from '../tracks/channel-tracks.ts';
import { isSubscribed } from '../tracks/roster.ts';
import type { StreamChange } from '../tracks/stream-state.ts';
import { AudioLine, type UseSound } from './audio-line.ts';
import type { UserView } from './backgrounds.ts';
import { VideoLine } from './video-line.ts';

/** A user with a camera gets a place in the picture with the first frame, or after this long without one. */
export const FIRST_PICTURE_US = 2_000_000;

/** The last picture of a user who stopped sending is held this long (contract §4.7). */
const HELD_US = 3_500_000;

type Line = VideoLine | AudioLine;

/** Who may have a place in a frame, in join order; what each user who is seen shows, and how alive that is. */
export type Seen = {
  uids: string[];
  /** The lines own the pictures. */
  pictures: Map<string, Picture | undefined>;
  views: Map<string, UserView>;
};

export type ParticipantsOptions = {
  plan: MixPlan;
  /** The recording's zero on the monotonic clock, microseconds. */
  zeroUs: HostUs;
  /** Sends one RTCP datagram about a track to the channel. */
  sendRtcp(track: number, datagram: Buffer): void;
  onStreamChange(change: StreamChange): void;
  onDegraded(what: string, count: number): void;
  /** Notes who is there and what becomes of their tracks. */
  report?: QualityCollector | undefined;
  /** As of ChannelTracks. */
  state?: ChannelState | undefined;
};

export class Participants {
  readonly #o: ParticipantsOptions;
  readonly #tracks: ChannelTracks<Line>;

  constructor(options: ParticipantsOptions) {
    this.#o = options;
    const { plan } = options;
    this.#tracks = new ChannelTracks<Line>({
      ...options,
      subscribe: plan.subscribe,
      records: { audio: plan.audio !== undefined, video: plan.video !== undefined },
      createLine: (received) =>
        received.track.format.kind === 'video'
          ? new VideoLine(received)
          : new AudioLine(received, plan.audio?.channels ?? 1),
    });
  }

  /** As of ChannelTracks. */
  get hasBegun(): boolean {
    return this.#tracks.hasBegun;
  }

  /** As of ChannelTracks. */
  get goesOn(): boolean {
    return this.#tracks.goesOn;
  }

  /** As of ChannelTracks. */
  save(takenUs: HostUs, emptySinceUs: HostUs | undefined): ChannelState | undefined {
    return this.#tracks.save(takenUs, emptySinceUs);
  }

  /** How many users are in the channel now. */
  count(): number {
    return this.#tracks.count;
  }

  onEvent(event: FeedEvent, atUs: HostUs): void {
    this.#tracks.onEvent(event, atUs);
  }

  /** As of ChannelTracks. */
  changeSubscription(atUs: RecordingUs, subscribe: Subscriptions, nowUs: HostUs): void {
    this.#tracks.changeSubscription(atUs, subscribe, nowUs);
  }

  onRtp(track: number, datagram: Buffer, arrivalUs: HostUs): void {
    this.#tracks.onRtp(track, datagram, arrivalUs);
  }

  onRtcp(track: number, datagram: Buffer, arrivalUs: HostUs): void {
    this.#tracks.onRtcp(track, datagram, arrivalUs);
  }

  /** As of ChannelTracks; also tells of pictures that were held because a key frame was missing. */
  poll(nowUs: HostUs): void {
    this.#tracks.poll(nowUs);
    for (const { line, track } of this.#tracks.entries()) {
      if (!(line instanceof VideoLine)) continue;
      for (const heldUs of line.takeHeldUs()) {
        const what = `the picture of user ${track.uid} was held for ${Math.round(heldUs / 1000)} ms for want of a key frame`;
        this.#o.onDegraded(what, 1);
      }
    }
  }

  /** The recording time of the first subscribed media that waits, microseconds; undefined when none does. */
  firstMediaUs(): RecordingUs | undefined {
    let first: number | undefined;
    for (const { track, line, sinceUs, unwantedUs } of this.#tracks.entries()) {
      const waitingUs = line.firstWaitingUs();
      if (waitingUs === undefined) continue;
      const at = this.#tracks.isWanted(track, waitingUs) ? waitingUs : Math.max(waitingUs, sinceUs);
      if (at < unwantedUs && (first === undefined || at < first)) first = at;
    }
    return first;
  }

  /**
   * Up to where in the recording the media of all present senders is complete, microseconds; infinity when nobody
   * sends.
   * @param nowUs monotonic
   */
  completeUs(nowUs: HostUs): RecordingUs {
    let completeUs = Number.POSITIVE_INFINITY;
    for (const { line, endedUs, unwantedUs } of this.#tracks.entries()) {
      if (endedUs !== Number.POSITIVE_INFINITY || unwantedUs !== Number.POSITIVE_INFINITY) continue;
      completeUs = Math.min(completeUs, line.completeUs(nowUs) ?? Number.POSITIVE_INFINITY);
    }
    return completeUs;
  }

  /**
   * Who is seen at `atUs`, with the pictures of `shownUs`.
   * @param seen chooses, among those who may have a place, those who have one; nothing of the others is decoded
   * @param hides whether users get no place who show no video, or none that has moved lately
   */
  picturesAt(
    atUs: RecordingUs,
    shownUs: RecordingUs,
    seen: (uids: string[]) => ReadonlySet<string>,
    hides = false,
  ): Seen {
    const uids: string[] = [];
    const lines = new Map<string, { own: VideoLine[]; hasCamera: boolean; cameUs: RecordingUs }>();
    const { video } = this.#tracks.subscriptionAt(atUs);
    for (const { uid, joinedUs } of this.#tracks.roster.at(atUs)) {
      if (!isSubscribed(video, uid)) continue;
      // The last line with a picture is shown: of the present lines the newest, before all that ended.
      const own: VideoLine[] = [];
      const over: VideoLine[] = [];
      let hasCamera = false;
      let cameUs = joinedUs;
      for (const { track, line, endedUs, sinceUs } of this.#tracks.entries()) {
        if (track.uid !== uid || !(line instanceof VideoLine)) continue;
        hasCamera ||= endedUs > atUs;
        if (sinceUs <= atUs) cameUs = Math.max(cameUs, sinceUs);
        if (endedUs > atUs) own.push(line);
        else over.push(line);
      }
      own.unshift(...over);
      const hasPicture = own.some((line) => line.hasPictureAt(shownUs));
      if (!hasPicture && hasCamera && atUs - cameUs < FIRST_PICTURE_US) continue;
      if (hides && !own.some((line) => atUs - (line.dueUs(shownUs) ?? Number.NEGATIVE_INFINITY) < HELD_US)) {
        for (const line of own) line.passOver(shownUs);
        continue;
      }
      uids.push(uid);
      lines.set(uid, { own, hasCamera, cameUs });
    }
    const shown = seen(uids);
    const pictures = new Map<string, Picture | undefined>();
    const views = new Map<string, UserView>();
    for (const [uid, { own, hasCamera, cameUs }] of lines) {
      if (!shown.has(uid)) {
        for (const line of own) line.passOver(shownUs);
        continue;
      }
      let picture: Picture | undefined;
      let movedUs = hasCamera ? cameUs : Number.NEGATIVE_INFINITY;
      for (const line of own) {
        picture = line.pictureAt(shownUs) ?? picture;
        movedUs = Math.max(movedUs, line.shownUs ?? movedUs);
      }
      const isStill = atUs - movedUs >= HELD_US;
      views.set(uid, !isStill ? 'live' : hasCamera ? 'still' : 'none');
      pictures.set(uid, isStill && !hasCamera ? undefined : picture);
    }
    return { uids, pictures, views };
  }

  /** Users who are there at `atUs`, in join order. */
  presentAt(atUs: RecordingUs): string[] {
    return this.#tracks.roster.at(atUs).map(({ uid }) => uid);
  }

  /**
   * Called instead of `picturesAt` where nothing up to `atUs` is recorded; it costs next to nothing, as in VideoLine.
   */
  passOver(atUs: RecordingUs): void {
    for (const { line } of this.#tracks.entries()) if (line instanceof VideoLine) line.passOver(atUs);
  }

  /** Hands over all sound that begins before `untilUs`. */
  soundUntil(untilUs: RecordingUs, use: (uid: string, ...sound: Parameters<UseSound>) => number): void {
    for (const { track, line } of this.#tracks.entries()) {
      if (!(line instanceof AudioLine)) continue;
      line.decodeUntil(untilUs, (start, sound) =>
        this.#tracks.isWanted(track, (start * US) / SOUND_RATE) ? use(track.uid, start, sound) : 0,
      );
    }
  }

  /** Frees tracks that ended, or were last wanted, before `atUs`. */
  forget(atUs: RecordingUs): void {
    this.#tracks.forget(atUs, (entry) => {
      // A picture outlives its track for a while if its user is there and no new track brings another.
      const { uid } = entry.track;
      const isRecent = entry.line instanceof VideoLine && atUs - entry.endedUs < HELD_US;
      const held = isRecent && this.#tracks.roster.at(atUs).some((user) => user.uid === uid);
      return held && ![...this.#tracks.entries()].some((other) => replaces(other, entry));
    });
  }

  /** As of ChannelTracks. */
  end(atUs: HostUs): void {
    this.#tracks.end(atUs);
  }

  close(): void {
    this.#tracks.close();
  }
}

/**
 * True when `entry` can replace the picture of `old`, an ended track of the same user: a newer track, or one that has
 * not ended.
 */
function replaces(entry: TrackEntry<Line>, old: TrackEntry<Line>): boolean {
  return (
    entry !== old &&
    entry.track.uid === old.track.uid &&
    entry.line instanceof VideoLine &&
    (entry.track.track > old.track.track || entry.endedUs === Number.POSITIVE_INFINITY)
  );
}
