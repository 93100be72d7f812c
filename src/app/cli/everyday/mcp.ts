/**
 * `aircheck mcp`: the Model Context Protocol over standard input and output, by its official SDK. Its tools read; those
 * that start and stop recordings are there only where the operator allows it. The pages of the docs are its resources.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import type { AircheckClient, Recording, RecordingReport } from '../../../client/index.ts';
import { AircheckError } from '../../../client/index.ts';
import { isUid, MODES } from '../../../contract/rest/fields.ts';
import { RECORDING_STATES } from '../../../contract/rest/recording-list.ts';
import { docPages } from '../../../http/doc-pages.ts';
import { EVENT_STATES } from '../../../store/outbox-tables.ts';
import { type Access, type AccessWords, nextStep, openAccess } from './access.ts';
import { requestOf } from './record-request.ts';
import { timelineText } from './timeline.ts';

export type McpWords = AccessWords & { allowChanges?: boolean };
/** A tool answers what is so now; it waits for nothing. */
type McpAccess = Omit<Access, 'patience'>;

const SID = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .describe('The recording, 32 hexadecimal digits.');
/** Of one answer: a long recording has more text than an assistant reads. */
const COLUMNS = 100;

export async function mcp(words: McpWords): Promise<void> {
  // Standard output carries the protocol: remarks go to standard error.
  const access = openAccess(words);
  const pages = await docPages();
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve);
    serveStdio(() => createMcp(access, pages, words.allowChanges ?? false));
  });
}

type Tool = {
  about: string;
  input: z.ZodObject;
  changes?: 'starts' | 'stops';
  run: (input: never) => Promise<unknown>;
};

/** The protocol’s server, before it is connected. */
export function createMcp(
  access: McpAccess,
  pages: Awaited<ReturnType<typeof docPages>>,
  allowChanges: boolean,
): McpServer {
  const server = new McpServer(
    { name: 'aircheck', version: '1' },
    {
      instructions:
        'Tells of the recordings of one Aircheck server. Begin with recordings or channels; show has what happened in one. The resources are the server’s own documentation.',
    },
  );
  const all = { ...readingTools(access.client), ...(allowChanges ? changingTools(access) : {}) };
  for (const [name, { about, input, changes, run }] of Object.entries<Tool>(all))
    server.registerTool(
      name,
      {
        description: about,
        inputSchema: input,
        annotations: {
          readOnlyHint: changes === undefined,
          destructiveHint: changes === 'stops',
          openWorldHint: false,
        },
      },
      async (given: unknown) => answer(() => run(given as never)),
    );
  for (const { path, title, text } of pages)
    server.registerResource(title, `aircheck://docs/${path}`, { mimeType: 'text/markdown', title }, async (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/markdown', text }],
    }));
  return server;
}

/** What a tool found as text; what the server refused as an error that says what to do next. */
async function answer(run: () => Promise<unknown>) {
  try {
    const found = await run();
    const text = typeof found === 'string' ? found : JSON.stringify(found, null, 2);
    return { content: [{ type: 'text' as const, text }] };
  } catch (error) {
    const next = error instanceof AircheckError ? nextStep(error) : undefined;
    const words = error instanceof Error ? error.message : String(error);
    return {
      content: [{ type: 'text' as const, text: next === undefined ? words : `${words}. ${next}` }],
      isError: true,
    };
  }
}

function readingTools(client: AircheckClient): Record<string, Tool> {
  return {
    recordings: {
      about: 'Lists recordings, the newest first; `next` of an answer is `before` of the page behind it.',
      input: z.object({
        cname: z.string().optional().describe('Only of this channel.'),
        mode: z.enum(MODES).optional(),
        state: z.enum(RECORDING_STATES).optional(),
        search: z.string().optional(),
        before: z.string().optional(),
        limit: z.int().min(1).max(200).default(20),
      }),
      run: (filter: Parameters<AircheckClient['recordings']>[0]) => client.recordings(filter),
    },
    show: {
      about:
        'Tells what is known of one recording: its files, warnings, and a timeline of who was there, what came, what did not and why.',
      input: z.object({ sid: SID }),
      run: async ({ sid }: { sid: string }) => reportWords(await client.recording(sid)),
    },
    quality: {
      about: 'The whole quality report of one recording as JSON: every track with loss, gaps, frozen pictures, clocks.',
      input: z.object({ sid: SID }),
      run: async ({ sid }: { sid: string }) => (await client.recording(sid)).quality,
    },
    events: {
      about: 'Lists what recordings told by webhook, the oldest first, and whether it was delivered.',
      input: z.object({
        sid: SID.optional(),
        state: z.enum(EVENT_STATES).optional(),
        after: z.int().min(0).default(0).describe('As `next` of an earlier answer.'),
        limit: z.int().min(1).max(1000).default(100),
      }),
      run: (filter: Parameters<AircheckClient['events']>[0]) => client.events(filter),
    },
    files: {
      about: 'Lists all files of one recording with size, state and checksum, deleted ones too, and where they lie.',
      input: z.object({ sid: SID }),
      run: ({ sid }: { sid: string }) => client.files(sid),
    },
    retention: {
      about: 'Tells how long the files of one recording are kept, its legal hold, and what was deleted when by whom.',
      input: z.object({ sid: SID }),
      run: ({ sid }: { sid: string }) => client.retention(sid),
    },
    removals: {
      about: 'Tells who was removed from one recording of single users, when, by whom, and which files went.',
      input: z.object({ sid: SID }),
      run: ({ sid }: { sid: string }) => client.removals(sid),
    },
    mixes: {
      about: 'Lists the mixes that were asked for of one recording of single users, and how far each is.',
      input: z.object({ sid: SID }),
      run: ({ sid }: { sid: string }) => client.mixes(sid),
    },
    channels: {
      about: 'Lists the channels that somebody publishes to.',
      input: z.object({}),
      run: () => client.channels(),
    },
    channel: {
      about: 'Lists who is in a channel now and what each sends: codecs, bitrate, loss, audio level.',
      input: z.object({ cname: z.string().min(1).max(63) }),
      run: ({ cname }: { cname: string }) => client.channel(cname),
    },
    backlog: {
      about: 'Lists files that are not in their store yet, and why.',
      input: z.object({}),
      run: () => client.backlog(),
    },
    nodes: {
      about:
        'Lists the servers that share the database, and what each carries. Only for customers who may use all apps.',
      input: z.object({}),
      run: () => client.nodes(),
    },
  };
}

function changingTools({ client, tokenFor }: McpAccess): Record<string, Tool> {
  return {
    start: {
      about: 'Starts recording a channel into the server’s own store: a composite of all users, or every user alone.',
      changes: 'starts',
      input: z.object({
        cname: z.string().min(1).max(63),
        uid: z
          .string()
          .refine(isUid, 'a whole number from 1 to 4294967295')
          .describe('Of the recorder; any that is free.'),
        mode: z.enum(['mix', 'individual']).default('mix'),
        bucket: z.string().default('recordings').describe('Folder of the store.'),
      }),
      run: ({
        cname,
        uid,
        mode,
        bucket,
      }: {
        cname: string;
        uid: string;
        mode: 'mix' | 'individual';
        bucket: string;
      }) => {
        const usual = { size: '1280x720', fps: '30', layout: 'best-fit', mp4: true } as const;
        const { clientRequest } = requestOf({ mode, bucket, ...usual });
        const token = tokenFor(cname, uid);
        const request = { ...(token !== undefined && { token }), ...clientRequest };
        return client.record(mode, { cname, uid, clientRequest: request as never });
      },
    },
    stop: {
      about: 'Stops a recording. It ends in order, with all its files; show tells when they are stored.',
      changes: 'stops',
      input: z.object({ sid: SID }),
      run: async ({ sid }: { sid: string }) => {
        const { cname, uid, resourceId, mode } = await client.recording(sid);
        await client.stop({ cname, uid, resourceId, sid, mode } as Recording, { async_stop: true });
        return { sid, stopping: true };
      },
    },
  };
}

function reportWords({ quality, ...rest }: RecordingReport): string {
  const timeline = quality === null ? 'There is no quality report.' : timelineText(quality, COLUMNS);
  return `${JSON.stringify(rest, null, 2)}\n\n${timeline}`;
}
