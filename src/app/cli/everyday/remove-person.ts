/** `aircheck remove-person`: removes one person from a recording of single users, or tells who was removed from it. */
import type { RemovalPreview, RemovalReply } from '../../../client/index.ts';
import { pauseCommand } from '../../../kernel/clock.ts';
import { print, printJson } from '../print.ts';
import { type Access, type AccessWords, explaining, openAccess } from './access.ts';
import { momentOf, shown, sizeOf } from './words.ts';

export type RemovePersonWords = AccessWords & { yes?: boolean; accessKey?: string; secretKey?: string };

/** How often it is looked how far a removal is. */
const LOOK_MS = 500;
/** Exit code where the person is not removed, or not yet. */
const NOT_REMOVED = 2;

/** @param uid who is removed; when undefined, those who were are told of */
export async function removePerson(sid: string, uid: string | undefined, words: RemovePersonWords): Promise<void> {
  const access = openAccess(words);
  const { client } = access;
  if (uid === undefined) {
    const told = await explaining(() => client.removals(sid));
    if (words.json) printJson(told);
    else print(told.removals.length === 0 ? 'nobody was removed' : told.removals.flatMap(removalLines).join('\n'));
    return;
  }
  if (!words.yes) {
    const preview = await explaining(() => client.previewRemoval(sid, uid));
    if (words.json) printJson(preview);
    else print(previewLines(preview).join('\n'));
    return;
  }
  const { accessKey = '', secretKey = '' } = words;
  const keys = accessKey === '' ? {} : { keys: { accessKey, secretKey } };
  await explaining(() => client.removePerson(sid, { uid, ...keys }));
  const told = await explaining(() => settled(access, sid, uid));
  if (words.json) printJson(told);
  else print(removalLines(told).join('\n'));
  if (told.state !== 'removed') process.exitCode = NOT_REMOVED;
}

/** Waits until it is done, or something keeps it from going on now. */
async function settled({ client, patience }: Access, sid: string, uid: string): Promise<RemovalReply> {
  for (;;) {
    const { removals } = await patience.keepAsking(() => client.removals(sid));
    const told = removals.find((each) => each.uid === uid);
    if (told && (told.state !== 'removing' || told.error !== null)) return told;
    await pauseCommand(LOOK_MS);
  }
}

function previewLines({ uid, files, deletedBytes, needsKeys, kept }: RemovalPreview): string[] {
  const own = files.filter(({ act }) => act === 'delete');
  const anew = files.filter(({ act }) => act === 'rewrite');
  return [
    `user ${uid}: ${own.length} ${own.length === 1 ? 'file' : 'files'}, ${sizeOf(deletedBytes)}, would be deleted for good:`,
    ...own.map(({ name, bytes }) => `  ${shown(name)}  ${sizeOf(bytes)}`),
    ...(anew.length > 0 ? ['made anew without the user:'] : []),
    ...anew.map(({ name, bytes }) => `  ${shown(name)}  ${sizeOf(bytes)}`),
    ...keptLines(kept),
    ...(needsKeys ? ['the keys of the store are needed: --access-key and --secret-key'] : []),
    'nothing is removed yet; say --yes to remove',
  ];
}

function removalLines(told: RemovalReply): string[] {
  const { uid, state, askedMs, askedBy, doneMs, files, servers, error, nextTryMs, kept } = told;
  return [
    `user ${uid}: ${state}${doneMs === null ? '' : ` ${momentOf(doneMs)}`}, asked for ${momentOf(askedMs)} by ${shown(askedBy)}`,
    ...files.map(({ name, bytes, newBytes, where, outcome, versions, details }) => {
      const anew = newBytes === null ? '' : ` -> ${sizeOf(newBytes)}`;
      const of = versions === null ? '' : `, ${versions} versions`;
      const why = details === null ? '' : `: ${shown(details)}`;
      return `  ${outcome ?? 'there'}  ${shown(name)}  ${sizeOf(bytes)}${anew}, ${where}${of}${why}`;
    }),
    ...servers.map(
      ({ folder, atMs, files: copies }) => `  ${copies} copies on the disk of ${folder} ${momentOf(atMs)}`,
    ),
    ...(error === null
      ? []
      : [`failed: ${shown(error)}${nextTryMs === null ? '' : `; tried again ${momentOf(nextTryMs)}`}`]),
    ...keptLines(kept),
  ];
}

function keptLines(kept: readonly string[]): string[] {
  return ['kept:', ...kept.map((each) => `  ${each}`)];
}
