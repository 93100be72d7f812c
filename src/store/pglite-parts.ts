/**
 * PgliteParts: what PGlite is loaded from, its WebAssembly and the files that a Postgres has around it. PGlite would
 * read both itself, and hold 15 MB of them that nobody looks at again.
 */
import { readFile } from 'node:fs/promises';
import type { PGlite, PGliteOptions } from '@electric-sql/pglite';

/** The part of WebAssembly that is used here; the types of Node have none. */
declare const WebAssembly: { compile(bytes: ArrayBuffer): Promise<object> };

/**
 * Files that are read once, to make a database, and libraries for other encodings than UTF-8, for replication and for
 * text search. What is left is time zones, collations, dictionaries and PL/pgSQL.
 */
const SPARE = /^\/pglite\/share\/postgresql\/[^/]+$|^\/pglite\/lib\/postgresql\/(?!plpgsql\.so$)/;

/** What Emscripten's file system has at a path. */
type Entry = {
  mode: number;
  /** What lies on a folder instead of it: of a database on the disk, the database. */
  mounted: unknown;
  /** Of a file, its bytes. */
  contents?: unknown;
};
/** What is used of that file system. */
type Files = {
  readdir(folder: string): string[];
  lookupPath(path: string, how: { follow_mount: false }): { node: Entry };
  isDir(mode: number): boolean;
  unlink(path: string): void;
};

export class PgliteParts {
  readonly #wasm: object;
  /** The pieces of memory that the files lie in: a database that is made anew is made by a second PGlite. */
  readonly #read: ArrayBuffer[] = [];

  private constructor(wasm: object) {
    this.#wasm = wasm;
  }

  /** Reads and compiles the WebAssembly; V8's flags for that have been set. */
  static async load(): Promise<PgliteParts> {
    const bytes = await readPart('pglite.wasm');
    const parts = new PgliteParts(await WebAssembly.compile(bytes));
    // V8 has a copy of its own.
    bytes.transfer(0);
    return parts;
  }

  /** Goes into the options of the PGlite. */
  get options(): Pick<PGliteOptions, 'pgliteWasmModule' | 'fsBundle'> {
    const arrayBuffer = async () => {
      const bytes = await readPart('pglite.data');
      this.#read.push(bytes);
      return bytes;
    };
    // It asks for nothing else of what it takes for a file.
    return { pgliteWasmModule: this.#wasm, fsBundle: { arrayBuffer } as Blob };
  }

  /** Lets go of what an open database has no use for. Its files are views of one piece of memory until then. */
  thin(database: PGlite): void {
    const files = database.Module.FS as unknown as Files;
    const read = new Set<unknown>(this.#read.splice(0));
    for (const [path, entry] of filesIn(read, files, ''))
      if (SPARE.test(path)) files.unlink(path);
      else entry.contents = (entry.contents as Uint8Array).slice();
    for (const bytes of read) (bytes as ArrayBuffer).transfer(0);
  }
}

/** The files below a folder that lie in one of these pieces of memory. @param folder without the last slash */
function filesIn(memory: ReadonlySet<unknown>, files: Files, folder: string): [path: string, entry: Entry][] {
  const names = files.readdir(`${folder}/`).filter((name) => name !== '.' && name !== '..');
  return names.flatMap((name) => {
    const path = `${folder}/${name}`;
    const { node } = files.lookupPath(path, { follow_mount: false });
    if (files.isDir(node.mode)) return node.mounted ? [] : filesIn(memory, files, path);
    return ArrayBuffer.isView(node.contents) && memory.has(node.contents.buffer) ? [[path, node]] : [];
  });
}

async function readPart(name: string): Promise<ArrayBuffer> {
  const library = import.meta.resolve('@electric-sql/pglite');
  // A file of this size lies in memory of its own.
  return (await readFile(new URL(name, library))).buffer as ArrayBuffer;
}
