/**
 * How a valid request is spoilt: arbitrary values and texts that programs trip over, and the changes that put them into
 * bodies, paths and headers.
 */
import fc from 'fast-check';
import { basic } from '../support/rest-api.ts';

/** Stands in a body for text that JSON.stringify could not write, as `1e999`. */
class RawText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
/** `{"a":{"a":…}}` or `[[…]]`, this deep. */
const nested = (levels: number, open: string, close: string) =>
  new RawText(`${open.repeat(levels)}1${close.repeat(levels)}`);

const TEXTS = [
  '',
  ' ',
  '0',
  '-1',
  '1e3',
  '01',
  '1.5',
  '4294967296',
  '8810546176',
  '99999999999999999999',
  'NaN',
  'Infinity',
  'null',
  'undefined',
  '[object Object]',
  '__proto__',
  'constructor',
  'toString',
  '\u0000',
  'a\u0000b',
  '\r\nX-Injected: 1',
  '\ud800',
  '\udfff\ud800',
  '\u202e\u200b\ufeff',
  '٣٤',
  'é'.repeat(40),
  '👩‍👩‍👧‍👦'.repeat(20),
  '../../../etc/passwd',
  '..%2f..%2f',
  '%00%zz%',
  "'; drop table resources; --",
  '{"$ne":null}',
  '#allstream#',
  'http://[::1',
  'javascript:alert(1)',
  'file:///etc/passwd',
  'a'.repeat(64),
  'a'.repeat(70_000),
  '('.repeat(3000),
];
const VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  4,
  99,
  2 ** 31,
  2 ** 53,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  new RawText('1e999'),
  new RawText('-1e999'),
  new RawText('-0'),
  new RawText('123456789012345678901234567890'),
  new RawText(`0.${'1'.repeat(5000)}`),
  [],
  {},
  [[]],
  [null],
  [{}],
  Array(33).fill('1'),
  Array(20_000).fill('7'),
  Array(5000).fill({}),
  { length: 1 },
  { toString: 1, valueOf: null },
  new RawText('{"__proto__":{"cname":"x","polluted":true}}'),
  new RawText('{"constructor":{"prototype":{"polluted":true}}}'),
  nested(30, '[', ']'),
  nested(30, '{"a":', '}'),
  nested(70, '[', ']'),
  nested(5000, '{"clientRequest":', '}'),
  nested(100_000, '[', ']'),
];

const hostileText = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
);
const hostileValue = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 2, arbitrary: hostileText },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 1, arbitrary: fc.integer() },
);

/** A change of a body must not reach the values that others are made of. */
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof RawText) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, copyOf(member)]));
}

type Holder = Record<string, unknown> | unknown[];
type Place = { holder: Holder; name: string };

/** Every member of a body, at any depth. */
function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null || value instanceof RawText) return [];
  return Object.entries(value).flatMap(([name, member]) => [{ holder: value as Holder, name }, ...placesIn(member)]);
}

/** One change of a body; `at` chooses the member. Changes the body it is given. */
export const bodyChange: fc.Arbitrary<(body: unknown) => unknown> = fc
  .record({
    at: fc.nat(10_000),
    how: fc.constantFrom('replace', 'replace', 'replace', 'drop', 'rename', 'wrap', 'add', 'whole'),
    name: hostileText,
    value: hostileValue,
  })
  .map(({ at, how, name, value: given }) => (body: unknown) => {
    const value = copyOf(given);
    if (how === 'whole') return at % 10 === 0 ? value : body;
    const places = placesIn(body);
    const place = places[at % Math.max(1, places.length)];
    if (!place) return value;
    const holder = place.holder as Record<string, unknown>;
    const old = holder[place.name];
    if (how === 'replace') holder[place.name] = value;
    if (how === 'wrap') holder[place.name] = [old];
    if (how === 'drop' || how === 'rename') delete holder[place.name];
    // A name such as "__proto__" is to be a member like any other.
    if (how === 'rename' || how === 'add')
      Object.defineProperty(holder, name, {
        value: how === 'add' ? value : old,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    return body;
  });

/** JSON, with raw text where it stands. */
export function write(value: unknown): string {
  if (value instanceof RawText) return value.text;
  // Not `map`, which asks the list for its `constructor`: that may be any value here.
  if (Array.isArray(value)) return `[${Array.from(value, write).join(',')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`)
      .join(',')}}`;
  return JSON.stringify(value) ?? 'null';
}

/** A change of a body's text that mostly is no JSON afterwards. */
export const textChange: fc.Arbitrary<(text: string) => string> = fc
  .record({
    at: fc.nat(100_000),
    how: fc.constantFrom('cut', 'insert', 'duplicate', 'comma', 'comment', 'twice', 'pad', 'single'),
    text: hostileText,
  })
  .map(({ at, how, text }) => (body: string) => {
    const cut = at % (body.length + 1);
    const [head, tail] = [body.slice(0, cut), body.slice(cut)];
    switch (how) {
      case 'cut':
        return head;
      case 'insert':
        return head + text + tail;
      case 'duplicate':
        return body.replace('{', `{"cname":${JSON.stringify(text)},"uid":"1","clientRequest":7,`);
      case 'comma':
        return body.replace(/\}$/, ',}');
      case 'comment':
        return `// ${text}\n${body}`;
      case 'twice':
        return body + body;
      case 'pad':
        return body + ' '.repeat(at % 2 === 0 ? 1_048_576 : 1000);
      default:
        return body.replaceAll('"', "'");
    }
  });

/** Something for one part of a path. Slashes and question marks make other paths of it. */
export const hostilePart = fc.oneof(
  hostileText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 4000)),
  hostileText.map((text) => text.replace(/[^\x21-\x7e]/g, '.').slice(0, 4000)),
  fc.constantFrom(
    '%',
    '%2',
    '%zz',
    '%00',
    '%2e%2e',
    '%c0%ae',
    '%f0%28%8c%28',
    '..',
    '.',
    ';',
    '/',
    '//',
    '?',
    '?a=b&a=c',
    '*',
  ),
  fc.constantFrom('f'.repeat(32), 'F'.repeat(32), '0'.repeat(32), 'a'.repeat(1024), 'a'.repeat(1025), 'a'.repeat(3000)),
  fc.constantFrom('individual', 'mix', 'web', 'MIX', 'Mix%20', 'mixed'),
);

/** Header values travel as Latin-1 without controls; Node's client, as every other, sends nothing else. */
const headerText = hostileText.map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?').slice(0, 3000));
const TYPES = [
  '',
  'application/json',
  'application/json; charset=utf-16',
  'application/json; charset',
  'application/json;;;',
  'text/plain',
  'text/xml',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  'application/x-ndjson',
  'a/b/c',
  '/',
  ',',
];
const AUTHORIZATIONS = [
  '',
  ' ',
  'Basic',
  'Basic ',
  'Basic !!!!',
  'Basic Og==',
  'Bearer abc',
  'Digest username="id"',
  basic(':'),
  basic('id:'),
  basic('id:se:cret:'),
  basic('id:se'),
  basic('limited:x'),
  basic('no colon'),
  basic('__proto__:x'),
  `${basic('id:se:cret')}, ${basic('id:se:cret')}`,
  `Basic ${'A'.repeat(8000)}`,
];
export const headerChange: fc.Arbitrary<Record<string, string>> = fc.oneof(
  fc.constantFrom(...AUTHORIZATIONS).map((authorization) => ({ authorization })),
  headerText.map((authorization) => ({ authorization })),
  fc.constantFrom(...TYPES).map((type) => ({ 'content-type': type })),
  headerText.map((type) => ({ 'content-type': type })),
  fc
    .constantFrom('gzip', 'br', 'identity', 'IDENTITY', 'gzip, gzip', '', 'x')
    .map((encoding) => ({ 'content-encoding': encoding })),
  fc.constantFrom('0', '1', '5', '99999999', '-1', 'x', '1e3', '').map((length) => ({ 'content-length': length })),
  headerText.map((text) => ({
    accept: text,
    origin: text,
    'x-request-id': text,
    'x-forwarded-for': text,
    'accept-version': text,
    cookie: text,
  })),
  fc.constantFrom('PUT', 'DELETE', 'X'.repeat(255)).map((method) => ({ 'x-http-method-override': method })),
);
