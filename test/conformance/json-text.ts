/**
 * JSON as typed languages see it: a number keeps the digits it was written with, as `4`, `4.0` and `4e0` are one value
 * in JavaScript and three things to Go.
 */

/** A number as it was written. */
export class NumberText {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
  /** JSON.stringify prints it as it was. */
  toJSON(): unknown {
    return rawJson(this.source);
  }
}
export type Json = null | boolean | string | NumberText | Json[] | JsonObject;
export type JsonObject = { [name: string]: Json };

type Reviver = (this: unknown, name: string, value: unknown, context: { source: string }) => unknown;
// The compiler's library has neither of the two yet.
const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** Throws a SyntaxError for what is not JSON. */
export function readJson(text: string): Json {
  return parse(text, (_name, value, { source }) =>
    typeof value === 'number' ? new NumberText(source) : value,
  ) as Json;
}

/** The value as JavaScript has it. */
export function toPlain(json: Json): unknown {
  if (json instanceof NumberText) return Number(json.source);
  if (Array.isArray(json)) return json.map(toPlain);
  if (!isObject(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([name, member]) => [name, toPlain(member)]));
}

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json) && !(json instanceof NumberText);
}

/** What a value is, for messages. */
export function kindOf(json: Json): string {
  if (json === null) return 'null';
  if (json instanceof NumberText) return `the number ${json.source}`;
  if (Array.isArray(json)) return 'an array';
  if (typeof json === 'object') return 'an object';
  return typeof json === 'string' ? `the string ${JSON.stringify(json)}` : `${json}`;
}

/** The shortest decimal that is the same 32-bit float, which is how Go and Java print one. */
function shortestFloat32(value: number): string {
  const single = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = single.toPrecision(digits);
    if (Math.fround(Number(text)) === single) return String(Number(text));
  }
  return String(Number(single.toPrecision(9)));
}

/** A float32 for JSON.stringify as Go prints it: `1`, `0.1`. */
export function goFloat32(value: number): unknown {
  return rawJson(shortestFloat32(value));
}

/** A float32 for JSON.stringify as Java prints it: `1.0`, `0.1`. */
export function javaFloat32(value: number): unknown {
  const text = shortestFloat32(value);
  return rawJson(/[.e]/.test(text) ? text : `${text}.0`);
}
