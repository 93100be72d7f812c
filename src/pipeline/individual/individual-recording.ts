/**
 * IndividualRecording: records every user of a channel separately. Pictures are passed on as they came, sound becomes
 * AAC, snapshots are taken. It works a little behind the present, so that times are final when they are written.
 */
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { IndividualPlan } from '../../contract/line/plan.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, toHost, toRecording, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { SpooledFile } from '../../media/segment.ts';
import type { Track } from '../../media/track.ts';
import { Journal } from '../../stages/spool/journal.ts';
import { readCheckpoint, writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import type { Hold } from '../hold-line.ts';
import { AudioLine } from '../mix/audio-line.ts';
import type { Ending, LineContext, Recording } from '../recording.ts';
import { ChannelTracks, type TrackEntry } from '../tracks/channel-tracks.ts';
import { FeedSession, type SessionEnd } from '../tracks/feed-session.ts';
import { FileNotes } from '../tracks/file-notes.ts';
import { FOLLOW_AFTER_US } from '../tracks/follow-after.ts';
import { Losses } from '../tracks/losses.ts';
import { Patience } from '../tracks/patience.ts';
import { Attendance, type Attended, readEarlierAttendance } from './attendance.ts';
import { type IndividualCheckpoint, individualCheckpointSchema } from './checkpoint.ts';
import { DueSamples } from './due-samples.ts';
import { type EarlierRuns, readEarlierRuns } from './earlier-runs.ts';
import type { FileSink } from './file-sink.ts';
import { HeldMedia } from './held-media.ts';
import { Places } from './places.ts';
import { UserFiles } from './user-files.ts';

/** How far behind the present files are written. A stop writes this much at once. */
const DELAY_US = 1_000_000;
/** How far behind while somebody's media is incomplete: a gap may still be filled, packets may be late. */
const MAX_DELAY_US = 2_000_000;
/** How often packets are passed on and what is due is written. */
const STEP_MS = 100;
/**
 * For so long the channel gathers media before it hands it over, because what wakes two processes costs more than what
 * is done with a packet. Files are written later than that anyway.
 */
const GATHER_MS = 100;
/** Files are written in bursts of this length: one system call instead of many. */
const BURST_US = 200_000;
/**
 * A run that goes on with this recording needs this much of each stream from before what no file holds, for its sound.
 */
const SAFE_US = 1_000_000;
const CHECKPOINT_US = 1_000_000;
/** A track's line is kept this long after its end, because its last sample may be placed a little later. */
const LINGER_US = 500_000;
/** What a packet sounds like begins before its time: with Opus by 6.5 ms, and by some for the sender's clock. */
const EARLY_SOUND_US = 10_000;

const KINDS = ['audio', 'video'] as const;
type Line = DueSamples | AudioLine;
/** What a run begins with. */
type Known = { journal: Journal; checkpoint: IndividualCheckpoint | undefined; attended: Attended };

export class IndividualRecording implements Recording {
  readonly done: Promise<Ending>;
  readonly #plan: IndividualPlan;
  readonly #start: StartCommand;
  readonly #context: LineContext;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #notes: FileNotes;
  readonly #tracks: ChannelTracks<Line>;
  readonly #session: FeedSession;
  readonly #users = new Map<string, UserFiles>();
  readonly #sink: FileSink;
  #timer: Timer | undefined;
  /** Kept when something is made of the recording after its end. */
  readonly #attendance: Attendance | undefined;
  readonly #patience = new Patience();
  /** Up to where everything is written, recording time. */
  #writtenUs = 0;
  /** Where files ended last for a hold. */
  #endedUs = Number.NEGATIVE_INFINITY;
  /** The tracks of each user that are wanted at `#writtenUs`, as far as somebody asked since it or they changed. */
  readonly #wanted = new Map<string, Track[]>();
  readonly #held: HeldMedia;
  #files = 0;
  #begun = false;
  #ending: SessionEnd | undefined;
  #finishing = false;
  readonly #losses: Losses;
  #checkpointUs = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> | undefined;
  #failed = false;
  /** It follows another run, and knows from when on. */
  #follows = false;
  #settle!: { resolve(ending: Ending): void; reject(error: unknown): void };

  static async start(start: StartCommand, plan: IndividualPlan, context: LineContext): Promise<IndividualRecording> {
    const { earlierDirs, zeroUtcMs } = start;
    const { checkpoint, problems } = await readCheckpoint(earlierDirs, individualCheckpointSchema);
    for (const what of problems) context.emit({ type: 'degraded', what, count: 1 });
    const earlier = await readEarlierRuns(earlierDirs, zeroUtcMs, checkpoint, plan.failoverNames ?? false);
    const attended = await readEarlierAttendance(earlierDirs);
    const journal = await Journal.open(start.spoolDir);
    const recording = new IndividualRecording(start, plan, context, { journal, checkpoint, attended });
    try {
      await recording.#session.join();
      await recording.#goOn(earlier);
    } catch (error) {
      await recording.#giveUp();
      throw error;
    }
    recording.#begin();
    return recording;
  }

  private constructor(start: StartCommand, plan: IndividualPlan, context: LineContext, known: Known) {
    const { journal, checkpoint, attended } = known;
    this.#start = start;
    this.#plan = plan;
    this.#context = context;
    this.#clock = context.clock;
    this.#journal = journal;
    this.#notes = new FileNotes({
      journal,
      onNoted: (file) => this.#onNoted(file),
      onLate: ({ name }, error) =>
        context.emit({ type: 'degraded', what: `${name} cannot be noted yet: ${messageOf(error)}`, count: 1 }),
    });
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    if (Object.values(plan.extras).includes(true))
      this.#attendance = new Attendance(start.spoolDir, start.zeroUtcMs, attended);
    this.#held = new HeldMedia(plan.onhold ?? false);
    if (start.follows) this.#held.passUntil(Number.POSITIVE_INFINITY);
    if (plan.onhold) {
      context.report.onHold(undefined, true);
      this.#attendance?.onHold(0, true);
    }
    this.#losses = new Losses(context.emit);
    const records = { audio: plan.records.audio, video: plan.records.video || plan.snapshots !== undefined };
    const places = new Places(plan.maxUsers, (uid) => {
      const what = `user ${uid} is not recorded while ${plan.maxUsers} others are: subscribeUidGroup allows no more`;
      context.emit({ type: 'degraded', what, count: 1 });
    });
    this.#tracks = new ChannelTracks<Line>({
      subscribe: plan.subscribe,
      records,
      zeroUs: start.zeroMonoUs,
      report: context.report,
      admits: (track) => places.admits(track, this.#tracks.entries()),
      createLine: (received) => {
        const { format } = received.track;
        const passes = format.kind === 'video' || (plan.streamMode === 'original' && format.codec === 'opus');
        if (passes) return new DueSamples(received);
        // Sound that was heard already must be heard again: only the files tell whether they hold it.
        const state = received.state && { reception: received.state.reception };
        return new AudioLine({ ...received, state }, 'asSent');
      },
      state: checkpoint?.channel,
      sendRtcp: (track, datagram) => this.#session.sendRtcp(track, datagram),
      onStreamChange: (change) => this.#session.tellStream(change),
      onDegraded: (what, count) => context.emit({ type: 'degraded', what, count }),
    });
    for (const change of start.changes) this.#change(change, start.zeroMonoUs);
    this.#session = new FeedSession({
      start,
      state: checkpoint?.channel,
      clock: this.#clock,
      maxIdleMs: plan.maxIdleMs,
      stepMs: STEP_MS,
      feed: { gatherMs: GATHER_MS, kinds: KINDS.filter((kind) => records[kind]) },
      taker: {
        count: () => this.#tracks.count,
        onEvent: (event, atUs) => {
          this.#attendance?.onEvent(event, toRecording(atUs, start.zeroMonoUs));
          this.#tracks.onEvent(event, atUs);
        },
        onRtp: (track, datagram, arrivalUs) => this.#tracks.onRtp(track, datagram, arrivalUs),
        onRtcp: (track, datagram, arrivalUs) => this.#tracks.onRtcp(track, datagram, arrivalUs),
        end: (atMonoUs) => this.#tracks.end(atMonoUs),
      },
      emit: (happening) => context.emit(happening),
      onEnd: (end) => {
        this.#ending = end;
      },
    });
    this.#sink = {
      dir: start.spoolDir,
      baseName: plan.baseName,
      zeroUtcMs: start.zeroUtcMs,
      onSliceStart: ({ uid, trackType }, startUtcMs, discontinueUtcMs) => {
        this.#onFilesBegun((startUtcMs - start.zeroUtcMs) * 1000);
        context.emit({ type: 'sliceStarted', uid, trackType, startUtcMs, discontinueUtcMs });
      },
      onFile: (file) => this.#notes.add(file),
      onLost: (uid, what) => this.#losses.add(filesOf(uid), what),
    };
  }

  /** Slices that earlier runs were writing are written anew, and continued. */
  async #goOn({ users, files }: EarlierRuns): Promise<void> {
    this.#files = files;
    this.#begun = files > 0;
    for (const [uid, past] of users) {
      const user = this.#userOf(uid);
      try {
        await user.goOn(past);
      } catch (error) {
        this.#losses.add(filesOf(uid), messageOf(error));
        user.restart();
      }
    }
  }

  #begin(): void {
    const advance = () => this.#session.advance(() => this.#step()).catch((error) => this.#fail(error));
    this.#timer = this.#clock.every(STEP_MS, () => void advance());
  }

  stop(atMonoUs: HostUs, reason: EndReason): void {
    this.#session.end({ atMonoUs, reason, message: reason === 'stopped' ? 'stopped as asked' : reason });
  }

  change(command: ChangeCommand): void {
    this.#wanted.clear();
    if (!this.#session.stopping && !this.#failed) this.#change(command, this.#session.nowUs);
  }

  #change(command: ChangeCommand, nowUs: HostUs): void {
    const fromUs = toRecording(command.atMonoUs, this.#start.zeroMonoUs);
    if (command.type === 'changeSubscription') this.#tracks.changeSubscription(fromUs, command.subscribe, nowUs);
    if (command.type === 'changeHold') this.#changeHold(fromUs, command.onhold);
  }

  #changeHold(fromUs: RecordingUs, onhold: boolean): void {
    const atUs = this.#held.change(Math.max(fromUs, this.#writtenUs), onhold);
    this.#context.report.onHold(atUs, onhold);
    this.#attendance?.onHold(atUs, onhold);
    // Asked for now, a key frame is there when the files go on.
    if (!onhold) for (const { line } of this.#tracks.entries()) if (line instanceof DueSamples) line.resume();
  }

  heardUs(): RecordingUs | undefined {
    return this.#session.takenUs;
  }

  lagUs(): number {
    return this.#session.lagUs;
  }

  packets(): number {
    return this.#session.packets;
  }

  abort(why: unknown): void {
    this.#fail(why);
  }

  /** Up to where the files may be written now; asked once a step, recording time. */
  #dueUs(): RecordingUs {
    const { zeroMonoUs } = this.#start;
    if (this.#ending) return toRecording(this.#ending.atMonoUs, zeroMonoUs);
    const monoUs = this.#session.nowUs;
    const nowUs = toRecording(monoUs, zeroMonoUs);
    let dueUs = nowUs - DELAY_US;
    for (const { line } of this.#tracks.entries()) dueUs = Math.min(dueUs, line.completeUs(monoUs) ?? dueUs);
    const horizonUs = Math.max(dueUs, nowUs - MAX_DELAY_US);
    return this.#patience.limit(horizonUs, this.#session.unheardUs, STEP_MS * 1000);
  }

  #step(): void {
    if (this.#finishing) return;
    try {
      this.#wanted.clear();
      this.#tracks.poll(this.#session.nowUs);
      if (this.#start.follows && !this.#follows && this.#tracks.hasBegun) {
        this.#follows = true;
        this.#held.passUntil(toRecording(this.#session.nowUs, this.#start.zeroMonoUs) + FOLLOW_AFTER_US);
      }
      const dueUs = this.#dueUs();
      if (this.#ending || dueUs - this.#writtenUs >= BURST_US) this.#write(dueUs);
      if (this.#ending) void this.#finish(this.#ending);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes and writes everything before `dueUs`. Files end where a hold begins. */
  #write(dueUs: RecordingUs): void {
    for (const hold of this.#held.between(this.#writtenUs, dueUs)) {
      if (hold.fromUs <= this.#writtenUs) continue;
      this.#writeUntil(hold.fromUs, hold.fromUs + EARLY_SOUND_US);
      this.#endFiles(hold);
      this.#endedUs = hold.fromUs;
    }
    this.#writeUntil(dueUs);
    this.#losses.step(dueUs);
    this.#tellSafe();
    this.#saveCheckpoint();
    this.#tracks.forget(dueUs - LINGER_US, () => false);
    this.#held.forget(dueUs);
  }

  #endFiles({ untilUs }: Hold): void {
    // What an earlier run wrote after the hold is continued.
    for (const { uid, pastUs } of this.#users.values()) if (pastUs < untilUs) this.#guard(uid, (user) => user.rest());
  }

  /** @param soundUs up to where packets of sound are decoded */
  #writeUntil(dueUs: RecordingUs, soundUs = dueUs): void {
    for (const entry of this.#tracks.entries())
      this.#guard(entry.track.uid, (user) => this.#take(user, entry, dueUs, soundUs));
    const live = new Set<string>();
    for (const { track, unwantedUs, endedUs } of this.#tracks.entries())
      if (Math.min(unwantedUs, endedUs) > dueUs - LINGER_US) live.add(track.uid);
    // What the feed gives again comes before the end of what an earlier run wrote.
    for (const { uid, pastUs } of this.#users.values())
      if (dueUs > pastUs) this.#guard(uid, (user) => (live.has(uid) ? user.step(dueUs) : user.rest()));
    this.#writtenUs = Math.max(this.#writtenUs, dueUs);
    this.#wanted.clear();
  }

  /** A fault with one user's media must not cost anybody else theirs; the user's own files begin anew. */
  #guard(uid: string, work: (user: UserFiles) => void): void {
    const user = this.#userOf(uid);
    try {
      work(user);
    } catch (error) {
      this.#losses.add(filesOf(uid), messageOf(error));
      user.restart();
    }
  }

  /** What was handed to the system outlives the process, even a killed one. */
  #tellSafe(): void {
    let safeUs = this.#writtenUs;
    for (const { unflushedUs } of this.#users.values()) safeUs = Math.min(safeUs, unflushedUs ?? safeUs);
    this.#session.sendSafe(toHost(safeUs - SAFE_US, this.#start.zeroMonoUs));
  }

  #saveCheckpoint(): void {
    if (this.#saving || this.#writtenUs - this.#checkpointUs < CHECKPOINT_US) return;
    const channel = this.#tracks.save(this.#session.nowUs, this.#session.emptySinceUs);
    if (!channel) return;
    this.#checkpointUs = this.#writtenUs;
    const users = [...this.#users.values()].flatMap(({ uid, rotate }) => (rotate === 0 ? [] : [{ uid, rotate }]));
    const checkpoint: IndividualCheckpoint = { version: 1, mode: 'individual', channel, users };
    this.#saving = writeCheckpoint(this.#start.spoolDir, checkpoint)
      .catch((error) => this.#context.emit({ type: 'degraded', what: messageOf(error), count: 1 }))
      .finally(() => {
        this.#saving = undefined;
      });
  }

  #take(user: UserFiles, { track, line }: TrackEntry<Line>, dueUs: RecordingUs, soundUs: RecordingUs): void {
    if (line instanceof AudioLine) {
      line.decodeUntil(soundUs, (start, sound) => {
        if (!this.#tracks.isWanted(track, (start * US) / SOUND_RATE)) return 0;
        let leftOut = 0;
        for (const part of this.#held.unheld(start, sound)) {
          // What is left of a packet that came too late for files that have ended would begin them again.
          const isLate = (part.start * US) / SOUND_RATE < this.#endedUs;
          leftOut += isLate ? part.sound.samples : user.takeSound(track, part.start, part.sound);
        }
        return leftOut;
      });
      return;
    }
    for (const sample of line.takeUntil(dueUs)) {
      if (this.#held.isCut(track, sample)) continue;
      if (!this.#tracks.isWanted(track, sample.ptsUs)) user.leaveOut(track);
      else if (track.format.kind === 'audio') user.passSound(track, sample);
      else user.takePicture(track, sample);
    }
    if (track.format.kind !== 'video') return;
    const presentUs = toRecording(this.#session.nowUs, this.#start.zeroMonoUs);
    const isWanted = this.#held.waitsForKeyFrame(track) || user.wantsKeyFrame(track, presentUs);
    line.wantKeyFrame(isWanted && !this.#held.isHeld(dueUs));
  }

  #userOf(uid: string): UserFiles {
    const known = this.#users.get(uid);
    if (known) return known;
    const user = new UserFiles({
      uid,
      plan: this.#plan,
      sink: this.#sink,
      onGrid: this.#start.isTwin ?? false,
      tracks: () => this.#wantedOf(uid),
    });
    this.#users.set(uid, user);
    return user;
  }

  /** Asked for each picture and each block of sound. */
  #wantedOf(uid: string): readonly Track[] {
    const known = this.#wanted.get(uid);
    if (known) return known;
    const tracks: Track[] = [];
    for (const { track, endedUs, unwantedUs } of this.#tracks.entries())
      if (track.uid === uid && Math.min(endedUs, unwantedUs) > this.#writtenUs) tracks.push(track);
    this.#wanted.set(uid, tracks);
    return tracks;
  }

  #onFilesBegun(recordingUs: RecordingUs): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#context.report.onFilesBegun(recordingUs);
    this.#context.emit({ type: 'firstFrameRecorded', recordingUs });
  }

  #onNoted(file: SpooledFile): void {
    this.#files++;
    if (file.type === 'snapshot') this.#onFilesBegun((file.startUtcMs - this.#start.zeroUtcMs) * 1000);
    this.#context.emit({ type: 'fileSpooled', file });
  }

  async #finish({ atMonoUs, reason, message }: SessionEnd): Promise<void> {
    this.#finishing = true;
    this.#timer?.cancel();
    try {
      await Promise.all([...this.#users.values()].map((user) => this.#finishUser(user)));
      this.#losses.flush();
      this.#context.report.onEnd(toRecording(atMonoUs, this.#start.zeroMonoUs));
      await this.#finishAttendance(toRecording(atMonoUs, this.#start.zeroMonoUs));
      await this.#notes.flush();
      await this.#giveUp();
      if (!this.#failed) this.#settle.resolve({ reason, recorded: this.#files > 0, message });
    } catch (error) {
      this.#fail(error);
    }
  }

  async #finishUser(user: UserFiles): Promise<void> {
    try {
      await user.finish();
    } catch (error) {
      this.#losses.add(filesOf(user.uid), messageOf(error));
      user.restart();
      await user.finish();
    }
  }

  /** The recording is complete without the attendance list. */
  async #finishAttendance(endUs: RecordingUs): Promise<void> {
    try {
      await this.#attendance?.finish(endUs);
    } catch (error) {
      const what = `it could not be kept who was there when: ${messageOf(error)}`;
      this.#context.emit({ type: 'degraded', what, count: 1 });
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#finishing = true;
    void this.#giveUp().then(() => this.#settle.reject(error), this.#settle.reject);
  }

  /** Frees everything, whatever is not finished. Resolves when nothing is written any more. */
  async #giveUp(): Promise<void> {
    this.#timer?.cancel();
    this.#session.close();
    this.#tracks.close();
    const users = [...this.#users.values()].map((user) => user.close());
    await Promise.all([...users, this.#saving, this.#attendance?.settled()]);
    await this.#journal.close();
  }
}

/** How a message names a user's files, as an output. */
function filesOf(uid: string): string {
  return `files of user ${uid} lack something`;
}
