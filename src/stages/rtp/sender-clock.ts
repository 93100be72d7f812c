/**
 * The place of a sender's media on our monotonic clock, so that sound and picture of one person keep their true
 * relation. The sender reports of each stream tell how its media lies on the sender's wall clock (RFC 3550 §6.4.1); one
 * offset per person leads from there to our clock. Streams without reports are placed by arrival. Drift is slewed,
 * jumps are stepped.
 */
import type { ParticipantClockState, StreamClockState } from '../../contract/line/reception-state.ts';
import { Fault } from '../../kernel/fault.ts';
import { type HostUs, type MediaUs, type RtpTicks, type SenderUs, US } from '../../kernel/time.ts';
import { ClockSkew } from './clock-skew.ts';
import { MediaLine } from './media-line.ts';
import { SlidingMinimum } from './sliding-minimum.ts';
import { FIT_US, WallClock } from './wall-clock.ts';

/** The least delay within this window counts, so that jitter moves nothing. */
const WINDOW_US = 10 * US;
/** A silence, or a receiver that stood still, ages what is known of the delay by at most this. */
const PAUSE_US = US;
/** Slew per second of media: inaudible and invisible, yet ten times the worst skew of a crystal. */
const SLOW = 0.005;
/** Slew while a stream settles: after its start and after its first report. */
const FAST = 0.05;
const SETTLE_AFTER_START_US = 10 * US;
const SETTLE_AFTER_REPORT_US = 5 * US;
const SETTLED_US = 5_000;
/** Streams of one person that are further apart than this do not share a wall clock, whatever their reports say. */
const MAX_SPREAD_US = 1.5 * US;
/** A larger error than this is stepped: slewing it would be heard for long, as another pitch. */
const STEP_US = 80_000;
/**
 * The same limit while a stream settles; it exceeds MAX_SPREAD_US, so that every stream is slewed to the person's
 * others.
 */
const SETTLING_STEP_US = 2 * US;
/** Until this much of a stream is known, packets cannot be called late. */
const KNOWN_US = US;
/**
 * Packets that came this much earlier than any before count for the person's other streams only once a report shows
 * that they are not miscounted.
 */
const UNPROVEN_US = 30_000;
/** A sender that has not reported for this long no longer does. */
const REPORTS_END_US = 15 * US;
/**
 * How long packets must have been late until their sender counts as having stalled: when other packets of the person
 * were on time, when the sender sends no reports, and when a report that would tell is still to come.
 */
const STALLED_AFTER_US = { othersOnTime: 1.5 * US, noReports: 0.7 * US, noOthers: 3 * US };
/**
 * Media that is used this long after it came in, and is this late, was more likely stalled than delayed by a network.
 */
const SUPPOSED_AFTER_US = 700_000;
const SUPPOSED_US = 300_000;
/** When other streams were on time, reports count for media that came late this long after the lateness began. */
const HELD_BACK_US = 300_000;
/** A stream that was silent for this long no longer counts among its person's. */
const FORGET_US = 60 * US;

/** What the streams of one person share. */
type Company = { streams: Set<StreamClock>; nowUs: HostUs };

/** One per user: relates the streams of that user to each other and to our clock. */
export class ParticipantClock {
  readonly #company: Company;
  /** Those in use, and those of a saved state that nobody has asked for yet. */
  readonly #streams = new Set<StreamClock>();

  /** @param state of another one that this one continues */
  constructor(state?: ParticipantClockState) {
    this.#company = { streams: new Set(), nowUs: state?.nowUs ?? Number.NEGATIVE_INFINITY };
    for (const saved of state?.streams ?? []) {
      const stream = new StreamClock(saved, this.#company);
      this.#streams.add(stream);
      if (saved.lastSeenUs !== undefined) this.#company.streams.add(stream);
    }
  }

  /**
   * The clock of a stream; one from the saved state with the same name and rate goes on from there.
   * @param clockRate ticks per second of the stream's RTP timestamps
   * @param name tells the stream from the user's others, such as the number of its track
   */
  addStream(clockRate: number, name = `${this.#streams.size}`): StreamClock {
    for (const stream of this.#streams) if (stream.name === name && stream.clockRate === clockRate) return stream;
    const added = new StreamClock({ name, clockRate, offsets: [], settling: true }, this.#company);
    this.#streams.add(added);
    return added;
  }

  /** The stream has ended. For a while it still counts among its person's. */
  removeStream(stream: StreamClock): void {
    this.#streams.delete(stream);
  }

  /** The state for the clock of another run that continues this recording, from some packets before this moment. */
  save(): ParticipantClockState {
    const streams = new Set([...this.#streams, ...this.#company.streams]);
    return { nowUs: finite(this.#company.nowUs), streams: [...streams].map((stream) => stream.save()) };
  }
}

/** What is known of a stream's clock. All in microseconds except the skew. */
export type ClockReading = {
  /** Whether sender reports place the stream, or only its arrival. */
  hasReports: boolean;
  /**
   * Our clock minus the sender's wall clock, by this stream's packets alone; undefined without reports or recent
   * packets.
   */
  wallOffsetUs: number | undefined;
  /** The same by the last place of the stream's media; undefined before it was used. */
  placedOffsetUs: number | undefined;
  /** Parts per million by which the sender counts faster than we do; undefined until enough has been seen. */
  skewPpm: number | undefined;
  /** For how long the skew was watched. */
  observedUs: number;
};

export class StreamClock {
  readonly name: string;
  readonly clockRate: number;
  readonly #company: Company;
  readonly #line: MediaLine;
  readonly #wall: WallClock;
  /** Arrival minus place on the line, of the packets. */
  readonly #offsets: SlidingMinimum;
  readonly #skew: ClockSkew;
  #highestUs: MediaUs | undefined;
  #firstArrivalUs: HostUs | undefined;
  #firstReportUs: HostUs | undefined;
  #lastReportUs: HostUs | undefined;
  #lastSeenUs: HostUs;
  /**
   * When the last packet came in that was newer than all before it, and when the last of those came that was on time.
   */
  #newestUs: HostUs | undefined;
  #onTimeUs: HostUs | undefined;
  /** The least offset when the latest report came. */
  #provenUs: number | undefined;
  #settling: boolean;
  /** What was last added to a place on the line to get local time. */
  #correctionUs: number | undefined;
  #latest: { mediaUs: MediaUs; localUs: HostUs } | undefined;
  /** When the last packet came in that a saved state includes. */
  readonly #savedUs: HostUs;

  /** Made by `ParticipantClock`. */
  constructor(state: StreamClockState, company: Company) {
    this.name = state.name;
    this.clockRate = state.clockRate;
    this.#company = company;
    this.#line = new MediaLine(state.line);
    this.#wall = new WallClock(state.wall);
    this.#offsets = new SlidingMinimum(WINDOW_US, state.offsets, { pauseUs: PAUSE_US });
    this.#skew = new ClockSkew(state.skew);
    this.#highestUs = state.highestUs;
    this.#firstArrivalUs = state.firstArrivalUs;
    this.#firstReportUs = state.firstReportUs;
    this.#lastReportUs = state.lastReportUs;
    this.#lastSeenUs = state.lastSeenUs ?? Number.NEGATIVE_INFINITY;
    this.#newestUs = state.newestUs;
    this.#onTimeUs = state.onTimeUs;
    this.#provenUs = state.provenUs;
    this.#settling = state.settling;
    this.#correctionUs = state.correctionUs;
    this.#latest = state.latest && { ...state.latest };
    this.#savedUs = this.#lastSeenUs;
  }

  save(): StreamClockState {
    return {
      name: this.name,
      clockRate: this.clockRate,
      line: this.#line.save(),
      wall: this.#wall.save(),
      offsets: this.#offsets.save(),
      skew: this.#skew.save(),
      highestUs: this.#highestUs,
      firstArrivalUs: this.#firstArrivalUs,
      firstReportUs: this.#firstReportUs,
      lastReportUs: this.#lastReportUs,
      lastSeenUs: finite(this.#lastSeenUs),
      newestUs: this.#newestUs,
      onTimeUs: this.#onTimeUs,
      provenUs: this.#provenUs,
      settling: this.#settling,
      correctionUs: this.#correctionUs,
      latest: this.#latest && { ...this.#latest },
    };
  }

  /**
   * Takes note of a packet. Packets from before the clock was saved are included already: a feed that is read again
   * brings them twice.
   * @param rtpTime unwrapped ticks
   * @param arrivalUs monotonic microseconds
   */
  onPacket(rtpTime: RtpTicks, arrivalUs: HostUs): void {
    if (arrivalUs <= this.#savedUs) return;
    const mediaUs = this.#mediaUs(rtpTime);
    this.#advance(arrivalUs);
    this.#firstArrivalUs ??= arrivalUs;
    if (this.#highestUs === undefined || mediaUs > this.#highestUs) {
      this.#highestUs = mediaUs;
      this.#newestUs = arrivalUs;
      const base = arrivalUs - this.#firstArrivalUs >= KNOWN_US ? this.#offsets.value : undefined;
      if (this.#line.onPacket(mediaUs, arrivalUs, arrivalUs - this.#line.at(mediaUs), base)) this.#onTimeUs = arrivalUs;
      this.#line.settle(arrivalUs, this.#stalledAfterUs(arrivalUs));
      const fall = this.#line.settleFall(arrivalUs, this.#reports(arrivalUs) ? Infinity : STALLED_AFTER_US.noReports);
      if (fall) this.#offsets.raise(fall.sinceUs, fall.byUs);
    }
    const offsetUs = arrivalUs - this.#line.at(mediaUs);
    this.#offsets.push(offsetUs, arrivalUs);
    this.#skew.push(offsetUs, arrivalUs);
  }

  /**
   * @param ntpUs the sender's wall time, microseconds of any epoch; 0 means that the sender has none (RFC 3550 §6.4.1)
   * @param rtpTime the same moment in unwrapped ticks
   * @param arrivalUs monotonic microseconds
   */
  onSenderReport(ntpUs: SenderUs, rtpTime: RtpTicks, arrivalUs: HostUs): void {
    if (ntpUs === 0 || arrivalUs <= this.#savedUs) return;
    const mediaUs = this.#mediaUs(rtpTime);
    this.#advance(arrivalUs);
    if (this.#wall.standsStill(ntpUs, this.#line.at(mediaUs))) return;
    const formerUs = this.#lastReportUs ?? Number.NEGATIVE_INFINITY;
    this.#lastReportUs = arrivalUs;
    if (this.#firstReportUs === undefined) {
      this.#firstReportUs = arrivalUs;
      this.#settling = true;
    }
    const stepUs = this.#wall.difference(ntpUs, this.#line.at(mediaUs));
    const suspectUs = this.#line.suspectSinceUs;
    if (Math.abs(stepUs) > FIT_US) {
      // While nothing is sent, a clock that stands still cannot be told from one that is wrong.
      if (this.#newestUs !== undefined && this.#newestUs < formerUs) return;
      const step = this.#line.onReport(stepUs);
      if (step && stepUs < 0) this.#offsets.raise(step.sinceUs, -stepUs);
    } else if (suspectUs !== undefined && arrivalUs - suspectUs > HELD_BACK_US) this.#line.deny();
    else this.#excuse(arrivalUs, mediaUs);
    this.#wall.add(ntpUs, this.#line.at(mediaUs), this.#isTrusted());
    this.#provenUs = this.#offsets.value;
  }

  /**
   * The moment on our monotonic clock, in whole microseconds, to which this media instant belongs. Growing timestamps
   * give growing moments. What was asked for counts as used, and later corrections go on from there.
   * @throws Fault `invariant` before the stream's first packet
   */
  toLocalUs(rtpTime: RtpTicks): HostUs {
    const mediaUs = this.#mediaUs(rtpTime);
    const supposedUs = this.#line.supposedUs(mediaUs, this.#company.nowUs, SUPPOSED_AFTER_US, this.#supposedUs());
    const correctionUs = this.#correction(mediaUs);
    const isNewest = !this.#latest || mediaUs >= this.#latest.mediaUs;
    const placedUs = Math.round(this.#line.at(mediaUs) + supposedUs + correctionUs);
    if (!isNewest) return placedUs;
    const localUs = this.#latest ? Math.max(placedUs, this.#latest.localUs) : placedUs;
    this.#latest = { mediaUs, localUs };
    this.#correctionUs = correctionUs;
    this.#settle(correctionUs);
    return localUs;
  }

  /** What `toLocalUs` would return for a sample that waits until its time comes; it does not count as use. */
  peekLocalUs(rtpTime: RtpTicks): HostUs {
    const mediaUs = this.#mediaUs(rtpTime);
    // By then it will be known whether sudden lateness came from a stall; if not, the sample is due earlier.
    return this.#peek(mediaUs, this.#line.supposedUs(mediaUs, this.#company.nowUs, 0, this.#supposedUs()));
  }

  /** Whether it will be known soon if a sample was late on its way or its sender had stalled, which moves its place. */
  isUnsure(rtpTime: RtpTicks): boolean {
    return this.#line.supposedUs(this.#mediaUs(rtpTime), this.#company.nowUs, 0) > 0;
  }

  /** The earliest moment that `toLocalUs` may yet return. */
  earliestLocalUs(rtpTime: RtpTicks): HostUs {
    return this.#peek(this.#mediaUs(rtpTime), 0);
  }

  /** Our clock minus the sender's wall clock by this stream alone; undefined without reports or recent packets. */
  get wallOffsetUs(): number | undefined {
    const mapping = this.#wall.mappingUs;
    const offset = this.#offsets.value;
    if (mapping === undefined || offset === undefined || !this.#offsets.isFresh(this.#company.nowUs)) return undefined;
    return Math.max(offset, (this.#provenUs ?? offset) - UNPROVEN_US) - mapping;
  }

  /** What is known now; asking changes nothing. */
  reading(): ClockReading {
    const mapping = this.#wall.mappingUs;
    const placed = this.#correctionUs;
    // A stream that the person's others contradict does not place anything and tells nothing.
    const isBelieved = this.#isTrusted() || (this.#wall.isConfirmed && !this.#isContradicted());
    return {
      hasReports: mapping !== undefined && isBelieved,
      wallOffsetUs: isBelieved ? this.wallOffsetUs : undefined,
      placedOffsetUs: mapping === undefined || placed === undefined ? undefined : placed - mapping,
      skewPpm: this.#skew.ppm,
      observedUs: this.#skew.observedUs,
    };
  }

  #mediaUs(rtpTime: RtpTicks): MediaUs {
    return (rtpTime * US) / this.clockRate;
  }

  #advance(arrivalUs: HostUs): void {
    this.#lastSeenUs = Math.max(this.#lastSeenUs, arrivalUs);
    const company = this.#company;
    company.nowUs = Math.max(company.nowUs, arrivalUs);
    if (company.streams.has(this)) return;
    for (const stream of company.streams)
      if (stream.#lastSeenUs < company.nowUs - FORGET_US) company.streams.delete(stream);
    company.streams.add(this);
  }

  /** A report that is late itself tells that so much of what is late was late on its way, with all of the person's. */
  #excuse(arrivalUs: HostUs, mediaUs: MediaUs): void {
    const base = this.#offsets.value;
    if (base === undefined) return;
    const lateUs = arrivalUs - this.#line.at(mediaUs) - base;
    if (lateUs > SUPPOSED_US) for (const stream of this.#company.streams) stream.#line.deny(lateUs);
  }

  #reports(nowUs: HostUs): boolean {
    return this.#lastReportUs !== undefined && nowUs - this.#lastReportUs < REPORTS_END_US;
  }

  #stalledAfterUs(nowUs: HostUs): number {
    if (!this.#reports(nowUs)) return STALLED_AFTER_US.noReports;
    const sinceUs = this.#line.suspectSinceUs ?? nowUs;
    // This is asked for with every packet, so it makes no list.
    for (const stream of this.#company.streams)
      if (stream !== this && (stream.#onTimeUs ?? sinceUs) > sinceUs + HELD_BACK_US)
        return STALLED_AFTER_US.othersOnTime;
    return STALLED_AFTER_US.noOthers;
  }

  #supposedUs(): number {
    return this.#reports(this.#company.nowUs) ? SUPPOSED_US : 0;
  }

  /** Whether another stream of the person tells the same time, which nonsense never does. */
  #isTrusted(): boolean {
    const own = this.wallOffsetUs;
    return own !== undefined && this.#otherOffsets().some((other) => Math.abs(other - own) <= MAX_SPREAD_US);
  }

  /** Whether other streams of the person, each with more than one report, all tell another time. */
  #isContradicted(): boolean {
    const hasOther = [...this.#company.streams].some(
      (stream) => stream !== this && stream.#wall.isConfirmed && stream.wallOffsetUs !== undefined,
    );
    return hasOther && !this.#isTrusted();
  }

  #otherOffsets(): number[] {
    const others = [...this.#company.streams].filter((stream) => stream !== this);
    return others.flatMap((stream) => stream.wallOffsetUs ?? []);
  }

  /** What must be added to a place on the line to get local time, by everything that is known now. */
  #targetUs(): number | undefined {
    const byArrival = this.#offsets.value;
    const own = this.wallOffsetUs;
    if (own === undefined) return byArrival;
    let fastest = own;
    // This is asked for many times a frame, so it makes no lists.
    for (const stream of this.#company.streams) {
      const other = stream === this ? undefined : stream.wallOffsetUs;
      if (other !== undefined && other < fastest && other >= own - MAX_SPREAD_US) fastest = other;
    }
    return this.#wall.mappingUs! + fastest;
  }

  #peek(mediaUs: MediaUs, supposedUs: number): number {
    const localUs = Math.round(this.#line.at(mediaUs) + supposedUs + this.#correction(mediaUs));
    return this.#latest && mediaUs >= this.#latest.mediaUs ? Math.max(localUs, this.#latest.localUs) : localUs;
  }

  /** The correction at `mediaUs`: from the last one used towards the target, as far as the slew allows. */
  #correction(mediaUs: MediaUs): number {
    const target = this.#targetUs();
    const current = this.#correctionUs;
    if (current === undefined || target === undefined) {
      const known = current ?? target;
      if (known !== undefined) return known;
      throw new Fault('invariant', 'a stream clock was asked for a time before its first packet', { blame: 'self' });
    }
    const passedUs = mediaUs - (this.#latest?.mediaUs ?? mediaUs);
    if (passedUs <= 0) return current;
    const error = target - current;
    if (Math.abs(error) > (this.#settling ? SETTLING_STEP_US : STEP_US)) return target;
    const limit = passedUs * (this.#settling ? FAST : SLOW);
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
