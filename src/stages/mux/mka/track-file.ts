/**
 * TrackFile: a Matroska file (RFC 9559) of several tracks of FLAC, each with a name, as audio editors open them.
 */
import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CHANNEL_LAYOUT_STEREO,
  AV_CODEC_ID_FLAC,
  AVMEDIA_TYPE_AUDIO,
} from 'node-av/constants';
import { Dictionary, FormatContext, Packet, Rational } from 'node-av/lib';
import type { EncodedSample } from '../../../media/sample.ts';
import { check, fillPacket, type MuxStream } from '../stream.ts';

export type SoundTrack = {
  name: string;
  sampleRate: number;
  channels: 1 | 2;
  /** The STREAMINFO block (RFC 9639 §8.2). */
  extradata: Buffer;
};

export class TrackFile {
  readonly #context = new FormatContext();
  readonly #packet = new Packet();
  readonly #streams: MuxStream[];
  #closed = false;

  /** Begins the file at `path`. Throws a Fault when it cannot be written. */
  constructor(path: string, tracks: readonly SoundTrack[]) {
    this.#packet.alloc();
    try {
      check(this.#context.allocOutputContext2(null, 'matroska', `file:${path}`), 'opening the Matroska muxer');
      this.#streams = tracks.map((track) => this.#add(track));
      check(this.#context.openOutputSync(), `creating ${path}`);
      check(this.#context.writeHeaderSync(), `starting ${path}`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Writes the next frames of all tracks: each track's frames in order, the tracks in any order. */
  write(frames: readonly { track: number; sample: EncodedSample }[]): void {
    for (const { track, sample } of frames.toSorted((a, b) => a.sample.ptsUs - b.sample.ptsUs)) {
      fillPacket(this.#packet, sample, this.#streams[track]!, 0);
      check(this.#context.writeFrameSync(this.#packet), 'writing sound');
    }
  }

  /** Ends the file. Only `close` may follow. */
  async finish(): Promise<void> {
    check(await this.#context.writeTrailer(), 'ending the file');
    await this.#context.closeOutput();
  }

  /** Frees everything native. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.closeOutputSync();
    this.#context.freeContext();
    this.#packet.free();
  }

  #add({ name, sampleRate, channels, extradata }: SoundTrack): MuxStream {
    const stream = this.#context.newStream(null);
    const { codecpar } = stream;
    codecpar.codecType = AVMEDIA_TYPE_AUDIO;
    codecpar.codecId = AV_CODEC_ID_FLAC;
    codecpar.sampleRate = sampleRate;
    codecpar.channelLayout = channels === 2 ? AV_CHANNEL_LAYOUT_STEREO : AV_CHANNEL_LAYOUT_MONO;
    codecpar.extradata = extradata;
    stream.timeBase = new Rational(1, sampleRate);
    using metadata = Dictionary.fromObject({ title: name });
    stream.metadata = metadata;
    return { stream, kind: 'audio' };
  }
}
