/**
 * All that code without Node's types may use of the world (tsconfig.pure.json): what every JavaScript engine has, and
 * Buffer, which is memory and nothing else.
 */
/// <reference path="../node_modules/@types/node/buffer.d.ts" />
/// <reference path="../node_modules/@types/node/buffer.buffer.d.ts" />

declare function structuredClone<T>(value: T): T;
declare class URL {
  static parse(text: string): URL | null;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly username: string;
  readonly password: string;
  readonly pathname: string;
  readonly search: string;
  readonly protocol: string;
}
