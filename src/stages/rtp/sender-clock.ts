/**
 * Where on our monotonic clock a sender's media belongs, so that sound and picture of one person keep their true relation.
 * Each stream tells by its sender reports how its timestamps lie on the sender's wall clock (RFC 3550 §6.4.1); one offset per
 * person leads from there to our clock. Streams without reports go by arrival. Corrections are slewed, not stepped.
 */
import type { ParticipantClockState, StreamClockState } from '../../contract/line/reception-state.ts';
import { Fault } from '../../kernel/fault.ts';
import { US } from '../../kernel/time.ts';
import { ClockSkew } from './clock-skew.ts';
import { SlidingMinimum } from './sliding-minimum.ts';

/** The least delay of this last while counts, so that jitter does not move anything. */
const WINDOW_US = 10 * US;
/** Slew per second of media: unheard and unseen, yet ten times the worst skew of a crystal. */
const SLOW = 0.005;
/** Slew while a stream settles: after its start, and after its first report. */
const FAST = 0.05;
const SETTLE_AFTER_START_US = 10 * US;
const SETTLE_AFTER_REPORT_US = 5 * US;
const SETTLED_US = 5_000;
/** Streams of one person further apart than this do not share a wall clock, whatever their reports say. */
const MAX_SPREAD_US = 1.5 * US;
/** An error larger than this is a new beginning and not to be slewed. More than MAX_SPREAD_US, so that no peer can cause one. */
const STEP_US = 2 * US;
/** A packet cannot be this much faster than the fastest before it: its timestamp jumped ahead. */
const JUMP_AHEAD_US = 2 * US;
/** A packet this much older than the newest is no late one: the timestamps jumped back. */
const JUMP_BACK_US = 10 * US;
/** Reports that move the stream's place on the sender's wall clock by more than this are a jump of one of the two. */
const REPORT_JUMP_US = 0.5 * US;
/** A stream that was silent this long is no longer kept among its person's. */
const FORGET_US = 60 * US;
const MAX_PIECES = 4;

/** What the streams of one person share. */
type Company = { streams: Set<StreamClock>; nowUs: number };

/** One per user: relates the streams of that user to each other and to our clock. */
export class ParticipantClock {
  readonly #company: Company;
  /** Those in use, and those of a saved state that nobody asked for yet. */
  readonly #streams = new Set<StreamClock>();

  /** @param state of another one, in whose place this one goes on */
  constructor(state?: ParticipantClockState) {
    this.#company = { streams: new Set(), nowUs: state?.nowUs ?? Number.NEGATIVE_INFINITY };
    for (const saved of state?.streams ?? []) {
      const stream = new StreamClock(saved, this.#company);
      this.#streams.add(stream);
      if (saved.lastSeenUs !== undefined) this.#company.streams.add(stream);
    }
  }

  /**
   * The clock of a stream; one of the saved state, of the same name and rate, goes on where it stood.
   * @param clockRate ticks per second of the stream's RTP timestamps
   * @param name what tells the stream from the user's others, such as the number of its track
   */
  addStream(clockRate: number, name = `${this.#streams.size}`): StreamClock {
    for (const stream of this.#streams) if (stream.name === name && stream.clockRate === clockRate) return stream;
    const added = new StreamClock(
      { name, clockRate, offsets: [], mappings: [], settling: true, pieces: [] },
      this.#company,
    );
    this.#streams.add(added);
    return added;
  }

  /** The stream has ended. For a while it still counts as one of its person's. */
  removeStream(stream: StreamClock): void {
    this.#streams.delete(stream);
  }

  /** For the clock of a recorder that goes on with this one's recording, from some packets before this moment. */
  save(): ParticipantClockState {
    const streams = new Set([...this.#streams, ...this.#company.streams]);
    return { nowUs: finite(this.#company.nowUs), streams: [...streams].map((stream) => stream.save()) };
  }
}

/** A stretch of timestamps without a jump. `correctionUs` plus media time is local time; undefined until first asked for. */
type Piece = { fromUs: number; correctionUs: number | undefined; lastUs: number };

/** What a stream's clock has found out. All in microseconds but the skew. */
export type ClockReading = {
  /** Whether sender reports place the stream, or arrival alone. */
  hasReports: boolean;
  /** Our clock less the sender's wall clock, by this stream's packets alone; undefined without reports or recent packets. */
  wallOffsetUs: number | undefined;
  /** The same by where the stream's media was last placed; undefined before it was used. */
  placedOffsetUs: number | undefined;
  /** Parts per million by which the sender counts faster than we do; undefined until there is enough to tell. */
  skewPpm: number | undefined;
  /** Over how long the skew was watched. */
  observedUs: number;
};

export class StreamClock {
  readonly name: string;
  readonly clockRate: number;
  readonly #company: Company;
  /** Arrival less media time of the packets. */
  readonly #offsets: SlidingMinimum;
  readonly #skew: ClockSkew;
  #highestUs: number | undefined;
  /** NTP time less media time by the latest reports, at most three. */
  #mappings: number[];
  /** A report that did not fit, until packets or another report bear it out. */
  #doubtful: number | undefined;
  #firstArrivalUs: number | undefined;
  #firstReportUs: number | undefined;
  #lastSeenUs: number;
  /** When the last came in that a saved state knows of. */
  readonly #savedUs: number;
  #settling: boolean;
  #pieces: Piece[];
  #latest: { mediaUs: number; localUs: number };

  /** Made by `ParticipantClock`. */
  constructor(state: StreamClockState, company: Company) {
    this.name = state.name;
    this.clockRate = state.clockRate;
    this.#company = company;
    this.#offsets = new SlidingMinimum(WINDOW_US, state.offsets);
    this.#skew = new ClockSkew(state.skew);
    this.#highestUs = state.highestUs;
    this.#mappings = [...state.mappings];
    this.#doubtful = state.doubtful;
    this.#firstArrivalUs = state.firstArrivalUs;
    this.#firstReportUs = state.firstReportUs;
    this.#lastSeenUs = state.lastSeenUs ?? Number.NEGATIVE_INFINITY;
    this.#savedUs = this.#lastSeenUs;
    this.#settling = state.settling;
    this.#pieces = state.pieces.map(({ fromUs, correctionUs, lastUs }) => ({
      fromUs: fromUs ?? Number.NEGATIVE_INFINITY,
      correctionUs,
      lastUs: lastUs ?? Number.NEGATIVE_INFINITY,
    }));
    this.#latest = state.latest
      ? { ...state.latest }
      : { mediaUs: Number.NEGATIVE_INFINITY, localUs: Number.NEGATIVE_INFINITY };
  }

  save(): StreamClockState {
    return {
      name: this.name,
      clockRate: this.clockRate,
      offsets: this.#offsets.save(),
      skew: this.#skew.save(),
      highestUs: this.#highestUs,
      mappings: [...this.#mappings],
      doubtful: this.#doubtful,
      firstArrivalUs: this.#firstArrivalUs,
      firstReportUs: this.#firstReportUs,
      lastSeenUs: finite(this.#lastSeenUs),
      settling: this.#settling,
      pieces: this.#pieces.map(({ fromUs, correctionUs, lastUs }) => ({
        fromUs: finite(fromUs),
        correctionUs,
        lastUs: finite(lastUs),
      })),
      latest: this.#latest.mediaUs === Number.NEGATIVE_INFINITY ? undefined : { ...this.#latest },
    };
  }

  /**
   * Takes note of a packet. What came before the clock was saved is noted already: a feed that is read again brings it twice.
   * @param rtpTime unwrapped ticks
   * @param arrivalUs monotonic microseconds
   */
  onPacket(rtpTime: number, arrivalUs: number): void {
    if (arrivalUs <= this.#savedUs) return;
    const mediaUs = this.#mediaUs(rtpTime);
    const offsetUs = arrivalUs - mediaUs;
    this.#advance(arrivalUs);
    this.#firstArrivalUs ??= arrivalUs;
    const least = this.#offsets.value;
    if (this.#pieces.length === 0) this.#begin(Number.NEGATIVE_INFINITY);
    else if (this.#highestUs !== undefined && mediaUs < this.#highestUs - JUMP_BACK_US) this.#resync(mediaUs, true);
    else if (least !== undefined && offsetUs < least - JUMP_AHEAD_US) this.#resync(mediaUs, false);
    if (this.#highestUs === undefined || mediaUs > this.#highestUs) this.#highestUs = mediaUs;
    this.#offsets.push(offsetUs, arrivalUs);
    this.#skew.push(offsetUs, arrivalUs);
  }

  /**
   * @param ntpUs the sender's wall time, microseconds of any epoch; 0 means that it has none (RFC 3550 §6.4.1)
   * @param rtpTime the same moment in unwrapped ticks
   * @param arrivalUs monotonic microseconds
   */
  onSenderReport(ntpUs: number, rtpTime: number, arrivalUs: number): void {
    if (ntpUs === 0 || arrivalUs <= this.#savedUs) return;
    const mediaUs = this.#mediaUs(rtpTime);
    const mapping = ntpUs - mediaUs;
    this.#advance(arrivalUs);
    if (this.#firstReportUs === undefined) {
      this.#firstReportUs = arrivalUs;
      this.#settling = true;
    }
    const known = this.#mapping();
    if (known === undefined || Math.abs(mapping - known) <= REPORT_JUMP_US) {
      this.#mappings = [...this.#mappings.slice(-2), mapping];
      this.#doubtful = undefined;
      return;
    }
    // Either the timestamps jumped, and packets that show it will follow, or the sender's wall clock was set.
    const least = this.#offsets.value;
    const isOnLine = least !== undefined && Math.abs(arrivalUs - mediaUs - least) < JUMP_AHEAD_US;
    const isBorneOut = this.#doubtful !== undefined && Math.abs(this.#doubtful - mapping) <= REPORT_JUMP_US;
    if (!isOnLine && !isBorneOut) {
      this.#doubtful = mapping;
      return;
    }
    this.#mappings = [mapping];
    this.#doubtful = undefined;
    if (!isOnLine) this.#offsets.clear();
  }

  /**
   * The moment on our monotonic clock, in whole microseconds, at which this media instant belongs. Growing timestamps give
   * growing moments. What was once asked for is taken as used: later corrections are slewed from there.
   * @throws Fault `invariant` before the stream's first packet
   */
  toLocalUs(rtpTime: number): number {
    return this.#place(this.#mediaUs(rtpTime), true);
  }

  /** What `toLocalUs` would return, without counting as use. For looking ahead at samples that wait. */
  peekLocalUs(rtpTime: number): number {
    return this.#place(this.#mediaUs(rtpTime), false);
  }

  /** Our clock less the sender's wall clock by this stream alone; undefined without reports or recent packets. */
  get wallOffsetUs(): number | undefined {
    const mapping = this.#mapping();
    const offset = this.#offsets.value;
    if (mapping === undefined || offset === undefined || !this.#offsets.isFresh(this.#company.nowUs)) return undefined;
    return offset - mapping;
  }

  /** What is known by now; nothing changes by asking. */
  reading(): ClockReading {
    const mapping = this.#mapping();
    const placed = this.#pieces.at(-1)?.correctionUs;
    return {
      hasReports: mapping !== undefined,
      wallOffsetUs: this.wallOffsetUs,
      placedOffsetUs: mapping === undefined || placed === undefined ? undefined : placed - mapping,
      skewPpm: this.#skew.ppm,
      observedUs: this.#skew.observedUs,
    };
  }

  #mediaUs(rtpTime: number): number {
    return (rtpTime * US) / this.clockRate;
  }

  #advance(arrivalUs: number): void {
    this.#lastSeenUs = Math.max(this.#lastSeenUs, arrivalUs);
    const company = this.#company;
    company.nowUs = Math.max(company.nowUs, arrivalUs);
    if (company.streams.has(this)) return;
    for (const stream of company.streams)
      if (stream.#lastSeenUs < company.nowUs - FORGET_US) company.streams.delete(stream);
    company.streams.add(this);
  }

  /** The median of the latest reports, as some senders' are off by how long the report waited to be sent. */
  #mapping(): number | undefined {
    const sorted = [...this.#mappings].sort((a, b) => a - b);
    return sorted.length === 2 ? (sorted[0]! + sorted[1]!) / 2 : sorted[sorted.length >> 1];
  }

  #begin(fromUs: number): void {
    this.#pieces.push({ fromUs, correctionUs: undefined, lastUs: Number.NEGATIVE_INFINITY });
    if (this.#pieces.length > MAX_PIECES) this.#pieces.shift();
  }

  /** The timestamps jumped. What is from before the jump keeps the correction that it had. */
  #resync(mediaUs: number, backwards: boolean): void {
    const former = this.#pieces.at(-1)!;
    former.correctionUs ??= this.#targetUs();
    if (backwards) {
      // Timestamps of before and after can no longer be told apart.
      this.#pieces = [];
      this.#latest = { mediaUs: Number.NEGATIVE_INFINITY, localUs: Number.NEGATIVE_INFINITY };
    }
    this.#begin(backwards ? Number.NEGATIVE_INFINITY : (this.#highestUs! + mediaUs) / 2);
    this.#highestUs = undefined;
    this.#offsets.clear();
    this.#skew.clear();
    this.#mappings = this.#doubtful === undefined ? [] : [this.#doubtful];
    this.#doubtful = undefined;
    this.#settling = true;
    this.#firstArrivalUs = this.#company.nowUs;
    this.#firstReportUs = undefined;
  }

  /** What has to be added to media time for local time, by all that is known now. */
  #targetUs(): number | undefined {
    const byArrival = this.#offsets.value;
    const own = this.wallOffsetUs;
    if (own === undefined) return byArrival;
    let fastest = own;
    for (const stream of this.#company.streams) {
      const other = stream.wallOffsetUs;
      if (other !== undefined && other < fastest && other >= own - MAX_SPREAD_US) fastest = other;
    }
    return this.#mapping()! + fastest;
  }

  #place(mediaUs: number, use: boolean): number {
    const newest = this.#pieces.at(-1);
    let piece = newest;
    for (let n = this.#pieces.length - 1; n >= 0; n--) {
      piece = this.#pieces[n];
      if (mediaUs >= piece!.fromUs) break;
    }
    const correctionUs = piece && (piece === newest ? this.#slewed(piece, mediaUs) : piece.correctionUs);
    if (!piece || correctionUs === undefined)
      throw new Fault('invariant', 'a stream clock was asked for a time before its first packet', { blame: 'self' });
    const isNewest = mediaUs >= this.#latest.mediaUs;
    let localUs = Math.round(mediaUs + correctionUs);
    if (isNewest) localUs = Math.max(localUs, this.#latest.localUs);
    if (use) {
      if (isNewest) this.#latest = { mediaUs, localUs };
      if (piece === newest && mediaUs > piece.lastUs) {
        piece.lastUs = mediaUs;
        piece.correctionUs = correctionUs;
        this.#settle(correctionUs);
      }
    }
    return localUs;
  }

  /** The correction at `mediaUs`, moved from the last used one towards the target as far as the slew allows. */
  #slewed(piece: Piece, mediaUs: number): number | undefined {
    const target = this.#targetUs();
    const current = piece.correctionUs;
    if (current === undefined || target === undefined) return current ?? target;
    if (mediaUs <= piece.lastUs) return current;
    const error = target - current;
    if (Math.abs(error) > STEP_US) return target;
    const limit = (mediaUs - piece.lastUs) * (this.#settling ? FAST : SLOW);
    return current + Math.max(-limit, Math.min(limit, error));
  }

  #settle(correctionUs: number): void {
    if (!this.#settling) return;
    const { nowUs } = this.#company;
    const sinceStart = nowUs - (this.#firstArrivalUs ?? nowUs);
    const sinceReport = this.#firstReportUs === undefined ? SETTLE_AFTER_REPORT_US : nowUs - this.#firstReportUs;
    const target = this.#targetUs();
    if (sinceStart < SETTLE_AFTER_START_US || sinceReport < SETTLE_AFTER_REPORT_US) return;
    if (target !== undefined && Math.abs(target - correctionUs) < SETTLED_US) this.#settling = false;
  }
}

/** JSON has no infinity. */
function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
