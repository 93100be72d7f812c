/**
 * `aircheck doctor`: says whether this machine has what recordings of web pages need, and what to do about what it
 * lacks.
 */
import { loadConfig } from '../../config/load.ts';
import { messageOf } from '../../kernel/fault.ts';
import { findPrograms } from '../../stages/source/page/programs.ts';
import { pageUser, probeNamespaces } from '../pages.ts';

/** One thing that is needed: what was found of it, or what is wrong, in words. */
type Finding = { ok: boolean; text: string };

/** What was found, in order. @param user as of the setting `pageUser` */
async function examine(user: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const look = async <T>(find: () => T | Promise<T>, words: (found: T) => string): Promise<T | undefined> => {
    try {
      const found = await find();
      findings.push({ ok: true, text: words(found) });
      return found;
    } catch (error) {
      findings.push({ ok: false, text: messageOf(error) });
      return undefined;
    }
  };
  const programs = await look(findPrograms, (found) => `programs: ${Object.keys(found).join(', ')}`);
  const runAs = await look(
    () => pageUser(user) ?? 'self',
    (found) => `pages run as ${found === 'self' ? 'the server’s own user' : `${user} (${found.uid})`}`,
  );
  if (programs && runAs)
    await look(
      () => probeNamespaces(programs, runAs === 'self' ? undefined : runAs),
      () => 'pages have a network of their own',
    );
  return findings;
}

export async function doctor(): Promise<void> {
  const findings = await examine(loadConfig().pageUser);
  process.stdout.write('Recording web pages:\n');
  for (const { ok, text } of findings) process.stdout.write(`  ${ok ? 'ok     ' : 'missing'} ${text}\n`);
  if (findings.every(({ ok }) => ok)) return;
  process.stdout.write('Web mode is refused until then; all else works without. On Debian: npm run setup:pages\n');
  process.exitCode = 1;
}
