/**
 * What Go's encoding/json and Java's Jackson do with JSON that is to become a value of a given shape: which types each
 * insists on, coerces, or passes over. Failures are Errors whose message names the place.
 */
import { isObject, type Json, kindOf, NumberText } from './json-text.ts';

/** `whole` is a 32-bit int in Java, `long` a 64-bit one; both are 64 bits in Go. */
export type Shape =
  | 'text'
  | 'whole'
  | 'long'
  | 'flag'
  | 'any'
  | { list: Shape }
  | { members: Record<string, Shape> }
  | { values: Shape };

const LIMITS = { whole: 2n ** 31n, long: 2n ** 63n };

function mismatch(json: Json, wanted: string, place: string): Error {
  return new Error(`${kindOf(json)} where ${wanted} is wanted, at ${place}`);
}

/**
 * As encoding/json unmarshals: unknown members are passed over, null leaves the zero value, names match in any case
 * when none matches exactly, and no scalar becomes another.
 */
export function decodeGo(shape: Shape, json: Json, place = 'the body'): void {
  if (json === null || shape === 'any') return;
  if (shape === 'text') {
    if (typeof json !== 'string') throw mismatch(json, 'a Go string', place);
  } else if (shape === 'flag') {
    if (typeof json !== 'boolean') throw mismatch(json, 'a Go bool', place);
  } else if (shape === 'whole' || shape === 'long') {
    if (!(json instanceof NumberText) || !/^-?\d+$/.test(json.source)) throw mismatch(json, 'a Go int', place);
    const value = BigInt(json.source);
    if (value >= LIMITS.long || value < -LIMITS.long) throw mismatch(json, 'a Go int64', place);
  } else if ('list' in shape) {
    if (!Array.isArray(json)) throw mismatch(json, 'a Go slice', place);
    for (const [index, element] of json.entries()) decodeGo(shape.list, element, `${place}[${index}]`);
  } else {
    if (!isObject(json)) throw mismatch(json, 'values' in shape ? 'a Go map' : 'a Go struct', place);
    for (const [name, member] of Object.entries(json)) {
      const inner = 'values' in shape ? shape.values : goField(shape.members, name);
      if (inner !== undefined) decodeGo(inner, member, `${place}.${name}`);
    }
  }
}

function goField(members: Record<string, Shape>, name: string): Shape | undefined {
  if (Object.hasOwn(members, name)) return members[name];
  const folded = name.toLowerCase();
  return Object.entries(members).find(([known]) => known.toLowerCase() === folded)?.[1];
}

export type JacksonOptions = { failOnUnknown: boolean };

/**
 * As a default ObjectMapper binds: scalars are coerced where one can be read as the other, a fraction loses what is
 * behind the point, and an unknown member is fatal unless switched off.
 */
export function decodeJackson(shape: Shape, json: Json, options: JacksonOptions, place = 'the body'): void {
  if (json === null || shape === 'any') return;
  if (typeof shape === 'string') {
    if (!isJavaScalar(shape, json)) throw mismatch(json, `a Java ${JAVA_NAMES[shape]}`, place);
  } else if ('list' in shape) {
    if (!Array.isArray(json)) throw mismatch(json, 'a Java List', place);
    for (const [index, element] of json.entries()) decodeJackson(shape.list, element, options, `${place}[${index}]`);
  } else {
    if (!isObject(json)) throw mismatch(json, 'a Java object', place);
    for (const [name, member] of Object.entries(json)) {
      const known = 'values' in shape || Object.hasOwn(shape.members, name);
      if (!known && options.failOnUnknown) throw new Error(`the member ${name} is not known to Java, at ${place}`);
      const inner = 'values' in shape ? shape.values : shape.members[name];
      if (known && inner !== undefined) decodeJackson(inner, member, options, `${place}.${name}`);
    }
  }
}

const JAVA_NAMES = { text: 'String', whole: 'Integer', long: 'Long', flag: 'Boolean' };

function isJavaScalar(shape: keyof typeof JAVA_NAMES, json: Json): boolean {
  if (typeof json === 'object' && !(json instanceof NumberText)) return false;
  if (shape === 'text') return true;
  // An empty text stands for null.
  if (typeof json === 'string' && json.trim() === '') return true;
  if (shape === 'flag') {
    if (typeof json === 'string') return /^(true|false|TRUE|FALSE|True|False)$/.test(json.trim());
    return typeof json === 'boolean' || (json instanceof NumberText && /^-?\d+$/.test(json.source));
  }
  if (typeof json === 'boolean') return false;
  if (typeof json === 'string') return /^[+-]?\d+$/.test(json.trim()) && fits(shape, BigInt(json.trim()));
  const value = Math.trunc(Number((json as NumberText).source));
  return Number.isFinite(value) && fits(shape, BigInt(value));
}

function fits(shape: 'whole' | 'long', value: bigint): boolean {
  return value < LIMITS[shape] && value >= -LIMITS[shape];
}
