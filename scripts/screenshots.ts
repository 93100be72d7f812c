/** Makes screenshots of the dashboard, of a recording that it makes. Wants Chromium; takes a minute. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LayoutDesigner } from '../test/support/dashboard-designer.ts';
import { DashboardPlayer } from '../test/support/dashboard-player.ts';
import { DashboardStage } from '../test/support/dashboard-stage.ts';
import { thumbnailOf } from '../test/support/dashboard-thumbnail.ts';

const FOLDER = process.argv[2] ?? 'screenshots';
const CHANNEL = 'morning show';
const SIZES = {
  wide: { width: 1280, height: 800 },
  large: { width: 1920, height: 1080 },
  phone: { width: 360, height: 740 },
};

mkdirSync(FOLDER, { recursive: true });
const stage = await DashboardStage.open();
const { page } = stage;
async function shoot(name: string, size: keyof typeof SIZES, colorScheme: 'light' | 'dark', fullPage = false) {
  await page.setViewportSize(SIZES[size]);
  await page.emulateMedia({ colorScheme });
  // What stays at the top of the window would lie over the middle of the page.
  if (fullPage) await page.evaluate('scrollTo(0, 0)');
  await pause(500);
  await page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage });
}
try {
  const first = await stage.join(CHANNEL, '1', { loop: false });
  const second = await stage.join(CHANNEL, '2', { loop: false });
  await page.goto(`${stage.server.baseUrl}/`);
  await shoot('sign-in', 'wide', 'light');
  await stage.signIn();
  const sid = await stage.start(CHANNEL, '901');
  await pause(8_000);
  await first.mute('video');
  await pause(4_000);
  await first.unmute('video');
  await pause(8_000);
  // No thumbnail is of a flash.
  for (const each of [first, second]) await each.show({ width: 640, height: 360, still: true });
  await page.getByRole('link', { name: 'Channels' }).click();
  await page.getByText('2 publishers').waitFor();
  await thumbnailOf(page, '1');
  await thumbnailOf(page, '2');
  await shoot('channels', 'wide', 'light');
  await shoot('channels-phone', 'phone', 'dark');
  for (const each of [first, second]) await each.show({ width: 640, height: 360 });
  await page.getByRole('link', { name: 'Recordings' }).click();
  await page.getByRole('link', { name: CHANNEL }).first().click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Ended', { exact: true }).first().waitFor({ timeout: 60_000 });
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  await stage.start(CHANNEL, '902');
  const designer = new LayoutDesigner(page);
  await designer.open();
  await designer.choose('Custom');
  await designer.drag(0, 'corner', 0.5, 0);
  await designer.drag(1, 'corner', -0.2, -0.65);
  await designer.drag(1, 'middle', 0.195, 0.64);
  await shoot('layout', 'wide', 'light', true);
  await shoot('layout-phone', 'phone', 'dark', true);
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  await page.getByRole('link', { name: CHANNEL }).first().waitFor();
  await shoot('recordings', 'wide', 'light');
  await shoot('recordings-large-dark', 'large', 'dark');
  await shoot('recordings-phone', 'phone', 'light');
  await page.goto(`${page.url().split('#')[0]}#/${stage.server.appid}/recordings/${sid}`);
  const player = new DashboardPlayer(page);
  await player.shows();
  await player.playPast(3);
  await player.choose(0.3, 0.6);
  await shoot('recording', 'wide', 'dark', true);
  await shoot('recording-light', 'wide', 'light', true);
  await shoot('recording-phone', 'phone', 'dark', true);
  await page.getByRole('link', { name: 'Health' }).click();
  await shoot('health', 'wide', 'dark');
  for (const complaint of stage.complaints) console.error(complaint);
} finally {
  await stage.close();
}
