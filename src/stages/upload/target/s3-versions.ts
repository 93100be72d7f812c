/** Removes an object of a bucket that may keep versions: there a plain removal only puts a marker over them. */
import type { S3Connection, S3Request } from './s3-connection.ts';
import { statusOf } from './s3-faults.ts';
import { elements, elementText } from './s3-xml.ts';

/** A file of a recording has a few versions; a store that goes on telling more is not believed. */
const MOST_PAGES = 100;

/**
 * Removes the object and, where the answer shows that the bucket keeps versions, each of them and the marker.
 * Resolves to how many versions there were, without markers; undefined where it keeps none. Throws an S3Error when the
 * store refuses, as it does while a version is locked.
 */
export async function eraseVersions(connection: S3Connection, key: string): Promise<number | undefined> {
  const { headers } = await remove(connection, { method: 'DELETE', key });
  if (headers['x-amz-delete-marker'] !== 'true' && headers['x-amz-version-id'] === undefined) return undefined;
  const { versions, markers } = await versionsOf(connection, key);
  for (const versionId of [...versions, ...markers])
    await remove(connection, { method: 'DELETE', key, query: { versionId } });
  return versions.size;
}

/** Does nothing when it is gone. */
async function remove(connection: S3Connection, request: S3Request): Promise<{ headers: Record<string, unknown> }> {
  try {
    return await connection.send(request);
  } catch (cause) {
    if (statusOf(cause) !== 404) throw cause;
    return { headers: {} };
  }
}

/** The ids of all versions and markers of exactly this key. */
async function versionsOf(connection: S3Connection, key: string) {
  const found = { versions: new Set<string>(), markers: new Set<string>() };
  let after: Record<string, string> = {};
  for (let page = 1; ; page++) {
    const query = { versions: '', prefix: key, ...after };
    const { text } = await connection.send({ method: 'GET', key: '', query });
    for (const [element, ids] of [['Version', found.versions] as const, ['DeleteMarker', found.markers] as const])
      for (const version of elements(text, element)) {
        const versionId = elementText(version, 'VersionId');
        if (versionId && elementText(version, 'Key') === key) ids.add(versionId);
      }
    const [keyMarker, idMarker] = [elementText(text, 'NextKeyMarker'), elementText(text, 'NextVersionIdMarker')];
    // Keys are listed in their order: once another one comes, this one is over.
    if (elementText(text, 'IsTruncated') !== 'true' || keyMarker !== key || page === MOST_PAGES) return found;
    after = { 'key-marker': keyMarker, ...(idMarker && { 'version-id-marker': idMarker }) };
  }
}
