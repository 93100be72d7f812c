/** `aircheck doctor`: says whether this machine can record web pages, and what to do about whatever it lacks. */
import { type Config, loadConfig, unknownVariables } from '../../config/load.ts';
import { messageOf } from '../../kernel/fault.ts';
import { findGroupHome } from '../../stages/source/page/page-group.ts';
import { findPrograms } from '../../stages/source/page/programs.ts';
import { limitWords, pageUser, probeGuard } from '../pages.ts';

/** One thing that web pages need: what was found, or what is wrong with it, in words. */
type Finding = { ok: boolean; text: string };

/** What each guard does, and what becomes of Chromium's sandbox, in words. */
const GUARDED = {
  namespace: 'pages have a network of their own',
  user: 'each page has a user of its own, and nftables rules',
  'trust-the-browser': 'nothing but the browser’s own settings keeps pages from this machine’s networks (pageGuard)',
} as const;

/** What was found, in order. */
async function examine({
  pageUser: user,
  pageGuard: guard,
}: Pick<Config, 'pageUser' | 'pageGuard'>): Promise<Finding[]> {
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
      () => probeGuard(guard, programs, runAs === 'self' ? undefined : runAs),
      (sandboxed) => `${GUARDED[guard]}; Chromium’s sandbox is ${sandboxed ? 'on' : 'off, as it cannot be had here'}`,
    );
  findings.push({ ok: true, text: limitWords(findGroupHome()) });
  return findings;
}

export async function doctor(): Promise<void> {
  const findings = await examine(loadConfig());
  for (const words of unknownVariables()) process.stdout.write(`${words}\n`);
  process.stdout.write('Recording web pages:\n');
  for (const { ok, text } of findings) process.stdout.write(`  ${ok ? 'ok     ' : 'missing'} ${text}\n`);
  if (findings.every(({ ok }) => ok)) return;
  process.stdout.write('Until then web mode is refused; everything else works. On Debian: npm run setup:pages\n');
  process.exitCode = 1;
}
