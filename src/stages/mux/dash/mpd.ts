/**
 * The MPD of one user's recording (ISO/IEC 23009-1, contract §4.3): WebM slices of picture beside MP4 slices of sound.
 * Pure. Players choose one set of kinds for a whole presentation and stop where one of them is missing. So the MPD
 * holds only the stretches that have both; what lies between is in no Period, and the presentation goes on at once, as
 * at a discontinuity.
 */
import { type RecordingUs, utcStamp } from '../../../kernel/time.ts';
import type { RotateEvent, Segment } from '../../../media/segment.ts';
import type { MediaKind } from '../../../media/track.ts';

/**
 * Kinds that begin or end this close together count as doing so at the same time: players bear that, and it needs no
 * Period.
 */
const TOGETHER_US = 300_000;
/** Slices this close together follow each other. */
const JOINED_US = 100_000;
/** Namespace of our own elements in an MPD; players ignore what they do not know. */
const NAMESPACE = 'urn:aircheck:dash:2026';

type PlacedSlice = Segment & { startUs: RecordingUs };
/** Slices of one kind without a gap and of one form. */
type Run = {
  kind: MediaKind;
  codecs: string;
  size: RotateEvent | undefined;
  fromUs: RecordingUs;
  toUs: RecordingUs;
  slices: PlacedSlice[];
};
type Period = { fromUs: RecordingUs; toUs: RecordingUs; runs: Run[] };

/**
 * A static MPD that names the slices of `rows`: one row of pictures and one of sound in any order, each slice in order.
 * Slices without `startUs` are left out, because their place is unknown.
 */
export function renderMpd(rows: readonly (readonly Segment[])[]): string {
  const runs = rows.flatMap((row) => runsOf(row.filter(isPlaced)));
  const periods = periodsOf(runs);
  const told = new Set<Segment>();
  const totalUs = periods.reduce((sum, { fromUs, toUs }) => sum + toUs - fromUs, 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:full:2011" type="static"' +
      ` minBufferTime="PT2S" mediaPresentationDuration="${duration(totalUs)}">`,
    ...periods.flatMap((period, n) => [
      `  <Period id="${n}" duration="${duration(period.toUs - period.fromUs)}">`,
      ...period.runs.flatMap((run, i) => adaptationSet(run, period, i, told)),
      '  </Period>',
    ]),
    '</MPD>',
    '',
  ].join('\n');
}

function isPlaced(slice: Segment): slice is PlacedSlice {
  return slice.startUs !== undefined && slice.durationUs > 0;
}

function endOf({ startUs, durationUs }: PlacedSlice): number {
  return startUs + durationUs;
}

function runsOf(row: PlacedSlice[]): Run[] {
  const runs: Run[] = [];
  let size: RotateEvent | undefined;
  for (const slice of row) {
    const kind: MediaKind = slice.codecs?.video ? 'video' : 'audio';
    const codecs = codecsOf(slice);
    // The rotation told last before the slice's end holds for what follows; the slice's own pictures have the one told
    // first.
    const own = slice.rotations[0] ?? size;
    const last = runs.at(-1);
    const isSame = last?.codecs === codecs && last.size?.width === own?.width && last.size?.height === own?.height;
    if (last && isSame && slice.startUs - last.toUs <= JOINED_US) {
      last.slices.push(slice);
      last.toUs = Math.max(last.toUs, endOf(slice));
    } else runs.push({ kind, codecs, size: own, fromUs: slice.startUs, toUs: endOf(slice), slices: [slice] });
    size = slice.rotations.at(-1) ?? size;
  }
  return runs;
}

/**
 * As RFC 6381 says, as far as slices tell: profile and bit depth are those that WebRTC sends, and the level is high
 * enough for all.
 */
function codecsOf({ codecs }: Segment): string {
  switch (codecs?.video) {
    case 'vp8':
      return 'vp8';
    case 'vp9':
      return 'vp09.00.50.08';
    case 'av1':
      return 'av01.0.12M.08';
    default:
      return 'mp4a.40.2';
  }
}

/** The stretches in which all kinds of the recording are present. */
function periodsOf(runs: readonly Run[]): Period[] {
  const edges = edgesOf(runs);
  const periods = edges.slice(0, -1).flatMap((fromUs, n) => {
    const toUs = edges[n + 1]!;
    const isIn = (run: Run) => Math.min(run.toUs, toUs) - Math.max(run.fromUs, fromUs) > (toUs - fromUs) / 2;
    const present = runs.filter(isIn);
    return present.length > 0 ? [{ fromUs, toUs, runs: present }] : [];
  });
  const most = Math.max(...periods.map((period) => period.runs.length));
  const fullest = periods.find((period) => period.runs.length === most);
  const kindsOf = (period: Period) => period.runs.map(({ kind }) => kind).join();
  return periods.filter((period) => kindsOf(period) === kindsOf(fullest!));
}

/** Where runs begin or end. Those close together count as one: the first of them or, at the very end, the last. */
function edgesOf(runs: readonly Run[]): number[] {
  const edges = runs.flatMap(({ fromUs, toUs }) => [
    { atUs: fromUs, isEnd: false },
    { atUs: toUs, isEnd: true },
  ]);
  const groups: (typeof edges)[] = [];
  for (const edge of edges.sort((a, b) => a.atUs - b.atUs)) {
    const group = groups.at(-1);
    if (group && edge.atUs - group[0]!.atUs <= TOGETHER_US) group.push(edge);
    else groups.push([edge]);
  }
  // The whole recording may be shorter than the distance that counts as together.
  if (groups.length === 1) return [edges[0]!.atUs, edges.at(-1)!.atUs];
  return groups.map((group) => (group.every(({ isEnd }) => isEnd) ? group.at(-1)! : group[0]!).atUs);
}

function adaptationSet(run: Run, period: Period, id: number, told: Set<Segment>): string[] {
  const { kind, codecs, size } = run;
  const slices = run.slices.filter((slice) => slice.startUs < period.toUs && endOf(slice) > period.fromUs);
  const bitsPerS = Math.max(...slices.map(({ bytes, durationUs }) => Math.ceil((bytes * 8e6) / durationUs)));
  const dimensions = size ? ` width="${size.width}" height="${size.height}"` : '';
  const rate = kind === 'audio' ? ' audioSamplingRate="48000"' : '';
  return [
    `    <AdaptationSet id="${id}" contentType="${kind}" mimeType="${kind}/${kind === 'video' ? 'webm' : 'mp4'}"` +
      ` codecs="${codecs}" segmentAlignment="true" startWithSAP="1">`,
    `      <Representation id="${kind}" bandwidth="${bitsPerS}"${dimensions}${rate}>`,
    `        <SegmentList timescale="1000000" presentationTimeOffset="${period.fromUs}">`,
    `          <Initialization ${initialization(slices[0]!)}/>`,
    '          <SegmentTimeline>',
    ...timesIn(period, slices).map(({ fromUs, toUs }) => `            <S t="${fromUs}" d="${toUs - fromUs}"/>`),
    '          </SegmentTimeline>',
    ...slices.flatMap((slice) => segmentUrl(slice, told)),
    '        </SegmentList>',
    '      </Representation>',
    '    </AdaptationSet>',
  ];
}

/**
 * Every slice begins with a head of its own; the first one's serves all. When its length is unknown the whole slice
 * serves.
 */
function initialization({ name, headBytes }: PlacedSlice): string {
  const range = headBytes === undefined ? '' : ` range="0-${headBytes - 1}"`;
  return `sourceURL="${escaped(name)}"${range}`;
}

/**
 * The time in which each slice serves, without gaps, because a player would wait at the smallest gap that it is told
 * of.
 */
function timesIn(period: Period, slices: PlacedSlice[]): { fromUs: RecordingUs; toUs: RecordingUs }[] {
  return slices.map((slice, n) => ({
    fromUs: n === 0 ? Math.min(slice.startUs, period.fromUs) : slice.startUs,
    toUs: slices[n + 1]?.startUs ?? Math.max(endOf(slice), period.toUs),
  }));
}

/** A slice that is named twice, because a Period ends within it, gets the contract's information only once. */
function segmentUrl(slice: PlacedSlice, told: Set<Segment>): string[] {
  const notes: string[] = [];
  if (!told.has(slice)) {
    told.add(slice);
    const own = `xmlns="${NAMESPACE}"`;
    if (slice.discontinuity) notes.push(`<ExtDiscontinuity time="${utcStamp(slice.startUtcMs)}" ${own}/>`);
    for (const { width, height, rotate, utcMs } of slice.rotations)
      notes.push(
        `<ExtRotate width="${width}" height="${height}" rotate="${rotate}" time="${utcStamp(utcMs)}" ${own}/>`,
      );
  }
  const open = `          <SegmentURL media="${escaped(slice.name)}"`;
  if (notes.length === 0) return [`${open}/>`];
  return [`${open}>`, ...notes.map((note) => `            ${note}`), '          </SegmentURL>'];
}

/** Microseconds as an exact xs:duration. */
function duration(us: number): string {
  return `PT${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}S`;
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
