/**
 * What members a Zod schema has, through all that may be wrapped round an object: optional, default, pipe, union and so
 * on.
 */
import type { z } from 'zod';

/** The ways a value may be read: a schema without its wrappings, and of a union each option. */
export type Shape =
  | { kind: 'object'; members: Map<string, z.core.$ZodType>; open: boolean }
  | { kind: 'array'; element: z.core.$ZodType }
  | { kind: 'record'; value: z.core.$ZodType }
  /** Takes anything, so there is nothing to say of what is in it. */
  | { kind: 'any' }
  | { kind: 'leaf'; values: ReadonlySet<unknown> | undefined };

const known = new WeakMap<z.core.$ZodType, Shape[]>();

export function shapesOf(schema: z.core.$ZodType): Shape[] {
  let shapes = known.get(schema);
  if (!shapes) {
    shapes = unwrap(schema);
    known.set(schema, shapes);
  }
  return shapes;
}

function unwrap(schema: z.core.$ZodType): Shape[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object':
      return [{ kind: 'object', members: new Map(Object.entries(def.shape)), open: def.catchall !== undefined }];
    case 'array':
      return [{ kind: 'array', element: def.element }];
    case 'record':
      return [{ kind: 'record', value: def.valueType }];
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
      return shapesOf(def.innerType);
    case 'lazy':
      return shapesOf(def.getter());
    case 'pipe':
      // What is sent is what goes in, unless a function stands there, as in `preprocess`: then what it makes.
      return shapesOf((def.in as z.core.$ZodTypes)._zod.def.type === 'transform' ? def.out : def.in);
    case 'union':
      return def.options.flatMap((option) => shapesOf(option));
    case 'intersection':
      return [...shapesOf(def.left), ...shapesOf(def.right)];
    case 'any':
    case 'unknown':
    case 'custom':
    case 'transform':
      return [{ kind: 'any' }];
    case 'literal':
      return [{ kind: 'leaf', values: new Set(def.values) }];
    default:
      return [{ kind: 'leaf', values: undefined }];
  }
}

/**
 * The shapes an object may have been meant as: of a union's options those whose fixed members it agrees with, or all
 * when there is none such.
 */
export function shapesFor(shapes: readonly Shape[], value: Record<string, unknown>): Shape[] {
  const objects = shapes.filter((shape) => shape.kind === 'object');
  if (objects.length < 2) return [...shapes];
  const agreeing = objects.filter(({ members }) =>
    [...members].every(([name, schema]) => {
      const fixed = shapesOf(schema).every((shape) => shape.kind === 'leaf' && shape.values);
      if (!fixed || !Object.hasOwn(value, name)) return true;
      return shapesOf(schema).some((shape) => shape.kind === 'leaf' && shape.values?.has(value[name]));
    }),
  );
  const others = shapes.filter((shape) => shape.kind !== 'object');
  return agreeing.length > 0 ? [...agreeing, ...others] : [...shapes];
}

const MAX_SCHEMA_DEPTH = 12;
const places = new WeakMap<z.core.$ZodType, Map<string, string[]>>();

/** Where in bodies of a schema each name may stand: `clientRequest.storageConfig.bucket`. Items of arrays are `[]`. */
export function placesOf(root: z.core.$ZodType): Map<string, string[]> {
  let found = places.get(root);
  if (!found) {
    found = new Map();
    collect(root, '', [], found);
    places.set(root, found);
  }
  return found;
}

function collect(
  schema: z.core.$ZodType,
  path: string,
  above: readonly z.core.$ZodType[],
  found: Map<string, string[]>,
): void {
  // A lazy schema may hold itself.
  if (above.length >= MAX_SCHEMA_DEPTH || above.includes(schema)) return;
  const chain = [...above, schema];
  for (const shape of shapesOf(schema)) {
    if (shape.kind === 'array') collect(shape.element, `${path}[]`, chain, found);
    if (shape.kind === 'record') collect(shape.value, `${path}.*`, chain, found);
    if (shape.kind !== 'object') continue;
    for (const [name, member] of shape.members) {
      const place = path === '' ? name : `${path}.${name}`;
      const list = found.get(name) ?? [];
      if (!list.includes(place)) found.set(name, [...list, place]);
      collect(member, place, chain, found);
    }
  }
}
