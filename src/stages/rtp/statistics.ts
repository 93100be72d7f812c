/**
 * What a receiver knows of one source: lost packets, jitter, and the report block that tells them (RFC 3550 §A.1, A.3,
 * A.8).
 */
import { type HostUs, US } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReportBlock, SenderReport } from './rtcp.ts';
import { SequenceTracker } from './sequence.ts';

export class ReceptionStatistics {
  readonly ssrc: number;
  #tracker = new SequenceTracker();
  #firstExtended = 0;
  #extendedHighest = 0;
  #received = 0;
  #packets = 0;
  #bytes = 0;
  #lostInFormerRuns = 0;
  #expectedAtReport = 0;
  #receivedAtReport = 0;
  #jitterTicks = 0;
  #clockRate = 0;
  #latest: { timestamp: number; arrivalUs: HostUs } | undefined;
  #report: { middle: number; arrivalUs: HostUs } | undefined;

  /** @param ssrc the source of all packets that will be passed in */
  constructor(ssrc: number) {
    this.ssrc = ssrc;
  }

  /** How many packets came in, including duplicates and late ones. */
  get packets(): number {
    return this.#packets;
  }

  /** How many payload bytes came in. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many packets never came, in all runs of the source. Below zero when duplicates outnumber losses (§6.4.1). */
  get lost(): number {
    return this.#lostInFormerRuns + this.#lostInRun();
  }

  get jitterMs(): number {
    return this.#clockRate === 0 ? 0 : (this.#jitterTicks * 1000) / this.#clockRate;
  }

  /** @param clockRate ticks per second of the packet's payload type */
  onPacket(packet: Packet, clockRate: number): void {
    this.#packets++;
    this.#bytes += packet.payload.length;
    const before = this.#tracker.highest;
    const placement = this.#tracker.place(packet.sequence);
    if (placement.kind === 'stray') return;
    if (before === undefined || placement.restarted) this.#beginRun(packet.sequence, placement.restarted);
    const isNewest = before === undefined || placement.extended > before;
    if (isNewest && before !== undefined && !placement.restarted) this.#extendedHighest += placement.extended - before;
    this.#received++;
    if (isNewest) this.#measureJitter(packet, clockRate);
  }

  onSenderReport(report: SenderReport, arrivalUs: HostUs): void {
    const middle = (((report.ntp.seconds & 0xffff) << 16) | (report.ntp.fraction >>> 16)) >>> 0;
    this.#report = { middle, arrivalUs };
  }

  /** The block for the next report. Each call ends an interval of `fractionLost`. Undefined before the first packet. */
  reportBlock(nowUs: HostUs): ReportBlock | undefined {
    if (this.#received === 0) return undefined;
    const expected = this.#expected();
    const expectedInterval = expected - this.#expectedAtReport;
    const lostInterval = expectedInterval - (this.#received - this.#receivedAtReport);
    this.#expectedAtReport = expected;
    this.#receivedAtReport = this.#received;
    const fraction =
      expectedInterval <= 0 || lostInterval <= 0 ? 0 : Math.floor((lostInterval * 256) / expectedInterval);
    return {
      ssrc: this.ssrc,
      fractionLost: Math.min(255, fraction),
      // 24 bits, limited at both ends (§A.3).
      cumulativeLost: Math.max(-0x800000, Math.min(0x7fffff, this.#lostInRun())),
      extendedHighest: this.#extendedHighest >>> 0,
      jitter: Math.floor(this.#jitterTicks),
      lastSr: this.#report?.middle ?? 0,
      delaySinceLastSr: this.#report
        ? Math.min(0xffffffff, Math.max(0, Math.round(((nowUs - this.#report.arrivalUs) * 65536) / US)))
        : 0,
    };
  }

  /** As init_seq in §A.1. Two packets show a restart, so the first of them is counted too. */
  #beginRun(sequence: number, restarted: boolean): void {
    if (restarted) this.#lostInFormerRuns += this.#lostInRun();
    this.#extendedHighest = sequence;
    this.#firstExtended = restarted ? sequence - 1 : sequence;
    this.#received = restarted ? 1 : 0;
    this.#expectedAtReport = 0;
    this.#receivedAtReport = 0;
    this.#latest = undefined;
  }

  #expected(): number {
    return this.#extendedHighest - this.#firstExtended + 1;
  }

  #lostInRun(): number {
    return this.#received === 0 ? 0 : this.#expected() - this.#received;
  }

  /** §A.8, in floating point: J += (|D| - J) / 16, with D the change of transit time between two packets. */
  #measureJitter(packet: Packet, clockRate: number): void {
    const latest = this.#latest;
    if (latest && this.#clockRate === clockRate) {
      const sent = (packet.timestamp - latest.timestamp) | 0;
      const arrived = ((packet.arrivalUs - latest.arrivalUs) * clockRate) / US;
      const change = Math.abs(arrived - sent);
      // A jump of the timestamps is a new beginning, not jitter; counted, it would spoil the figure for minutes.
      if (change < clockRate * 10) this.#jitterTicks += (change - this.#jitterTicks) / 16;
    }
    this.#clockRate = clockRate;
    this.#latest = { timestamp: packet.timestamp, arrivalUs: packet.arrivalUs };
  }
}
