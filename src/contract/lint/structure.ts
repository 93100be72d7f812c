/**
 * Finds members of a body that its schema does not have. They are taken and have no effect (contract §0.1), which their
 * sender would otherwise learn only from the finished recording.
 */
import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { placesOf, type Shape, shapesFor, shapesOf } from './shape.ts';
import { isEmpty, isObject, MAX_WARNINGS, memberPath, shorten, type Warning } from './warning.ts';

/** A body of 1 MiB can be deeper than any schema and have more members than are worth checking. */
const MAX_DEPTH = 32;
const MAX_VALUES = 20_000;

/**
 * Names that official clients send without effect and that nobody misses: an undocumented member (contract §1.2.2), and
 * the user group, which individual mode needs and many send in composite mode as well.
 */
const HARMLESS = new Set(['enableNTPtimestamp', 'subscribeUidGroup']);

/**
 * Warns of members that `schema` does not have: `misspelt`, `misnested` or `ignored`. The body is taken as it was sent,
 * valid or not. At most 50 warnings, in time proportional to the body.
 */
export function lintRequest(schema: z.core.$ZodType, body: unknown): Warning[] {
  const walk: Walk = { root: schema, warnings: [], left: MAX_VALUES };
  visit(walk, shapesOf(schema), body, '', 0);
  return walk.warnings;
}

type Walk = { root: z.core.$ZodType; warnings: Warning[]; left: number };

function visit(walk: Walk, shapes: readonly Shape[], value: unknown, path: string, depth: number): void {
  if (depth > MAX_DEPTH || isDone(walk)) return;
  if (Array.isArray(value)) {
    const elements = shapes.flatMap((shape) => (shape.kind === 'array' ? shapesOf(shape.element) : []));
    // Items that can hold no members are not checked.
    if (elements.every((element) => element.kind === 'leaf' || element.kind === 'any')) return;
    for (let index = 0; index < value.length && !isDone(walk); index += 1) {
      walk.left -= 1;
      visit(walk, elements, value[index], `${path}[${index}]`, depth + 1);
    }
  } else if (isObject(value)) visitObject(walk, shapesFor(shapes, value), value, path, depth);
}

function visitObject(
  walk: Walk,
  shapes: readonly Shape[],
  value: Record<string, unknown>,
  path: string,
  depth: number,
): void {
  const objects = shapes.filter((shape) => shape.kind === 'object');
  const records = shapes.filter((shape) => shape.kind === 'record');
  const open = shapes.some((shape) => shape.kind === 'any') || records.length > 0 || objects.some(({ open }) => open);
  for (const name of Object.keys(value)) {
    if (isDone(walk)) return;
    walk.left -= 1;
    const members = objects.flatMap((object) => object.members.get(name) ?? []);
    const inner = [...members, ...records.map((record) => record.value)].flatMap((schema) => shapesOf(schema));
    if (inner.length > 0) visit(walk, inner, value[name], memberPath(path, name), depth + 1);
    // A value that is not the object it should be is refused for that.
    else if (!open && objects.length > 0 && !isEmpty(value[name]) && !HARMLESS.has(name)) {
      const here = objects.flatMap((object) => [...object.members.keys()]);
      walk.warnings.push(judge(walk.root, new Set(here), value, path, name));
    }
  }
}

function isDone({ warnings, left }: Walk): boolean {
  return warnings.length >= MAX_WARNINGS || left <= 0;
}

function judge(
  root: z.core.$ZodType,
  here: ReadonlySet<string>,
  value: Record<string, unknown>,
  holder: string,
  name: string,
): Warning {
  const path = memberPath(holder, name);
  const shown = shorten(name);
  // A member that was sent as well is not the one that was misspelt.
  const missing = [...here].filter((member) => !Object.hasOwn(value, member));
  const same = missing.find((member) => plain(member) === plain(name));
  const elsewhere = placesOf(root).get(name);
  const meant = same ?? (elsewhere ? undefined : nearest(name, missing));
  if (meant !== undefined)
    return { code: 'misspelt', path, message: `${shown} is not known and is ignored; did you mean ${meant}?` };
  if (elsewhere) {
    const there = elsewhere.slice(0, 2).join(' or ');
    return { code: 'misnested', path, message: `${shown} has no effect here and is ignored; it belongs at ${there}.` };
  }
  return { code: 'ignored', path, message: `${shown} is not known and is ignored.` };
}

/** A name without the parts that people write in different ways. */
function plain(name: string): string {
  return name.length > 64 ? name : name.toLowerCase().replace(/[_-]/g, '');
}

/** The known name that differs from the given one by a few slips of the finger. */
function nearest(name: string, candidates: readonly string[]): string | undefined {
  if (name.length > 64) return undefined;
  const written = plain(name);
  // Two swapped letters count as two slips; in a short word that would leave nothing.
  const allowed = written.length < 5 ? 1 : written.length < 13 ? 2 : 3;
  let best: { candidate: string; slips: number } | undefined;
  for (const candidate of candidates) {
    const slips = distance(written, plain(candidate));
    if (slips > allowed) continue;
    if (!best || slips < best.slips) best = { candidate, slips };
  }
  return best?.candidate;
}
