/**
 * `aircheck record`: one recording from the command line. It starts one, shows how it is doing, and stops it by Ctrl-C,
 * after a time, or when the channel has been empty; then it says where the files are.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { AircheckError, type Recording, type RecordingReport } from '../../../client/index.ts';
import { pauseCommand, systemClock } from '../../../kernel/clock.ts';
import { print, printJson } from '../print.ts';
import { type Access, type AccessWords, explaining, openAccess } from './access.ts';
import { type RecordWords, type Requested, requestOf } from './record-request.ts';
import { clockOf, shown, sizeOf } from './words.ts';

/** Exit code of a recording that ended, and of which something is missing. */
const NOT_WHOLE = 2;
/** How often it is looked at. */
const LOOK_MS = 1_000;
/** How often a line is told where no terminal is. */
const TELL_EVERY = 10;
/** Looks at a terminal by which it goes on with whom it saw: an app may make ten calls a second in all. */
const ASK_EVERY = 3;

export async function record(cname: string, words: RecordWords & AccessWords): Promise<void> {
  const requested = requestOf(words);
  const access = openAccess(words);
  const uid = words.uid ?? String(randomInt(1_000_000_000, 4_000_000_000));
  const token = words.token ?? access.tokenFor(cname, uid);
  const clientRequest = { ...(token !== undefined && { token }), ...requested.clientRequest };
  const stop = new StopSignal();
  try {
    // The mode and its request belong together, as requestOf made them.
    const recording = (await explaining(() =>
      access.client.record(requested.mode, { cname, uid, clientRequest: clientRequest as never }),
    )) as Recording;
    process.stderr.write(`aircheck: recording ${shown(cname)} as ${recording.sid}; Ctrl-C stops it\n`);
    await explaining(() => watch(access, recording, requested, stop)).catch((error: unknown) => {
      process.stderr.write(`aircheck: it is not followed any more, nor stopped: \`aircheck stop ${recording.sid}\`\n`);
      throw error;
    });
    process.stderr.write('aircheck: stopping, and waiting until all files are stored; Ctrl-C again does not wait\n');
    const report = await explaining(() =>
      access.patience.keepAsking(() => access.client.finish(recording, { signal: stop.again }), stop.again),
    );
    tell(access, report, requested, words.json ?? false);
  } catch (error) {
    if (!stop.again.aborted) throw error;
    process.stderr.write('aircheck: not waited for; the server goes on storing the files: `aircheck show <sid>`\n');
    process.exitCode = NOT_WHOLE;
  } finally {
    stop.close();
  }
}

/**
 * Shows how it is doing until it is to be stopped, or has ended by itself. Rejects when the server does not let it be
 * seen, or knows no such recording, as another one at the same address.
 */
async function watch(access: Access, recording: Recording, { forS }: Requested, stop: StopSignal): Promise<void> {
  const beganUs = systemClock.monoUs();
  const untilMs = forS === undefined ? Number.POSITIVE_INFINITY : forS * 1000;
  const line = new Line(process.stderr);
  const told = new Set<string>();
  let beside: Beside | undefined;
  let over = '';
  for (let looks = 0; !stop.once; looks++) {
    const elapsedMs = (systemClock.monoUs() - beganUs) / 1000;
    if (elapsedMs >= untilMs) break;
    const isDue = looks % TELL_EVERY === 0;
    if (line.isTerminal ? looks % ASK_EVERY === 0 : isDue) beside = undefined;
    const look = async () => {
      const report = await access.client.recording(recording.sid);
      // Over by itself, or stopped by somebody else.
      if (report.phase !== 'new' && report.phase !== 'recording') return report;
      beside ??= await lookBeside(access, recording);
      return doingWords(recording, report, beside);
    };
    const doing = await look().catch((error: unknown) => {
      // It records all the same; the next look may be answered.
      if (!(error instanceof AircheckError) || isFinal(error)) throw error;
      if (!access.patience.isWaiting && !told.has(error.reason))
        process.stderr.write(`aircheck: warning: ${error.message}\n`);
      told.add(error.reason);
      return undefined;
    });
    if (typeof doing === 'object') {
      if (doing.phase !== 'ended' && doing.ending !== null)
        over = `aircheck: it is over: ${shown(doing.ending, 500)}\n`;
      break;
    }
    if (doing !== undefined) line.show(`${clockOf(elapsedMs)}  ${doing}`, isDue);
    await Promise.race([pauseCommand(Math.min(LOOK_MS, untilMs - elapsedMs)), stop.asked]);
  }
  line.end();
  process.stderr.write(over);
}

/** Whether no later look can be answered otherwise. */
function isFinal({ isGone, status }: AircheckError): boolean {
  return isGone || status === 401 || status === 403;
}

type Beside = { there: { uid: string; tracks: Track[] }[]; bytes: number };

/** Who is in the channel, and how much is recorded. */
async function lookBeside({ client }: Access, { cname, sid }: Recording): Promise<Beside> {
  const [{ participants }, { recordings }] = await Promise.all([
    client.channel(cname),
    client.recordings({ cname, state: 'running', limit: 10 }),
  ]);
  const bytes = recordings.find((listed) => listed.sid === sid)?.bytes ?? 0;
  return { there: participants.filter(({ recorder }) => !recorder), bytes };
}

/** How it is doing in words. */
function doingWords({ mode }: Recording, report: RecordingReport, { there, bytes }: Beside): string {
  const who = there.map(({ uid, tracks }) => `${uid} (${tracks.map(trackWords).join(', ') || 'sends nothing'})`);
  return [
    report.phase,
    bytes > 0 ? sizeOf(bytes) : undefined,
    mode === 'web' ? undefined : there.length === 0 ? 'nobody is there' : shown(who.join('  '), 300),
    report.quality?.overload ? `too slow: ${report.quality.overload.rung}` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join('  ');
}

type Track = { kind: string; codec: string; receiving: boolean; bitrateKbps: number };
function trackWords({ kind, codec, receiving, bitrateKbps }: Track): string {
  return receiving ? `${kind} ${codec} ${Math.round(bitrateKbps)} kbit/s` : `${kind} silent`;
}

function tell({ config, url }: Access, report: RecordingReport, { bucket }: Requested, asJson: boolean): void {
  const folder = config && bucket !== undefined ? join(config.localStorageDir, bucket) : undefined;
  const files = report.files.map(({ fileName }) => (folder === undefined ? fileName : join(folder, fileName)));
  const isWhole = report.healthy && files.length > 0;
  if (!isWhole) process.exitCode = NOT_WHOLE;
  if (asJson) {
    printJson({ sid: report.sid, whole: isWhole, files, report });
    return;
  }
  const lengthMs = report.quality?.endedMs ?? null;
  const length = lengthMs === null ? '' : `, ${clockOf(lengthMs - (report.quality?.filesFromMs ?? 0))} long`;
  process.stderr.write(`aircheck: ${report.sid} has ended${length}: ${report.ending ?? 'in order'}\n`);
  if (files.length === 0) process.stderr.write(NOTHING);
  for (const file of files) print(file);
  if (folder === undefined && files.length > 0)
    process.stderr.write(
      `aircheck: these lie in the store of the recording; ${url} can tell more: \`aircheck show\`\n`,
    );
}

const NOTHING = `aircheck: there are no files: nobody sent anything.
  \`aircheck publish test --channel <name>\` sends a test picture; /publish does so from a browser.
`;

/** Ctrl-C, and what asks a process to end: once to stop the recording, and again to wait no longer. */
class StopSignal {
  once = false;
  readonly #again = new AbortController();
  readonly #asked = Promise.withResolvers<void>();
  readonly #on = () => {
    if (this.once) this.#again.abort(new Error('told twice to end'));
    this.once = true;
    this.#asked.resolve();
  };
  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#on);
  }
  get again(): AbortSignal {
    return this.#again.signal;
  }
  get asked(): Promise<void> {
    return this.#asked.promise;
  }
  close(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#on);
  }
}

/** One line that is written over and over on a terminal; elsewhere only now and then. */
class Line {
  readonly #out: NodeJS.WriteStream;
  #open = false;
  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }
  get isTerminal(): boolean {
    return this.#out.isTTY;
  }
  show(text: string, isDue: boolean): void {
    if (this.isTerminal) {
      const width = (this.#out.columns ?? 80) - 1;
      this.#out.write(`\r${text.slice(0, width).padEnd(width)}`);
      this.#open = true;
    } else if (isDue) this.#out.write(`aircheck: ${text}\n`);
  }
  end(): void {
    if (this.#open) this.#out.write('\n');
    this.#open = false;
  }
}
