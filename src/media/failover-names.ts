/**
 * The prefix of files made by a recorder that took over from a lost one (contract §4.1), when the server is set to use
 * it: `bak0_` after the first loss, `bak1_` after the next. Pure.
 */

/** How the file names of run `generation` begin, when those of the recording's first run begin with `base`. */
export function failoverBase(base: string, generation: number): string {
  return generation > 1 ? `bak${generation - 2}_${base}` : base;
}

/**
 * A file's name without the prefix. Other names never begin like it, because they begin with a sid, which is
 * hexadecimal.
 */
export function withoutFailover(name: string): string {
  return name.replace(/^bak\d+_/, '');
}
