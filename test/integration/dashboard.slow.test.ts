/** The dashboard as somebody uses it: in a browser, with a recording that runs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CUSTOMER, DashboardStage } from '../support/dashboard-stage.ts';

/** 57 bytes that are script, entities and signs wherever something forgets to treat them as text. */
const ODD = '<img src=x onerror=alert(1)>&amp;{{x}}|~!#$%()+-:;?@[]^_,';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let stage: DashboardStage;

beforeAll(async () => {
  const script = join(import.meta.dirname, '../../scripts/build-dashboard.ts');
  expect(spawnSync(process.execPath, [script, '--if-changed'], { stdio: 'inherit' }).status).toBe(0);
  stage = await DashboardStage.open();
  await Promise.all([stage.join(ODD, '1'), stage.join(ODD, '2')]);
}, 180_000);
afterAll(() => stage?.close(), 60_000);

/** What axe finds that keeps somebody from using the page. */
async function barriers(page: Page): Promise<string[]> {
  // The page's own policy lets no script in that is not the server's.
  const session = await page.context().newCDPSession(page);
  const evaluate = async (expression: string) =>
    (await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })).result.value;
  await evaluate(AXE);
  const found = await evaluate(
    `axe.run().then(({violations}) => violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
       .map(({id, nodes}) => id + ': ' + nodes.map(({html}) => html.slice(0, 120)).join(' ')))`,
  );
  await session.detach();
  return found as string[];
}

test('somebody signs in, sees who is there, and starts a recording that the list has at once', {
  timeout: 300_000,
}, async () => {
  const { page, server } = stage;
  await page.goto(`${server.baseUrl}/`);
  expect(await barriers(page)).toEqual([]);
  await page.getByLabel('Customer id').fill(CUSTOMER.id);
  await page.getByLabel('Customer secret').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Invalid authentication credentials').waitFor();
  await stage.signIn();
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: 'aircheck', httpOnly: true, sameSite: 'Strict' });
  expect(await page.evaluate('document.cookie')).toBe('');

  // Channels: both are there, with what comes of them.
  await page.getByRole('link', { name: 'Channels' }).click();
  await page.getByRole('heading', { name: ODD }).waitFor();
  await page.getByText('2 publishers').waitFor();
  expect(await page.getByRole('row').filter({ hasText: 'h264' }).count()).toBe(2);
  expect(await barriers(page)).toEqual([]);

  // Started here, and seen in the list as it goes on.
  await page.getByRole('link', { name: 'Recordings' }).click();
  await stage.start(ODD, '77');
  await page.getByRole('heading', { name: ODD }).waitFor();
  await page.getByText('Recording', { exact: true }).first().waitFor();
  const other = await stage.browser.context.newPage();
  await other.goto(`${server.baseUrl}/`);
  const row = other.getByRole('row').filter({ hasText: ODD });
  await row.getByText('Recording', { exact: true }).waitFor();

  // The player comes with the first file.
  const video = page.locator('video');
  await video.waitFor({ timeout: 60_000 });
  await other.close();
  expect(stage.complaints).toEqual([]);
});

test('the page may load nothing from elsewhere, and run nothing that is not the server’s', async () => {
  const answer = await fetch(`${stage.server.baseUrl}/`, { headers: { 'accept-encoding': 'br' } });
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toMatch(/unsafe|\*|http/);
  expect(answer.headers.get('content-encoding')).toBe('br');
  const html = await answer.text();
  const assets = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path);
  expect(assets.length).toBeGreaterThan(1);
  let bytes = 0;
  for (const path of assets) {
    const asset = await fetch(`${stage.server.baseUrl}${path}`, { headers: { 'accept-encoding': 'br' } });
    expect([asset.status, asset.headers.get('content-encoding')]).toEqual([200, 'br']);
    bytes += Number(asset.headers.get('content-length'));
  }
  expect(bytes).toBeGreaterThan(5_000);
  expect(bytes).toBeLessThan(250_000);
});
