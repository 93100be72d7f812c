/** UserFiles: everything that is made of one user's streams: slices of picture, of sound and of both, and snapshots. */

import type { IndividualPlan } from '../../contract/line/plan.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { RecordingUs, StreamUs } from '../../kernel/time.ts';
import type { Sound } from '../../media/frame.ts';
import { isStereoOpus } from '../../media/opus.ts';
import type { RotateEvent } from '../../media/segment.ts';
import type { Track, VideoCodec } from '../../media/track.ts';
import { mpdName, userBaseName } from '../../stages/mux/names.ts';
import { saidChannels } from '../tracks/said-channels.ts';
import type { PlacedSample } from './due-samples.ts';
import { type FileSink, type PastRow, type RowType, UserRows } from './file-sink.ts';
import { MergedFiles } from './merged-files.ts';
import { NewestPictures } from './newest-pictures.ts';
import { PassedSound } from './passed-sound.ts';
import { PassedVideo } from './passed-video.ts';
import { type ReadRowOptions, type RowEnd, readRow } from './row-end.ts';
import { SnapshotLine } from './snapshot-line.ts';
import { SoundFiles } from './sound-files.ts';
import { TranscodedSound } from './transcoded-sound.ts';

/** When a stream pauses, what it wrote last is handed to the system after this time. */
const FLUSH_US = 250_000;

/** What readRow needs to read a row. */
export type PastRowFiles = PastRow & Pick<ReadRowOptions, 'torn' | 'finished' | 'storedUs' | 'rotate'>;

/** What earlier runs of the recording left of a user. */
export type UserPast = {
  rows: ReadonlyMap<RowType, PastRowFiles>;
  /** When the last snapshot was taken, microseconds of the recording. */
  snapshotUs: RecordingUs | undefined;
};

export type UserFilesOptions = {
  uid: string;
  plan: IndividualPlan;
  sink: FileSink;
  /** As of TranscodedSound. */
  onGrid?: boolean | undefined;
  /** The user's tracks that are wanted now. */
  tracks(): readonly Track[];
};

export class UserFiles {
  readonly uid: string;
  readonly #o: UserFilesOptions;
  readonly #mpd: string | undefined;
  readonly #rows: UserRows;
  readonly #newest = new NewestPictures();
  #video: PassedVideo | undefined;
  #sound: TranscodedSound | undefined;
  #soundFiles: SoundFiles | undefined;
  #passedSound: PassedSound | undefined;
  #merged: MergedFiles | undefined;
  #snapshots: { track: number; line: SnapshotLine } | undefined;
  /** Resolves when the snapshots of former tracks are on the spool. */
  #snapshotsDone: Promise<void> = Promise.resolve();
  /** Where the rows ended that earlier runs of the recording wrote to. */
  readonly #past = new Map<RowType, RowEnd>();
  #pastUs = Number.NEGATIVE_INFINITY;
  /** Tracks whose sound turned out to have two channels. */
  readonly #stereo = new Set<number>();
  #snapshotUs: RecordingUs | undefined;

  constructor(options: UserFilesOptions) {
    const { uid, plan, sink } = options;
    this.uid = uid;
    this.#o = options;
    this.#rows = new UserRows(sink, uid);
    this.#mpd = plan.streamMode === 'standard' ? mpdName(userBaseName(sink.baseName, uid, 'av')) : undefined;
  }

  /** Goes on from what earlier runs left: their unfinished slices are written anew, and continued. */
  async goOn({ rows, snapshotUs }: UserPast): Promise<void> {
    const { zeroUtcMs } = this.#o.sink;
    this.#snapshotUs = snapshotUs;
    for (const [type, { torn, finished, storedUs, rotate, ...past }] of rows) {
      const row = this.#rows.row(type);
      row.goOn(past);
      const files = { torn, finished, storedUs, zeroUtcMs, mpd: this.#mpd, rotate };
      const end = await readRow(row, { ...files, isMerged: type === 'av' });
      if (!end) continue;
      this.#past.set(type, end);
      this.#pastUs = Math.max(this.#pastUs, end.picture?.highestUs ?? 0, end.soundEndUs ?? 0);
    }
  }

  /** How players must turn the picture that is written now, degrees anticlockwise. */
  get rotate(): RotateEvent['rotate'] {
    return this.#video?.rotate ?? 0;
  }

  /**
   * Up to where earlier runs have written, microseconds of the recording: the feed may still give again what comes
   * before.
   */
  get pastUs(): RecordingUs {
    return this.#pastUs;
  }

  /**
   * From here on something that was taken may not be on disk, microseconds of the recording; undefined when everything
   * is.
   */
  get unflushedUs(): StreamUs | undefined {
    const held = [this.#rows.unflushedUs, this.#merged?.unflushedUs].filter((us) => us !== undefined);
    return held.length > 0 ? Math.min(...held) : undefined;
  }

  /**
   * Whether a track's sender should be asked for a key frame. @param presentUs of the recording, ahead of what was
   * taken
   */
  wantsKeyFrame({ track }: Track, presentUs: RecordingUs): boolean {
    const forSnapshot = this.#snapshots?.track === track && this.#snapshots.line.poll(presentUs).keyFrameWanted;
    return (forSnapshot || this.#video?.keyFrameWanted || this.#merged?.keyFrameWanted) ?? false;
  }

  /** Takes the next picture of a track, in decode order. */
  takePicture({ track, format }: Track, sample: PlacedSample): void {
    const { plan } = this.#o;
    if (format.kind !== 'video') return;
    const present = this.#o.tracks().map((one) => one.track);
    if (!this.#newest.takes(track, present)) return;
    this.#snapshotsOf(track, format.codec)?.push(sample, sample.ptsUs, sample);
    if (!plan.records.video || plan.streamMode === 'none') return;
    this.#video ??= new PassedVideo({
      runs: this.#rows.row('video'),
      past: this.#past.get('video'),
      mpd: this.#mpd,
      onLost: (what) => this.#tellLost(what),
      onPicture: (picture) => {
        if (picture.codec === 'h264') this.#mergedFiles()?.writePicture(picture);
      },
    });
    this.#video.push(sample, track, format.codec);
  }

  /** Takes the next decoded sound of a track. As of TranscodedSound. */
  takeSound({ track }: Track, start: number, sound: Sound): number {
    if (sound.channels.length === 2) this.#stereo.add(track);
    return this.#transcoder().add(track, start, sound);
  }

  /** Takes the next packet of a track whose sound is passed on as it came. */
  passSound(from: Track, sample: PlacedSample): void {
    const { track, format } = from;
    if (format.kind !== 'audio') return;
    if (format.codec === 'opus' && isStereoOpus(sample.data)) this.#stereo.add(track);
    this.#passedSound ??= new PassedSound(this.#rows.row('audio'), this.#past.get('audio'));
    this.#passedSound.push(sample, track, this.#channelsOf(from));
  }

  /** A sample of a track is not wanted. The next wanted one may refer to it, so the stream begins anew. */
  leaveOut({ format }: Track): void {
    if (format.kind === 'audio') this.#passedSound?.interrupt();
    else {
      this.#video?.leaveOut();
      this.#endSnapshots();
    }
  }

  /** Everything before `nowUs` of the recording has been taken. */
  step(nowUs: RecordingUs): void {
    this.#video?.step(nowUs);
    this.#passedSound?.step(nowUs);
    const fills = this.#sendsWebm() ? this.#fillsBesideWebm() : this.#merged?.fills;
    if (this.#sound || fills) this.#transcoder().advance(nowUs, fills);
    this.#merged?.step(nowUs);
    this.#rows.flush(nowUs - FLUSH_US);
    const dropped = this.#snapshots?.line.takeDropped() ?? 0;
    for (let n = 0; n < dropped; n++) this.#tellLost('a snapshot could not be made in time');
  }

  /** The user's tracks have ended: files end here, and everything that costs memory is freed. */
  rest(): void {
    this.#video?.interrupt();
    this.#passedSound?.interrupt();
    this.#sound?.rest();
    this.#soundFiles?.interrupt();
    this.#merged?.end();
    this.#rows.end();
    this.#endSnapshots();
  }

  /** Something of the user failed: the files end as they are, and what comes next begins anew. */
  restart(): void {
    this.#rows.end();
    this.#sound?.close();
    this.#snapshots?.line.close();
    this.#video = undefined;
    this.#passedSound = undefined;
    this.#soundFiles = undefined;
    this.#merged = undefined;
    this.#sound = undefined;
    this.#snapshots = undefined;
    this.#past.clear();
  }

  /** Ends all files; resolves when they are on the spool. */
  async finish(): Promise<void> {
    this.rest();
    await Promise.all([this.#rows.finish(), this.#snapshotsDone]);
  }

  /** Ends no file, and frees everything. Resolves when none that was ended is on its way to the disk any more. */
  async close(): Promise<void> {
    this.#sound?.close();
    this.#snapshots?.line.close();
    await this.#rows.close();
  }

  #tellLost(what: string): void {
    this.#o.sink.onLost(this.uid, what);
  }

  #snapshotsOf(track: number, codec: VideoCodec): SnapshotLine | undefined {
    const { plan, sink, uid } = this.#o;
    if (!plan.snapshots) return undefined;
    if (this.#snapshots?.track !== track) {
      this.#endSnapshots();
      const line = new SnapshotLine({
        ...{ uid, codec, dir: sink.dir, zeroUtcMs: sink.zeroUtcMs, onFile: sink.onFile },
        onLost: (what) => this.#tellLost(what),
        intervalUs: plan.snapshots.intervalMs * 1000,
        lastUs: this.#snapshotUs,
        baseName: userBaseName(sink.baseName, uid, 'video'),
      });
      this.#snapshotUs = undefined;
      this.#snapshots = { track, line };
    }
    return this.#snapshots.line;
  }

  #endSnapshots(): void {
    const done = this.#snapshots?.line.finish();
    this.#snapshots = undefined;
    if (!done) return;
    const told = done.catch((error) => this.#tellLost(messageOf(error)));
    this.#snapshotsDone = Promise.all([this.#snapshotsDone, told]).then(() => undefined);
  }

  #transcoder(): TranscodedSound {
    this.#sound ??= new TranscodedSound(
      (block) => {
        this.#soundFilesOf().write(block);
        this.#mergedFiles()?.writeSound(block);
      },
      this.#past.get('audio')?.soundEndUs,
      this.#o.onGrid,
    );
    return this.#sound;
  }

  #soundFilesOf(): SoundFiles {
    this.#soundFiles ??= new SoundFiles(this.#rows, {
      audio: this.#past.get('audio'),
      fragments: this.#past.get('fragments'),
    });
    this.#soundFiles.useMpd(this.#sendsWebm() ? this.#mpd : undefined);
    return this.#soundFiles;
  }

  #channelsOf({ track, format }: Track): 1 | 2 {
    return this.#stereo.has(track) ? 2 : saidChannels(format);
  }

  /** Whether only WebM can hold the picture, so that an MPD is made. */
  #sendsWebm(): boolean {
    return this.#o.tracks().some(({ format }) => format.kind === 'video' && format.codec !== 'h264');
  }

  /** An MPD shows a picture only with sound beside it, so silence is written where the user's own sound is missing. */
  #fillsBesideWebm(): { fromUs: RecordingUs; channels: 1 | 2 } | undefined {
    const fromUs = this.#mpd === undefined ? undefined : this.#video?.runStartUs;
    const audio = this.#o.tracks().find(({ format }) => format.kind === 'audio');
    return fromUs === undefined || !audio ? undefined : { fromUs, channels: this.#channelsOf(audio) };
  }

  #mergedFiles(): MergedFiles | undefined {
    const { plan, tracks } = this.#o;
    if (plan.streamMode !== 'standard') return undefined;
    // Sound whose picture is listed in an MPD is merged with nothing else.
    if (this.#sendsWebm()) {
      this.#merged?.end();
      return undefined;
    }
    this.#merged ??= new MergedFiles({
      runs: this.#rows.row('av'),
      past: this.#past.get('av'),
      onLost: (what) => this.#tellLost(what),
      sends: () => {
        const present = tracks();
        const audio = present.find(({ format }) => format.kind === 'audio');
        return {
          channels: audio && this.#channelsOf(audio),
          video: present.some(({ format }) => format.kind === 'video'),
        };
      },
    });
    return this.#merged;
  }
}
