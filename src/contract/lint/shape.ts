/** Which members a Zod schema has, whatever is wrapped round its object: optional, default, pipe, union and so on. */
import type { z } from 'zod';

/** The ways in which a value may be read: a schema without its wrappings, and each option of a union. */
export type Shape =
  | { kind: 'object'; members: Map<string, z.core.$ZodType>; open: boolean }
  | { kind: 'array'; element: z.core.$ZodType }
  | { kind: 'record'; value: z.core.$ZodType }
  /** Takes anything, so nothing can be said about its members. */
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
      // A request is what goes into a pipe, unless the pipe begins with a function, as `preprocess` does: then what
      // comes out.
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
 * The shapes that an object may be meant as: those options of a union whose fixed members agree with it, or all when
 * none does.
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

/**
 * Where each name may stand in a body of the schema: `clientRequest.storageConfig.bucket`. Items of arrays are `[]`.
 */
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
  // A lazy schema may contain itself.
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
