/** withoutSpeaker: a file of every speaker without one of them. The others' frames are copied as they are. */
import { AV_NOPTS_VALUE, AVERROR_EOF } from 'node-av/constants';
import { FormatContext, InputFormat, Packet, type Stream } from 'node-av/lib';
import { withoutSpeakerCommandSchema } from '../../../contract/line/without-speaker.ts';
import { Fault } from '../../../kernel/fault.ts';
import { rescale, US } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import { finishPart, partPath } from '../spool-file.ts';
import { check } from '../stream.ts';
import { TrackFile } from './track-file.ts';

/**
 * Writes `output` and resolves to how many tracks it has; nothing is written where none is left. Throws a ZodError for
 * an invalid command, and a Fault: `speakers-unreadable` where what is in the file cannot be read, however often it is
 * tried, and others where it cannot be opened or written now, as on a full disk.
 * @param command a WithoutSpeakerCommand
 */
export async function withoutSpeaker(command: unknown): Promise<number> {
  const { input, output, uid } = withoutSpeakerCommandSchema.parse(command);
  using source = await TrackSource.open(input);
  const kept = source.streams.filter((stream) => nameOf(stream) !== uid);
  if (kept.length === 0) return 0;
  const file = new TrackFile(
    partPath(output),
    kept.map((stream) => {
      const { sampleRate, channels, extradata } = stream.codecpar;
      const streamInfo = Buffer.from(extradata ?? []);
      return { name: nameOf(stream), sampleRate, channels: channels === 2 ? 2 : 1, extradata: streamInfo };
    }),
  );
  try {
    const tracks = new Map(kept.map((stream, track) => [stream.index, track]));
    for await (const { index, ...sample } of source.frames()) {
      const track = tracks.get(index);
      if (track !== undefined) file.write([{ track, sample: { kind: 'audio', keyFrame: true, ...sample } }]);
    }
    await file.finish();
  } finally {
    file.close();
  }
  await finishPart(output);
  return kept.length;
}

/** The system's errors, which may pass, are small numbers; FFmpeg's own, which tell of the content, four letters. */
const LEAST_OF_SYSTEM = -0xffff;

function checkRead(code: number, what: string): void {
  if (code >= LEAST_OF_SYSTEM) {
    check(code, what);
    return;
  }
  throw new Fault('speakers-unreadable', `${what}: it is no readable file of speakers (FFmpeg returned ${code})`, {
    blame: 'self',
  });
}

function nameOf(stream: Stream): string {
  return stream.metadata?.get('title') ?? '';
}

type SourceFrame = Pick<EncodedSample, 'ptsUs' | 'dtsUs' | 'durationUs' | 'data'> & { index: number };

/** An open file of every speaker. */
class TrackSource implements Disposable {
  readonly #context: FormatContext;

  private constructor(context: FormatContext) {
    this.#context = context;
  }

  static async open(path: string): Promise<TrackSource> {
    const context = new FormatContext();
    try {
      const matroska = InputFormat.findInputFormat('matroska');
      checkRead(await context.openInput(`file:${path}`, matroska, null), `opening ${path}`);
      checkRead(await context.findStreamInfo(null), `reading ${path}`);
    } catch (error) {
      context.closeInputSync();
      throw error;
    }
    return new TrackSource(context);
  }

  get streams(): Stream[] {
    return [...this.#context.streams];
  }

  async *frames(): AsyncGenerator<SourceFrame> {
    const bases = new Map(this.streams.map(({ index, timeBase }) => [index, timeBase]));
    using packet = new Packet();
    packet.alloc();
    for (;;) {
      const code = await this.#context.readFrame(packet);
      if (code === AVERROR_EOF) return;
      checkRead(code, 'reading a file of speakers');
      const { streamIndex, pts, duration, data } = packet;
      const base = bases.get(streamIndex);
      if (base && data && pts !== AV_NOPTS_VALUE) {
        const us = (ticks: bigint) => rescale(Number(ticks) * base.num, base.den, US);
        const ptsUs = us(pts);
        yield { index: streamIndex, ptsUs, dtsUs: ptsUs, durationUs: us(duration), data: Buffer.from(data) };
      }
      packet.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#context.closeInputSync();
  }
}
