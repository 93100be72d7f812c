/** Sends a file, or the span of it that a Range header asks for (RFC 9110 §14). */
import { createReadStream } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';

/** An answer that another node carries is held in memory there. */
export const MOST_CARRIED_BYTES = 64_000_000;

/** The bytes from `from` on that come before `to`. */
export type ByteSpan = { from: number; to: number };

/**
 * The span of a file of `bytes` bytes that a Range header asks for; undefined where it asks for all. Throws
 * `range-invalid` where the file has nothing of it. Of several spans only the first is read, which a server may do.
 */
export function spanOf(header: string | undefined, bytes: number): ByteSpan | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)(?:,.*)?$/.exec(header?.trim() ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  if (from >= to) throw problem('range-invalid');
  return { from, to };
}

export type SentFile = {
  path: string;
  /** Where in it what is sent lies; all of it is a file of its own to whoever asks. */
  within: ByteSpan;
  type: string;
};

/**
 * Sends the file, or the span that was asked for.
 * @param mostBytes more at once is refused
 */
export function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { path, within, type }: SentFile,
  mostBytes = Number.POSITIVE_INFINITY,
): FastifyReply {
  const bytes = within.to - within.from;
  const span = spanOf(request.headers.range, bytes);
  const { from, to } = span ?? { from: 0, to: bytes };
  if (to - from > mostBytes) throw problem('range-invalid');
  reply
    .type(type)
    .header('accept-ranges', 'bytes')
    .header('content-length', to - from);
  if (span) reply.code(206).header('content-range', `bytes ${from}-${to - 1}/${bytes}`);
  if (to === from) return reply.send('');
  return reply.send(createReadStream(path, { start: within.from + from, end: within.from + to - 1 }));
}
