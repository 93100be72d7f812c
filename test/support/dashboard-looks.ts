/** How a page of the dashboard looks: to somebody who cannot see it well, and on a phone. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that keeps somebody from using the page, by light and, of what can be read, in the dark. */
export async function barriers(page: Page): Promise<string[]> {
  // The page's own policy lets no script in that is not the server's.
  const session = await page.context().newCDPSession(page);
  const evaluate = async (expression: string) =>
    (await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })).result.value;
  await evaluate(AXE);
  const run = async (options: string) =>
    (await evaluate(
      `axe.run(${options}).then(({violations}) => violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
       .map(({id, nodes}) => id + ': ' + nodes.map(({html}) => html.slice(0, 120)).join(' ')))`,
    )) as string[];
  const found = await run('{}');
  await page.emulateMedia({ colorScheme: 'dark' });
  const inTheDark = await run("{ runOnly: ['color-contrast'] }");
  await page.emulateMedia({ colorScheme: 'light' });
  await session.detach();
  return [...found, ...inTheDark.map((each) => `in the dark: ${each}`)];
}

/** At the width of a phone nothing is cut off. */
export async function fitsPhone(page: Page): Promise<void> {
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  // Nor is what is over the page.
  const over = await page.evaluate(`(() => {
    const dialog = document.querySelector('dialog[open]');
    return dialog ? dialog.scrollWidth - dialog.clientWidth : 0;
  })()`);
  expect(over).toBeLessThanOrEqual(0);
  if (before) await page.setViewportSize(before);
}
