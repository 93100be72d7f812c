/** Links: signed addresses at which a store has its files, which do not come through the server then. */
import { STORAGE_VENDORS, type StorageConfig } from '../contract/line/storage.ts';
import { problem } from '../contract/problems.ts';
import type { FileLinkReply, FileLinkRequest } from '../contract/rest/file-link.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { PastTask } from '../session/ports.ts';
import type { StoreWithLinks, Target } from '../stages/upload/target/target.ts';
import type { StoredFile } from '../store/stored-files.ts';
import { storageFrom } from './cut-sources.ts';

export type FileLinksOptions = {
  /** Throws `recording-unknown`. */
  find(appid: string, sid: string): Promise<Pick<PastTask, 'place'>>;
  /** A file that its store has; undefined when there is none of this name. */
  fileOf(appid: string, sid: string, name: string): Promise<StoredFile | undefined>;
  /** The store of a recording that has not ended, with its keys; undefined of others. */
  storageOf(sid: string): StorageConfig | undefined;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  clock: Clock;
};

/** Long enough to begin a download, which may take longer. */
const LIFE_S = 300;

/** Throws `file-unknown`, `link-impossible` and `recording-unknown`. */
export async function linkToFile(
  options: FileLinksOptions,
  file: { appid: string; sid: string; name: string },
  { keys }: FileLinkRequest,
): Promise<FileLinkReply> {
  const { find, fileOf, storageOf, openTarget, clock } = options;
  const { appid, sid, name } = file;
  const { place } = await find(appid, sid);
  const found = await fileOf(appid, sid, name);
  if (!found) throw problem('file-unknown');
  if (place?.vendor === STORAGE_VENDORS.localFolder)
    throw problem('link-impossible', 'the file lies in a folder of this server: read …/files/{name}');
  const storage = keysFor(place, storageOf(sid), keys);
  const store = await openTarget(storage, sid).catch((cause: unknown) => {
    throw problem('link-impossible', `its store cannot be opened: ${messageOf(cause)}`, { cause });
  });
  try {
    if (!('link' in store)) throw problem('link-impossible', 'a store of this vendor gives no such links');
    const expiresMs = clock.nowMs() + LIFE_S * 1000;
    return { url: await (store as StoreWithLinks).link(found.key, { lifeS: LIFE_S, fileName: name }), expiresMs };
  } catch (cause) {
    if (!(cause instanceof Fault) || cause.blame !== 'destination') throw cause;
    throw cause.code === 'object-missing'
      ? problem('file-unknown', 'its store has no such file any more', { cause })
      : problem('link-impossible', cause.message, { cause });
  } finally {
    store.close();
  }
}

function keysFor(
  place: PastTask['place'],
  known: StorageConfig | undefined,
  keys: FileLinkRequest['keys'],
): StorageConfig {
  const storage = keys && place ? storageFrom(place, keys) : known;
  if (storage) return storage;
  throw problem(
    'link-impossible',
    place
      ? 'the recording has ended, and the keys of its store are forgotten: give them as keys'
      : 'an earlier version made the recording, and did not keep where its files lie',
  );
}
