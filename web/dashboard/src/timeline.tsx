/** Timeline: who was there when, and what is wrong with what came of them, from the quality report. */
import type { QualityReport } from './api.ts';
import { Axis, Played } from './axis.ts';
import { seconds, span } from './format.ts';
import { type Chosen, ChosenStretch, useChoosing } from './stretch.tsx';

type Participant = QualityReport['participants'][number];
type Track = Participant['tracks'][number];
/** Milliseconds from the recording's zero. */
type Stretch = { fromMs: number; untilMs: number; look: string; text: string };
type Seek = ((s: number) => void) | undefined;
type Props = {
  report: QualityReport;
  atS: number;
  seek: Seek;
  chosen: Chosen | undefined;
  onChosen(chosen: Chosen): void;
};

const GAPS: Record<Track['gaps'][number]['why'], [look: string, text: string]> = {
  notSent: ['muted', 'muted'],
  networkLoss: ['bad', 'nothing came: lost on the way'],
  delayed: ['bad', 'nothing came: late'],
  restarted: ['bad', 'nothing came: the sender began anew'],
  left: ['muted', 'nothing more came, then the user left'],
  ended: ['muted', 'nothing more came, then the track ended'],
  open: ['muted', 'nothing comes'],
};
const FREEZES = {
  loss: ['bad', 'picture frozen by loss'],
  damage: ['bad', 'picture frozen by damage'],
  nothingSent: ['still', 'no picture sent'],
} as const;
const MOST_NOTES = 200;

export function Timeline(props: Props) {
  const { filesFromMs, endedMs, measuredMs } = props.report;
  const endMs = endedMs ?? measuredMs;
  if (filesFromMs === null || endMs <= filesFromMs) return null;
  return <Lanes {...props} filesFromMs={filesFromMs} endMs={endMs} />;
}

function Lanes(props: Props & { filesFromMs: number; endMs: number }) {
  const { report, atS, seek, chosen, onChosen, filesFromMs, endMs } = props;
  const { participants } = report;
  const axis = new Axis(filesFromMs, endMs);
  const played = new Played(report, filesFromMs, endMs);
  const holds = holdsOf(report, endMs);
  const overall = [...holds, ...stepsOf(report, endMs)];
  const rows = participants.map((participant) => ({ participant, ...stretchesOf(participant, endMs) }));
  const notes = [
    ...overall,
    ...rows.flatMap(({ participant, trouble }) => trouble.map((each) => ({ ...each, uid: participant.uid }))),
  ]
    .toSorted((a, b) => a.fromMs - b.fromMs)
    .slice(0, MOST_NOTES) as (Stretch & { uid?: string })[];
  const choosing = useChoosing({
    atShare: (share) => played.secondsAt(axis.atShare(share)),
    onClick: seek,
    onChosen,
  });
  return (
    <section class="card" aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      <p class="legend" aria-hidden="true">
        <span class="key there" /> there <span class="key sound" /> sound <span class="key picture" /> picture{' '}
        <span class="key muted" /> muted <span class="key still" /> stands still <span class="key bad" /> lost or frozen{' '}
        <span class="key hold" /> on hold
      </p>
      <div class={`lanes ${seek ? 'seekable' : ''}`} role="presentation">
        <div class="names">
          <span class="ruler" />
          {overall.length > 0 && <span>Recording</span>}
          {rows.map(({ participant: { uid } }) => (
            <span key={uid} class="name">
              {uid}
            </span>
          ))}
        </div>
        <div class="scale" data-testid="timeline" {...choosing}>
          <div class="ruler">
            {axis.ticks().map((ms) => (
              <span key={ms} style={{ left: axis.percent(ms) }}>
                {span(ms - filesFromMs)}
              </span>
            ))}
          </div>
          {overall.length > 0 && (
            <div class="lane">
              <Bars axis={axis} stretches={overall} />
            </div>
          )}
          {rows.map(({ participant, there, media, trouble }) => (
            <div class="lane" key={participant.uid}>
              <Bars axis={axis} stretches={[...there, ...media, ...trouble]} />
            </div>
          ))}
          {chosen && <ChosenStretch axis={axis} played={played} chosen={chosen} onChosen={onChosen} />}
          {seek && <span class="headline" style={{ left: axis.percent(played.msAt(atS)) }} />}
        </div>
      </div>
      {notes.length === 0 ? (
        <p class="hint">Nothing was lost, frozen or paused.</p>
      ) : (
        <ol class="notes-list" aria-label="What happened">
          {notes.map(({ fromMs, untilMs, text, look, uid }, index) => (
            <li key={`${fromMs} ${index}`}>
              <button type="button" class="quiet" disabled={!seek} onClick={() => seek?.(played.secondsAt(fromMs))}>
                {span(Math.max(0, fromMs - filesFromMs))}
              </button>
              <span class={`key ${look}`} aria-hidden="true" />
              <span>
                {uid !== undefined && <b class="name">{uid} </b>}
                {text} <span class="sub">{seconds(untilMs - fromMs)}</span>
              </span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Bars({ axis, stretches }: { axis: Axis; stretches: Stretch[] }) {
  return (
    <>
      {stretches.map(({ fromMs, untilMs, look, text }, index) => (
        <span
          key={`${fromMs} ${index}`}
          class={`stretch ${look}`}
          title={`${text}: ${span(Math.max(0, fromMs - axis.fromMs))}, ${seconds(untilMs - fromMs)}`}
          style={{ left: axis.percent(fromMs), width: axis.width(fromMs, untilMs) }}
        />
      ))}
    </>
  );
}

function stretchesOf({ presence, tracks }: Participant, endMs: number) {
  const there = presence.map(
    ({ joinedMs, leftMs }): Stretch => ({ fromMs: joinedMs, untilMs: leftMs ?? endMs, look: 'there', text: 'there' }),
  );
  const media = tracks.map(({ kind, codec, startedMs, endedMs }): Stretch => {
    const look = kind === 'audio' ? 'sound' : 'picture';
    return { fromMs: startedMs, untilMs: endedMs ?? endMs, look, text: `${look}, ${codec}` };
  });
  const trouble = tracks.flatMap(({ kind, gaps, video }) => {
    const lane = kind === 'audio' ? 'in-sound' : 'in-picture';
    const of = kind === 'audio' ? 'sound' : 'picture';
    return [
      ...gaps.map(({ fromMs, durationMs, why }): Stretch => {
        const [look, text] = GAPS[why];
        return { fromMs, untilMs: fromMs + durationMs, look: `${look} ${lane}`, text: `${of}: ${text}` };
      }),
      // Of a muted picture that stands still one note is enough.
      ...(video?.frozen ?? [])
        .filter((frozen) => !gaps.some((gap) => covers(gap, frozen)))
        .map(({ fromMs, durationMs, why }): Stretch => {
          const [look, text] = FREEZES[why];
          return { fromMs, untilMs: fromMs + durationMs, look: `${look} ${lane}`, text };
        }),
    ];
  });
  return { there, media, trouble };
}

type Span = { fromMs: number; durationMs: number };
/** Whether most of one span lies in another. */
function covers(outer: Span, inner: Span): boolean {
  const fromMs = Math.max(outer.fromMs, inner.fromMs);
  const untilMs = Math.min(outer.fromMs + outer.durationMs, inner.fromMs + inner.durationMs);
  return untilMs - fromMs > inner.durationMs / 2;
}

function holdsOf({ holds = [] }: QualityReport, endMs: number): Stretch[] {
  return holds.map(({ fromMs, durationMs }) => ({
    ...{ fromMs, untilMs: durationMs === null ? endMs : fromMs + durationMs, look: 'hold', text: 'on hold' },
  }));
}

/** Takeovers, and times in which the machine was too slow. */
function stepsOf({ runs = [], overload }: QualityReport, endMs: number): Stretch[] {
  const lost = runs.flatMap(({ lastKnownMs, generation }) => {
    if (lastKnownMs === null) return [];
    const nextMs = runs.find((run) => run.generation > generation)?.filesFromMs ?? endMs;
    return [
      {
        fromMs: lastKnownMs,
        untilMs: Math.max(lastKnownMs, nextMs),
        look: 'bad',
        text: 'recorder lost, another went on',
      },
    ];
  });
  const steps = overload?.steps ?? [];
  const slow = steps.flatMap(({ atMs, rung }, index) =>
    rung === 'full'
      ? []
      : [{ fromMs: atMs, untilMs: steps[index + 1]?.atMs ?? endMs, look: 'still', text: `machine too slow: ${rung}` }],
  );
  return [...lost, ...slow];
}
