/**
 * What a recorder and the process that pushes for it tell each other. What is wanted, and what came of it, are messages
 * on the process's channel; samples come on its standard input, where they may be left out but hold up nothing else.
 */
import { z } from 'zod';
import { PUSH_STATUSES, pushTargetSchema } from '../../contract/line/push.ts';
import { Fault } from '../../kernel/fault.ts';
import type { EncodedSample } from '../../media/sample.ts';

const extradata = z.base64().transform((text) => Buffer.from(text, 'base64'));

/** Everything that is wanted, told again at each change. */
export const wantedSchema = z.object({
  streams: z.object({
    video: z.object({
      width: z.int(),
      height: z.int(),
      fps: z.number(),
      bitrateKbps: z.number(),
      extradata,
    }),
    audio: z.object({ sampleRate: z.int(), channels: z.int(), bitrateKbps: z.number(), extradata }),
  }),
  targets: z.array(pushTargetSchema),
  /** Addresses and ranges that may be pushed to besides public ones. */
  networks: z.array(z.string()),
  onhold: z.boolean(),
});
export type Wanted = z.input<typeof wantedSchema>;

const pushStateSchema = z.object({
  id: z.string(),
  status: z.enum(PUSH_STATUSES),
  /** Why it was disconnected last, in words. */
  why: z.string().optional(),
  /** How often its server has taken the stream. */
  connections: z.int(),
  /** Bytes of sound and picture. */
  sentBytes: z.int(),
  /** Bytes of sound and picture that were not sent, because the server was away or too slow. */
  droppedBytes: z.int(),
});
export type PushState = z.infer<typeof pushStateSchema>;

/** Sent each second, and at each change of a status. */
export const pushStatesSchema = z.array(pushStateSchema);

/** No sample comes near it: a picture of 1920x1080 has some hundred kilobytes. */
const MAX_SAMPLE = 32 * 1024 * 1024;
const HEADER = 21;
const VIDEO = 1;
const KEY = 2;

/**
 * A sample as bytes: their number, the kind, the times, the data. The duration is left out, as a push does not need it.
 */
export function sampleBytes({ kind, keyFrame, ptsUs, dtsUs, data }: EncodedSample): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(HEADER - 4 + data.length);
  header.writeUInt8((kind === 'video' ? VIDEO : 0) | (keyFrame ? KEY : 0), 4);
  header.writeDoubleBE(ptsUs, 5);
  header.writeDoubleBE(dtsUs, 13);
  return Buffer.concat([header, data]);
}

export class SampleReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** The samples that are complete now. Throws a Fault for malformed bytes. */
  read(bytes: Buffer): EncodedSample[] {
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    const samples: EncodedSample[] = [];
    for (let sample = this.#next(); sample; sample = this.#next()) samples.push(sample);
    return samples;
  }

  #next(): EncodedSample | undefined {
    if (this.#bytes < HEADER) return undefined;
    if (this.#chunks[0]!.length < 4) this.#join();
    const length = this.#chunks[0]!.readUInt32BE();
    if (length < HEADER - 4 || length > MAX_SAMPLE)
      throw new Fault('samples-malformed', 'what came is no sample', { blame: 'self' });
    if (this.#bytes < length + 4) return undefined;
    const all = this.#join();
    const rest = all.subarray(length + 4);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
    const flags = all.readUInt8(4);
    return {
      kind: flags & VIDEO ? 'video' : 'audio',
      keyFrame: (flags & KEY) !== 0,
      ptsUs: all.readDoubleBE(5),
      dtsUs: all.readDoubleBE(13),
      durationUs: 0,
      data: all.subarray(HEADER, length + 4),
    };
  }

  #join(): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
