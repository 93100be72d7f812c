/**
 * `aircheck moving`: how the vendor's client libraries come to this server without a change in them. Says which hosts
 * they call and where to point those, and makes the certificate that the server needs to answer for them.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock } from '../../../kernel/clock.ts';
import { type CertificateWish, makeCertificates } from './certificates.ts';
import { filesIn, type MadeFiles, type MovingChoice, planOf, refuse } from './plan.ts';
import { inWords } from './words.ts';

export type MovingWords = MovingChoice & {
  /** Further names that the certificate is for, separated by commas. */
  name?: string;
  /** Folder to make certificates in; none are made when absent. */
  certificates?: string;
  days: number;
  force?: boolean;
  json?: boolean;
};

/** Where certificates would be made; used in the advice when none were asked for. */
const FOLDER = './moving';
/** Where systems keep the authorities that they trust: Debian, Fedora and the like, Alpine. */
const SYSTEM_BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'];

/** Throws a Fault for options that make no sense and for files that exist already; nothing is made then. */
export async function moving(words: MovingWords): Promise<void> {
  const names = namesOf(words.name);
  if (names.length > 0 && words.certificates === undefined)
    throw refuse('--name is for the certificate: give --certificates <folder> as well');
  const folder = resolve(words.certificates ?? FOLDER);
  const plan = planOf(words, folder);
  if (words.certificates !== undefined)
    plan.certificate = await makeFiles(folder, words, {
      hosts: [...plan.hosts, ...names],
      nowMs: systemClock.nowMs(),
      days: words.days,
    });
  process.stdout.write(words.json ? `${JSON.stringify(plan, null, 2)}\n` : inWords(plan));
}

async function makeFiles(folder: string, { force }: MovingWords, wish: CertificateWish): Promise<MadeFiles> {
  const files = filesIn(folder);
  const there = Object.values(files).filter((path) => existsSync(path));
  if (there.length > 0 && !force)
    throw refuse(`${there.join(', ')} is there already; --force makes new ones in its place`);
  const { ca, cert, key, endsMs } = await makeCertificates(wish);
  const system = SYSTEM_BUNDLES.find((path) => existsSync(path));
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const path of there) rmSync(path);
  // The flag `wx` makes a new file: one that was there would keep its old mode.
  const write = (path: string, text: string, mode: number) => writeFileSync(path, text, { mode, flag: 'wx' });
  write(files.key, key, 0o600);
  write(files.cert, cert, 0o644);
  write(files.ca, ca, 0o644);
  write(files.bundle, `${system ? `${readFileSync(system, 'utf8').trim()}\n` : ''}${ca}`, 0o644);
  return { ...files, ends: new Date(endsMs).toISOString() };
}

function namesOf(text: string | undefined): string[] {
  const names = text?.split(',').map((part) => part.trim()) ?? [];
  const bad = names.find(
    (name) =>
      !/^(?=.{1,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(name),
  );
  if (bad !== undefined) throw refuse(`"${bad}" is not a host name`);
  return names;
}
