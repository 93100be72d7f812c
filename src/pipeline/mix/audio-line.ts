/**
 * AudioLine: one received audio track, from RTP to sound in the mixer at its absolute place.
 */
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { Track } from '../../media/track.ts';
import { AudioDecoder } from '../../stages/codec/audio-decoder.ts';
import type { StreamClock } from '../../stages/rtp/sender-clock.ts';
import { TrackReception } from '../../stages/rtp/track-reception.ts';

/** Packets that may wait, 40 s of 20 ms each. */
const MAX_WAITING = 2000;
/** A lost stretch up to this long is concealed by the decoder; longer ones stay silent. */
const MAX_CONCEALED_US = 60_000;

export class AudioLine {
  readonly track: Track;
  readonly #reception: TrackReception;
  readonly #clock: StreamClock;
  readonly #decoder: AudioDecoder;
  readonly #zeroUs: number;
  #waiting: ReceivedSample[] = [];
  /** Where the last decoded sound ended, recording time. */
  #endUs: number | undefined;
  #dropped = 0;

  /** @param zeroUs the recording's zero on the monotonic clock, microseconds */
  constructor(track: Track, clock: StreamClock, channels: 1 | 2, zeroUs: number, maxGapUs: number) {
    if (track.format.kind !== 'audio') throw new TypeError('an AudioLine takes an audio track');
    this.track = track;
    this.#clock = clock;
    this.#zeroUs = zeroUs;
    this.#reception = new TrackReception({ format: track.format, maxDelayUs: maxGapUs });
    this.#decoder = new AudioDecoder({ channels });
  }

  onRtp(packet: Packet): void {
    const rtpTime = this.#reception.onRtp(packet);
    if (rtpTime !== undefined) this.#clock.onPacket(rtpTime, packet.arrivalUs);
  }

  /** @param ntpUs the sender's clock, microseconds @param rtpTimestamp the same instant as the track counts it, 32 bits */
  onSenderReport(ntpUs: number, rtpTimestamp: number, arrivalUs: number): void {
    this.#clock.onSenderReport(ntpUs, this.#reception.rtpTimeOf(rtpTimestamp), arrivalUs);
  }

  poll(nowUs: number): void {
    this.#enqueue(this.#reception.take(nowUs).samples);
  }

  flush(): void {
    this.#enqueue(this.#reception.flush());
  }

  /** The recording time of the first packet that waits, microseconds; undefined when none does. */
  firstWaitingUs(): number | undefined {
    const first = this.#waiting[0];
    return first && this.#peekTimeOf(first);
  }

  /** Decodes what begins before `untilUs` of the recording and hands it over with its start, in samples from the zero. */
  decodeUntil(untilUs: number, use: (startSample: number, sound: Sound) => void): void {
    let due = 0;
    while (due < this.#waiting.length && this.#peekTimeOf(this.#waiting[due] as ReceivedSample) < untilUs) due++;
    for (const sample of this.#waiting.splice(0, due)) {
      const startUs = this.#timeOf(sample);
      if (sample.afterLoss && this.#endUs !== undefined) {
        const gapUs = startUs - this.#endUs;
        if (gapUs > 1000 && gapUs <= MAX_CONCEALED_US) {
          use(samplesAt(this.#endUs), this.#decoder.conceal(gapUs));
        }
      }
      for (const { sound, ptsUs } of this.#decoder.decode({ data: sample.data, ptsUs: startUs })) {
        use(samplesAt(ptsUs), sound);
        this.#endUs = ptsUs + (sound.samples * 1_000_000) / SOUND_RATE;
      }
    }
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  close(): void {
    this.#waiting = [];
    this.#decoder.close();
  }

  /** Where a sample lies by what is known now. Only `#timeOf` settles it: what was not used yet may still be corrected at once. */
  #peekTimeOf(sample: ReceivedSample): number {
    return this.#clock.peekLocalUs(sample.rtpTime) - this.#zeroUs;
  }

  #timeOf(sample: ReceivedSample): number {
    return this.#clock.toLocalUs(sample.rtpTime) - this.#zeroUs;
  }

  #enqueue(samples: ReceivedSample[]): void {
    this.#waiting.push(...samples);
    const excess = this.#waiting.length - MAX_WAITING;
    if (excess > 0) {
      this.#waiting.splice(0, excess);
      this.#dropped += excess;
    }
  }
}

function samplesAt(us: number): number {
  return Math.round((us * SOUND_RATE) / 1_000_000);
}
