/**
 * /v1/apps/{appid}/aircheck/recordings/{sid}/files: what a recording's files are and where they lie, and those that lie
 * in this server's own folder (vendor 1000), also in parts (RFC 9110 §14). …/files/{name}/link: an address at which the
 * file's store has it. …/calls: the requests that made the recording.
 * Aircheck's own, not part of the contract.
 */
import { join } from 'node:path';
import send from '@fastify/send';
import type { FastifyInstance } from 'fastify';
import { STORAGE_VENDORS } from '../../contract/line/storage.ts';
import { problem } from '../../contract/problems.ts';
import { type FileLinkReply, type FileLinkRequest, parseFileLink } from '../../contract/rest/file-link.ts';
import type { RecordingCallsReply } from '../../contract/rest/recording-calls.ts';
import type { RecordingFilesReply } from '../../contract/rest/recording-files.ts';
import { contentTypeOf } from '../../stages/upload/target/target.ts';
import type { StoredFiles } from '../../store/stored-files.ts';

export type FilesApi = {
  files: Pick<StoredFiles, 'of' | 'find' | 'calls'>;
  localStorageDir: string;
  /** Throws `file-unknown` and `link-impossible`. */
  link(appid: string, sid: string, name: string, request: FileLinkRequest): Promise<FileLinkReply>;
};

const SID = /^[0-9a-f]{32}$/;
/** Whatever is in a file, a browser that opens it runs none of it. */
const CONTENT_SECURITY_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'";
/** A playlist grows while the recording goes on. */
const GROWING = /\.(m3u8|mpd|json)$/;

type Params = { appid: string; sid: string; name: string };

/** A call like others. While a recording goes on, the node that has it knows the keys of its store. */
export function fileLinkRoute(app: FastifyInstance, { link }: Pick<FilesApi, 'link'>): void {
  app.post<{ Params: Params }>(
    '/recordings/:sid/files/:name/link',
    { config: { livesAt: 'task' } },
    async ({ params: { appid, sid, name }, body }, reply) => {
      const request = parseFileLink(body);
      if (!SID.test(sid) || name.includes('\0')) throw problem('file-unknown');
      reply.header('cache-control', 'no-store');
      return link(appid, sid, name, request);
    },
  );
}

export function filesRoutes(app: FastifyInstance, { files, localStorageDir }: Omit<FilesApi, 'link'>): void {
  app.get<{ Params: Params }>('/recordings/:sid/files', async ({ params }): Promise<RecordingFilesReply> => {
    const found = SID.test(params.sid) ? await files.of(params.appid, params.sid) : undefined;
    if (!found) throw problem('recording-unknown');
    return { ...found, served: found.place?.vendor === STORAGE_VENDORS.localFolder };
  });

  app.get<{ Params: Params }>('/recordings/:sid/calls', async ({ params }): Promise<RecordingCallsReply> => {
    const calls = SID.test(params.sid) ? await files.calls(params.appid, params.sid) : undefined;
    if (!calls) throw problem('recording-unknown');
    return { calls };
  });

  app.get<{ Params: Params; Querystring: { download?: string } }>(
    '/recordings/:sid/files/:name',
    async ({ params, query, raw }, reply) => {
      const { appid, sid, name } = params;
      const known = SID.test(sid) && !name.includes('\0');
      const file = known ? await files.find(appid, sid, name) : undefined;
      if (file?.place?.vendor !== STORAGE_VENDORS.localFolder) throw problem('file-unknown');
      const root = join(localStorageDir, file.place.bucket);
      const options = { root, index: false as const, dotfiles: 'deny' as const, cacheControl: false };
      const sent = await send(raw, file.key.split('/').map(encodeURIComponent).join('/'), options);
      if (sent.type !== 'file') {
        sent.stream.destroy();
        if (sent.statusCode !== 416) throw problem('file-unknown');
        return reply.code(416).headers(sent.headers).removeHeader('content-length').send();
      }
      reply
        .code(sent.statusCode)
        .headers(sent.headers)
        .type(contentTypeOf(name))
        .header('cache-control', GROWING.test(name) ? 'no-cache' : 'private, max-age=3600')
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .header('cross-origin-resource-policy', 'same-origin')
        .header('x-content-type-options', 'nosniff');
      // Names of files are plain ASCII (contract §4.1).
      if (query.download !== undefined) reply.header('content-disposition', `attachment; filename="${name}"`);
      return reply.send(sent.stream);
    },
  );
}
