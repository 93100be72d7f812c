/**
 * AMF0, in which RTMP's commands are written (Adobe's "Action Message Format -- AMF 0", 2007): the part that publishing
 * needs. Pure.
 */
import { Fault } from '../../kernel/fault.ts';

export type AmfValue = number | boolean | string | null | undefined | AmfValue[] | { [name: string]: AmfValue };

const MARKER = {
  number: 0,
  boolean: 1,
  string: 2,
  object: 3,
  null: 5,
  undefined: 6,
  ecmaArray: 8,
  objectEnd: 9,
  strictArray: 10,
  date: 11,
  longString: 12,
} as const;
/** How deeply objects and arrays may be nested: no command of RTMP comes near it. */
const MAX_DEPTH = 16;

export function encodeAmf(...values: AmfValue[]): Buffer {
  return Buffer.concat(values.map(encode));
}

/** All values of a message. Throws a Fault for a malformed message, and for types that no command has. */
export function decodeAmf(bytes: Buffer): AmfValue[] {
  const reader = new AmfReader(bytes);
  const values: AmfValue[] = [];
  try {
    while (!reader.isAtEnd) values.push(reader.value(0));
  } catch (cause) {
    throw new Fault('rtmp-malformed', 'the server sent a command that cannot be read', { blame: 'destination', cause });
  }
  return values;
}

function encode(value: AmfValue): Buffer {
  switch (typeof value) {
    case 'number': {
      const bytes = Buffer.alloc(9);
      bytes.writeDoubleBE(value, 1);
      return bytes;
    }
    case 'boolean':
      return Buffer.of(MARKER.boolean, value ? 1 : 0);
    case 'string':
      return Buffer.concat([Buffer.of(MARKER.string), name(value)]);
    case 'undefined':
      return Buffer.of(MARKER.undefined);
    default:
      if (value === null) return Buffer.of(MARKER.null);
      if (Array.isArray(value)) throw new TypeError('no command that publishes has an array');
      return Buffer.concat([Buffer.of(MARKER.object), ...members(value), Buffer.of(0, 0, MARKER.objectEnd)]);
  }
}

function members(object: { [name: string]: AmfValue }): Buffer[] {
  return Object.entries(object).flatMap(([key, value]) => [name(key), encode(value)]);
}

function name(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 0xffff) throw new TypeError('a text of AMF0 is shorter than 65 536 bytes');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

class AmfReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  value(depth: number): AmfValue {
    if (depth > MAX_DEPTH) throw new RangeError('too deep');
    const marker = this.#take(1).readUInt8();
    switch (marker) {
      case MARKER.number:
        return this.#take(8).readDoubleBE();
      case MARKER.boolean:
        return this.#take(1).readUInt8() !== 0;
      case MARKER.string:
        return this.#text(this.#take(2).readUInt16BE());
      case MARKER.longString:
        return this.#text(this.#take(4).readUInt32BE());
      case MARKER.null:
        return null;
      case MARKER.undefined:
        return undefined;
      case MARKER.date:
        return this.#take(10).readDoubleBE();
      case MARKER.ecmaArray:
        this.#take(4);
        return this.#object(depth);
      case MARKER.object:
        return this.#object(depth);
      case MARKER.strictArray: {
        const length = this.#take(4).readUInt32BE();
        const items: AmfValue[] = [];
        for (let i = 0; i < length; i++) items.push(this.value(depth + 1));
        return items;
      }
      default:
        throw new RangeError(`type ${marker}`);
    }
  }

  #object(depth: number): { [name: string]: AmfValue } {
    const object: { [name: string]: AmfValue } = Object.create(null);
    for (;;) {
      const key = this.#text(this.#take(2).readUInt16BE());
      if (key === '' && this.#bytes[this.#at] === MARKER.objectEnd) {
        this.#at++;
        return object;
      }
      object[key] = this.value(depth + 1);
    }
  }

  #text(length: number): string {
    return this.#take(length).toString();
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('it ends too soon');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
