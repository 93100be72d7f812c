/**
 * SoundLoss: whether a page has lost its sound for good. Chromium plays in a process of its own; when that dies, what
 * the page plays with stays suspended, no event tells it, and only loading the page again brings sound back. A page
 * that is silent by itself is left alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type HostUs, US } from '../../../kernel/time.ts';
import type { Sound } from '../../../media/frame.ts';

/**
 * After the process has died, this much silence means loss; before, another part of the page may have started it anew.
 */
const SILENT_US = 5 * US;
/** A process that is gone when nothing was heard for this long ended because nobody needed it. */
const HEARD_US = 10 * US;
/** Sound that was played before it died may be heard for this long. */
const TRAIL_US = US;

export class SoundLoss {
  readonly #find: (known: number | undefined) => number | undefined;
  #service: number | undefined;
  #heardUs: HostUs = Number.NEGATIVE_INFINITY;
  /** When the process was found to be gone. */
  #goneUs: HostUs | undefined;

  /** @param find the pid of the process that plays; called with the former pid, which may still be right */
  constructor(find: (known: number | undefined) => number | undefined) {
    this.#find = find;
  }

  hear({ channels }: Sound, atUs: HostUs): void {
    if (channels.some((channel) => channel.some((sample) => sample !== 0))) this.#heardUs = atUs;
  }

  /** Whether the sound is lost by now. Called every few seconds. */
  isLost(nowUs: HostUs): boolean {
    // When nothing was ever heard no process is looked for.
    if (this.#heardUs === Number.NEGATIVE_INFINITY) return false;
    const service = this.#find(this.#service);
    const isGone = service === undefined || service !== (this.#service ?? service);
    if (isGone && this.#heardUs > nowUs - HEARD_US) this.#goneUs ??= nowUs;
    this.#service = service;
    if (this.#goneUs === undefined) return false;
    if (this.#heardUs > this.#goneUs + TRAIL_US) this.#goneUs = undefined;
    return this.#goneUs !== undefined && nowUs - this.#heardUs >= SILENT_US;
  }

  /** The page is being loaded again. */
  reset(): void {
    this.#service = undefined;
    this.#goneUs = undefined;
    this.#heardUs = Number.NEGATIVE_INFINITY;
  }
}

/**
 * The process that plays for the browser with this profile; undefined when there is none, as before the first sound.
 */
export function soundProcess(profile: string, known: number | undefined): number | undefined {
  const plays = (pid: number) => {
    const args = argumentsOf(pid);
    return args.includes('audio.mojom.AudioService') && args.includes(`--user-data-dir=${profile} `);
  };
  if (known !== undefined && plays(known)) return known;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).find(plays);
}

/** Each argument is followed by a space, as programs that write their own command line leave it. */
function argumentsOf(pid: number): string {
  try {
    return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')} `;
  } catch {
    return ''; // it has ended since
  }
}
