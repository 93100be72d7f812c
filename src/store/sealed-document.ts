/**
 * A task's document as its row keeps it. Whatever would let somebody else into the customer's store or channel, or to
 * its images, is sealed. Unsealed rows of earlier versions can be read.
 */
import { z } from 'zod';
import type { TaskDocument } from '../session/task.ts';
import { Vault } from './vault.ts';

type SealedDocument = Omit<TaskDocument, 'storage' | 'token' | 'page' | 'pushes' | 'plan' | 'changed'> & {
  plan: unknown;
  changed?: unknown;
  storage: string;
  token: string | undefined;
  page?: string;
  pushes?: string;
};

export function sealDocument(vault: Vault, document: TaskDocument): SealedDocument {
  const { storage, token, page, pushes, plan, changed, ...open } = document;
  const seal = (url: string) => vault.seal(url);
  return {
    ...open,
    plan: mapImages(plan, seal),
    ...(changed && { changed: mapImages(changed, seal) }),
    ...(page && { page: vault.seal(JSON.stringify(page)) }),
    ...(pushes && { pushes: vault.seal(JSON.stringify(pushes)) }),
    storage: vault.seal(JSON.stringify(storage)),
    token: token === undefined ? undefined : vault.seal(token),
  };
}

const rowSchema = z.looseObject({
  storage: z.unknown(),
  token: z.string().optional(),
  page: z.string().optional(),
  pushes: z.string().optional(),
});

/**
 * The document with its secrets opened, still to be validated, and whether its row must be written again: because an
 * earlier version sealed nothing, or because the key that sealed it is being retired. Throws a Fault when a secret
 * cannot be opened.
 */
export function openDocument(vault: Vault, value: unknown): { document: unknown; isStale: boolean } {
  const row = rowSchema.safeParse(value);
  if (!row.success) return { document: value, isStale: false };
  const { storage, token, page, pushes } = row.data;
  const opened = typeof storage === 'string' ? JSON.parse(vault.open(storage)) : storage;
  const others = [token, page, pushes].filter((sealed) => sealed !== undefined);
  const openImage = (url: string) => {
    others.push(url);
    return Vault.isSealed(url) ? vault.open(url) : url;
  };
  const plan = mapImages(row.data['plan'], openImage);
  const changed = mapImages(row.data['changed'], openImage);
  const isStale = typeof storage !== 'string' || ![storage, ...others].every((sealed) => vault.isCurrent(sealed));
  return {
    document: {
      ...row.data,
      plan,
      ...(changed !== undefined && { changed }),
      storage: opened,
      token: token !== undefined && Vault.isSealed(token) ? vault.open(token) : token,
      ...(page !== undefined && { page: JSON.parse(vault.open(page)) }),
      ...(pushes !== undefined && { pushes: JSON.parse(vault.open(pushes)) }),
    },
    isStale,
  };
}

/** Members of a plan that name images. */
const HOLDERS = new Set(['backgrounds', 'watermark']);
/** Members of these that are addresses of images, which may hold keys. */
const IMAGE_ADDRESSES = new Set(['canvas', 'defaultUser', 'url', 'image']);

/** A part of a document, as JSON, with every address of an image changed. */
function mapImages(value: unknown, change: (url: string) => string, isOfImages = false): unknown {
  if (Array.isArray(value)) return value.map((each) => mapImages(each, change, isOfImages));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name,
    isOfImages && IMAGE_ADDRESSES.has(name) && typeof member === 'string'
      ? change(member)
      : mapImages(member, change, isOfImages || HOLDERS.has(name)),
  ]);
  return Object.fromEntries(members);
}
