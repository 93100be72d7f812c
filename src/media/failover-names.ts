/**
 * The prefix of files that were made by a recorder which took over from a lost one (contract §4.1), where the server is
 * set to have it: `bak0_` after the first loss, `bak1_` after the next. Pure.
 */

/** The start of the file names of run `generation` of a recording whose first run's names start with `base`. */
export function failoverBase(base: string, generation: number): string {
  return generation > 1 ? `bak${generation - 2}_${base}` : base;
}

/** A file's name without the prefix. No other name begins so: they begin with a sid, which is hexadecimal. */
export function withoutFailover(name: string): string {
  return name.replace(/^bak\d+_/, '');
}
