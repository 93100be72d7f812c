/**
 * One track that a publisher sends: packets out, their history for those asked for again, sender reports, and the
 * feedback that comes back.
 */
import type nodeDataChannel from 'node-datachannel';
import type { TrackFormat } from '../../../src/media/track.ts';
import { parseCompound } from '../../../src/stages/rtp/rtcp.ts';
import { Packetizer } from '../packetize/packetizer.ts';
import type { Scene } from './scene.ts';

export type RtcTrack = ReturnType<InstanceType<typeof nodeDataChannel.PeerConnection>['addTrack']>;

/** From the NTP epoch (1900) to the Unix epoch (RFC 3550 §4), microseconds. */
const NTP_EPOCH_US = 2_208_988_800_000_000;
const HISTORY = 1024;
/** What the extensions for orientation and for the name of a simulcast's layer are offered as. */
export const ORIENTATION_ID = 9;
export const RID_ID = 10;

export type OutgoingOptions = {
  ssrc: number;
  offset: number;
  lossRate: number;
  /** False of a sender that answers no NACK. */
  resends?: boolean;
  onKeyFrameWanted?: () => void;
  /** The layer's name, of a simulcast. */
  rid?: string;
};

export class OutgoingTrack {
  #track: RtcTrack;
  readonly #format: TrackFormat;
  #ssrc: number;
  #packetizer: Packetizer;
  #offset: number;
  #lossRate: number;
  #history = new Map<number, Buffer>();
  #sentAny = false;
  #lastTicks = 0;
  readonly #options: OutgoingOptions;

  /** @param track more than one may send by it; it hands what comes back to `onFeedback` */
  constructor(track: RtcTrack, format: TrackFormat, options: OutgoingOptions) {
    this.#track = track;
    this.#format = format;
    this.#offset = options.offset;
    this.#lossRate = options.lossRate;
    this.#ssrc = options.ssrc;
    this.#packetizer = newPacketizer(format, this.#ssrc);
    this.#options = options;
  }

  /** Takes an RTCP packet of the receiver. Of a simulcast's layers each does what is asked of it. */
  onFeedback(message: Buffer): void {
    const { rid, resends, onKeyFrameWanted } = this.#options;
    const isForMe = (mediaSsrc: number) => rid === undefined || mediaSsrc === this.#ssrc;
    for (const packet of parseCompound(message)) {
      if (packet.type === 'pictureLossIndication' && isForMe(packet.mediaSsrc)) onKeyFrameWanted?.();
      if (packet.type === 'fullIntraRequest') onKeyFrameWanted?.();
      if (packet.type === 'nack' && isForMe(packet.mediaSsrc) && resends !== false) this.#resend(packet.sequences);
    }
  }

  /** Begins anew, with nothing in common with the packets before. */
  restart(): void {
    this.#ssrc = randomSsrc();
    this.#packetizer = newPacketizer(this.#format, this.#ssrc);
    this.#offset = randomSsrc();
    this.#history.clear();
    this.#sentAny = false;
  }

  /** Goes on as if the last `ticks` of time had not been: they leave no gap in the timestamps. */
  forget(ticks: number): void {
    this.#offset -= ticks;
  }

  /**
   * @param ticks media time in ticks of the track's clock
   * @param turn how the picture is to be turned, degrees; said on every packet where it is known
   */
  send(data: Buffer, ticks: number, turn?: Scene['turn']): void {
    this.#lastTicks = wrap(ticks + this.#offset);
    for (const datagram of this.#packetizer.packetize(data, this.#lastTicks, this.#extensions(turn)))
      this.#launch(datagram);
    this.#sentAny = true;
  }

  /** Sends a packet of padding, with the timestamp of the last that held something. */
  pad(): void {
    if (this.#sentAny) this.#launch(this.#packetizer.padding(this.#lastTicks, this.#extensions(undefined)));
  }

  /** Says that media time `ticks` is the wall time `nowUs`. */
  report(nowUs: number, ticks: number): void {
    if (this.#sentAny) this.#put(this.#packetizer.senderReport(nowUs + NTP_EPOCH_US, wrap(ticks + this.#offset)));
  }

  #extensions(turn: Scene['turn']): Map<number, Buffer> | undefined {
    const { rid } = this.#options;
    const extensions = new Map<number, Buffer>();
    if (turn !== undefined) extensions.set(ORIENTATION_ID, Buffer.of(turn / 90));
    if (rid !== undefined) extensions.set(RID_ID, Buffer.from(rid));
    return extensions.size > 0 ? extensions : undefined;
  }

  #launch(datagram: Buffer): void {
    const sequence = datagram.readUInt16BE(2);
    this.#history.set(sequence, datagram);
    this.#history.delete((sequence - HISTORY) & 0xffff);
    if (Math.random() >= this.#lossRate) this.#put(datagram);
  }

  #resend(sequences: readonly number[]): void {
    for (const sequence of sequences) {
      const datagram = this.#history.get(sequence);
      if (datagram) this.#put(datagram);
    }
  }

  #put(datagram: Buffer): void {
    if (this.#track.isOpen()) this.#track.sendMessageBinary(datagram);
  }
}

function newPacketizer(format: TrackFormat, ssrc: number): Packetizer {
  return new Packetizer({ format, ssrc, firstSequence: Math.floor(Math.random() * 0x8000), maxPayloadBytes: 1100 });
}

/** The low 32 bits of a number too large for bit operators. */
function wrap(ticks: number): number {
  return ((ticks % 0x100000000) + 0x100000000) % 0x100000000;
}

export function randomSsrc(): number {
  return Math.floor(Math.random() * 0xffffffff);
}
