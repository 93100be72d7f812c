/**
 * FileNotes: notes finished files in the journal, one after another, and tells of each. When the disk is full, a note
 * is written before the next file's: the file itself is whole, and has its number.
 */
import type { SpooledFile } from '../../media/segment.ts';
import type { Journal } from '../../stages/spool/journal.ts';

export type FileNotesOptions = {
  journal: Journal;
  /** A file is on the spool and in its journal. */
  onNoted(file: SpooledFile): void;
  /** A file cannot be noted now. An error that this throws is thrown to whoever added the file. */
  onLate(file: SpooledFile, error: unknown): void;
};

export class FileNotes {
  readonly #o: FileNotesOptions;
  #waiting: SpooledFile[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(options: FileNotesOptions) {
    this.#o = options;
  }

  /** Resolves when the file is noted, or waits for the next one. */
  add(file: SpooledFile): Promise<void> {
    this.#waiting.push(file);
    return this.flush();
  }

  /** Tries once more to note what waits. Resolves when it is noted, or cannot be. */
  flush(): Promise<void> {
    const turn = this.#turn.then(() => this.#noteAll());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #noteAll(): Promise<void> {
    const { journal, onNoted, onLate } = this.#o;
    for (let file = this.#waiting[0]; file; file = this.#waiting[0]) {
      try {
        await journal.append(file);
      } catch (error) {
        onLate(file, error);
        return;
      }
      this.#waiting.shift();
      onNoted(file);
    }
  }
}
