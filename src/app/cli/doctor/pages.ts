/** Whether this machine can record web pages. Where it cannot, web mode is refused, and everything else works. */
import type { Config } from '../../../config/load.ts';
import { messageOf } from '../../../kernel/fault.ts';
import { findGroupHome } from '../../../stages/source/page/page-group.ts';
import { findPrograms } from '../../../stages/source/page/programs.ts';
import { limitWords, pageUser, probeGuard } from '../../pages.ts';
import { type Found, fine, warning } from './finding.ts';

/** What each guard does, in words. */
const GUARDED = {
  namespace: 'pages have a network of their own',
  user: 'each page has a user of its own, and nftables rules',
  'trust-the-browser': 'nothing but the browser’s own settings keeps pages from this machine’s networks (pageGuard)',
} as const;

/** What was found, in order. */
export async function examinePages({
  pageUser: user,
  pageGuard: guard,
}: Pick<Config, 'pageUser' | 'pageGuard'>): Promise<Found[]> {
  const found: Found[] = [];
  const look = async <T>(find: () => T | Promise<T>, words: (found: T) => string): Promise<T | undefined> => {
    try {
      const one = await find();
      found.push(fine(words(one)));
      return one;
    } catch (error) {
      found.push(
        warning(
          `web mode is refused: ${messageOf(error)}`,
          'On Debian: npm run setup:pages in a clone, or the packages that docs/guide/pages.md lists.',
        ),
      );
      return undefined;
    }
  };
  const programs = await look(findPrograms, (names) => `programs: ${Object.keys(names).join(', ')}`);
  const runAs = await look(
    () => pageUser(user) ?? 'self',
    (one) => `pages run as ${one === 'self' ? 'the server’s own user' : `${user} (${one.uid})`}`,
  );
  if (programs && runAs)
    await look(
      () => probeGuard(guard, programs, runAs === 'self' ? undefined : runAs),
      (sandboxed) => `${GUARDED[guard]}; Chromium’s sandbox is ${sandboxed ? 'on' : 'off, as it cannot be had here'}`,
    );
  found.push(fine(limitWords(findGroupHome())));
  return found;
}
