/**
 * Judges what the playlists of a recording that several nodes made leave out: of what two recorded at once they may
 * leave out a slice, but only where slices that they name have all of its time.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePlaylist } from './playlist.ts';
import { probeFile } from './probe.ts';

/** Less than half of a mark. */
const UNNOTICED_S = 0.05;

/** The time in a slice's name (contract §4.2: yyyyMMddHHmmssSSS, UTC), Unix seconds. */
export function namedS(path: string): number {
  const [, year, month, day, hour, minute, second, ms] =
    /_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})\.\w+$/.exec(path) ?? [];
  return Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second!, +ms!) / 1000;
}

/**
 * What is wrong, in words, with what the playlists in a folder leave out of the transport streams beside them.
 * @throws Error when one of them cannot be read
 */
export function leftOutIn(dir: string): string[] {
  const names = readdirSync(dir);
  return names
    .filter((name) => name.endsWith('.m3u8'))
    .flatMap((playlist) => {
      const { slices } = parsePlaylist(readFileSync(join(dir, playlist), 'utf8'));
      const named = slices.map(({ name, extinfS }) => ({ fromS: namedS(name), toS: namedS(name) + extinfS }));
      const isUnnamed = (name: string) => isOf(playlist, name) && slices.every((slice) => slice.name !== name);
      return names.filter(isUnnamed).flatMap((name) => {
        const lackS = lacking(spanOf(dir, name), named);
        return lackS > UNNOTICED_S
          ? [`${name} is stored and named nowhere, and ${lackS.toFixed(2)} s of it are in no other slice`]
          : [];
      });
    });
}

/** Whether a file is a slice of a playlist, by its name. */
function isOf(playlist: string, name: string): boolean {
  const base = playlist.slice(0, -'.m3u8'.length);
  return name.startsWith(base) && /^_\d{17}\.ts$/.test(name.slice(base.length));
}

type Span = { fromS: number; toS: number };

function spanOf(dir: string, name: string): Span {
  const { video, audio } = probeFile(join(dir, name));
  const kinds = [video, audio].flatMap((kind) => kind ?? []);
  const lengthS = Math.max(...kinds.map(({ endS }) => endS)) - Math.min(...kinds.map(({ startS }) => startS));
  return { fromS: namedS(name), toS: namedS(name) + lengthS };
}

/** How much of `whole` is in none of these, seconds. */
function lacking(whole: Span, spans: readonly Span[]): number {
  let [lackS, atS] = [0, whole.fromS];
  for (const { fromS, toS } of spans.toSorted((a, b) => a.fromS - b.fromS)) {
    lackS += Math.max(0, Math.min(fromS, whole.toS) - atS);
    atS = Math.max(atS, toS);
  }
  return lackS + Math.max(0, whole.toS - atS);
}
