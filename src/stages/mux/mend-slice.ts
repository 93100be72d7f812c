/** Mends the slice that a dead recorder was writing: its whole part becomes a finished file. */

import { rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import type { StreamUs } from '../../kernel/time.ts';
import type { EntryPoint, FileCodecs } from '../../media/segment.ts';
import type { MediaKind } from '../../media/track.ts';
import { Fmp4Container } from './mp4/fmp4-container.ts';
import { probeSlice, readSamples, type SliceCodec } from './read-slices.ts';
import type { SliceContainer } from './slice-container.ts';
import { finishPart, partPath } from './spool-file.ts';
import type { Streams } from './stream.ts';
import { readEntryPoints } from './ts/entry-points.ts';
import { cutToPackets } from './ts/ts-slices.ts';
import { WebmContainer } from './webm/webm-container.ts';

export type MendedSlice = {
  /** Times of its samples, from the recording's zero. Those of a transport stream are modulo its 26.5 hours. */
  startUs: StreamUs;
  endUs: StreamUs;
  bytes: number;
  kinds: MediaKind[];
  codecs: FileCodecs;
  size: { width: number; height: number } | undefined;
  /** Of a transport stream. */
  entryPoints: EntryPoint[] | undefined;
};

/**
 * Finishes `<name>.part` in `dir` as `name`. A transport stream is whole wherever it ends; files of other containers
 * are written anew without the torn part.
 * @returns undefined, changing nothing, when none of it can be used. Throws a Fault when it cannot be written.
 */
export async function mendSlice(dir: string, name: string): Promise<MendedSlice | undefined> {
  const path = join(dir, name);
  const torn = partPath(path);
  if ((await stat(torn)).size === 0) return undefined;
  const found = { startUs: Number.POSITIVE_INFINITY, endUs: Number.NEGATIVE_INFINITY };
  const codecs = new Map<MediaKind, SliceCodec>();
  let streams: Streams;
  let anew: { container: SliceContainer; path: string } | undefined;
  try {
    streams = await probeOf(torn);
    if (!streams.video && !streams.audio) return undefined;
    const container = containerOf(name, streams);
    const shape = streams.video && { ...sizeOf(streams.video), rotate: 0 as const };
    if (container) {
      anew = { container, path: `${path}.mended` };
      container.begin(anew.path, shape);
    }
    for await (const sample of wholeSamples(torn)) {
      codecs.set(sample.kind, sample.codec);
      found.startUs = Math.min(found.startUs, sample.ptsUs);
      found.endUs = Math.max(found.endUs, sample.ptsUs + sample.durationUs);
      anew?.container.write(sample);
    }
    anew?.container.end(true, found.endUs);
  } catch (error) {
    // Too little was written to be a slice.
    if (error instanceof Fault && error.code === 'slice-unreadable') return undefined;
    throw error;
  } finally {
    anew?.container.close();
  }
  if (found.endUs <= found.startUs) return undefined;
  if (anew) await rename(anew.path, torn);
  else cutToPackets(torn);
  const [audio, video] = [codecs.get('audio'), codecs.get('video')] as [FileCodecs['audio'], FileCodecs['video']];
  const bytes = await finishPart(path);
  const isTs = name.endsWith('.ts');
  return {
    ...found,
    bytes,
    entryPoints: isTs ? await readEntryPoints(path, codecs.has('video') ? 'video' : 'audio') : undefined,
    kinds: [...codecs.keys()],
    codecs: { ...(audio && { audio }), ...(video && { video }) },
    size: video && streams.video && sizeOf(streams.video),
  };
}

function sizeOf({ width, height }: { width: number; height: number }): { width: number; height: number } {
  return { width, height };
}

/** Undefined for a file that need not be written anew. */
function containerOf(name: string, { video, audio }: Streams): SliceContainer | undefined {
  if (name.endsWith('.m4s') && audio) return new Fmp4Container(audio);
  if (name.endsWith('.webm') && video?.codec && video.codec !== 'h264') return new WebmContainer(video.codec);
  return undefined;
}

/** A slice that is torn within its first sample may end the search for its streams with any error. */
async function probeOf(path: string): Promise<Streams> {
  try {
    return await probeSlice(path);
  } catch (cause) {
    throw new Fault('slice-unreadable', `${path} is not a readable slice`, { blame: 'self', cause });
  }
}

/** The samples before the tear; a reader may report an error at the tear. */
async function* wholeSamples(path: string): ReturnType<typeof readSamples> {
  const samples = readSamples(path);
  for (;;) {
    let next: Awaited<ReturnType<typeof samples.next>>;
    try {
      next = await samples.next();
    } catch {
      return;
    }
    if (next.done) return;
    yield next.value;
  }
}
