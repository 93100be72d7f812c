/** AudioLine: one received audio track, from RTP to decoded sound at its absolute place. */

import type { TrackState } from '../../contract/line/channel-state.ts';
import { type HostUs, type RecordingUs, type SenderUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { isStereoOpus } from '../../media/opus.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import { HeardSound } from '../../stages/codec/heard-sound.ts';
import { ReceivedTrack, type ReceivedTrackOptions } from '../tracks/received-track.ts';
import { saidChannels } from '../tracks/said-channels.ts';

/** How many packets may wait, 40 s of 20 ms each. */
const MAX_WAITING = 2000;

/**
 * Takes a sound that begins `startSample` samples from the recording's zero. Returns how many of its samples are not
 * recorded, because their place has been written.
 */
export type UseSound = (startSample: number, sound: Sound) => number;

export class AudioLine {
  readonly #received: ReceivedTrack;
  readonly #heard: HeardSound;
  readonly #isAsSent: boolean;
  #waiting: ReceivedSample[] = [];
  /** The last sample that was used, by this line or by the one that it continues. */
  #usedRtpTime: number | undefined;
  #dropped = 0;

  /** @param channels of the sound that is handed over; `asSent` means as many as the sender turns out to send */
  constructor(options: ReceivedTrackOptions, channels: 1 | 2 | 'asSent') {
    const { format } = options.track;
    if (format.kind !== 'audio') throw new TypeError('an AudioLine takes an audio track');
    this.#received = new ReceivedTrack(options);
    this.#usedRtpTime = options.state?.usedRtpTime;
    this.#isAsSent = channels === 'asSent';
    const first = channels === 'asSent' ? saidChannels(format) : channels;
    this.#heard = new HeardSound({ codec: format.codec, channels: first }, options.state?.endUs);
  }

  onRtp(packet: Packet): void {
    this.#received.onRtp(packet);
  }

  /** As of ReceivedTrack. */
  onSenderReport(ntpUs: SenderUs, rtpTimestamp: number, arrivalUs: HostUs): void {
    this.#received.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
  }

  /** Takes what the jitter buffer releases. Sound has no key frames to ask for. */
  poll(nowUs: HostUs): false {
    this.#enqueue(this.#received.take(nowUs).samples);
    return false;
  }

  flush(): void {
    this.#enqueue(this.#received.flush());
  }

  /** As of ReceivedTrack. */
  completeUs(nowUs: HostUs): RecordingUs | undefined {
    return this.#received.completeUs(nowUs, this.#waiting[0]);
  }

  /** The recording time of the first packet that waits, microseconds; undefined when none does. */
  firstWaitingUs(): RecordingUs | undefined {
    const first = this.#waiting[0];
    return first && this.#received.peekTimeOf(first);
  }

  /** Decodes what begins before `untilUs` of the recording and hands it over. */
  decodeUntil(untilUs: RecordingUs, use: UseSound): void {
    let due = 0;
    while (due < this.#waiting.length && this.#received.peekTimeOf(this.#waiting[due] as ReceivedSample) < untilUs)
      due++;
    for (const sample of this.#waiting.splice(0, due)) {
      if (this.#isAsSent && this.#heard.codec === 'opus' && isStereoOpus(sample.data)) this.#heard.widen();
      if (this.#usedRtpTime !== undefined && sample.rtpTime <= this.#usedRtpTime) {
        // The sample was heard already; but to go on from it the decoder must have decoded it too.
        this.#heard.prepare(sample.data);
        continue;
      }
      this.#usedRtpTime = sample.rtpTime;
      const { data, afterLoss } = sample;
      let leftOut = 0;
      const heard = this.#heard.decode({ data, ptsUs: this.#received.timeOf(sample), afterLoss }, (start, sound) => {
        leftOut += use(start, sound);
      });
      if (heard) this.#received.report?.onSound({ ...heard, afterLoss, unheardUs: (leftOut * US) / SOUND_RATE });
    }
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  save(): Omit<TrackState, 'track'> {
    const [usedRtpTime, endUs] = [this.#usedRtpTime, this.#heard.endUs];
    return {
      reception: this.#received.save(),
      ...(usedRtpTime === undefined ? {} : { usedRtpTime }),
      ...(endUs === undefined ? {} : { endUs }),
    };
  }

  close(): void {
    this.#waiting = [];
    this.#heard.close();
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
