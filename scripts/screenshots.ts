/**
 * Makes screenshots of the dashboard, of recordings that it makes: of whole pages to be looked at, and those of the
 * docs, which are parts of pages. Wants Chromium; takes two minutes.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Locator } from 'playwright-core';
import { LayoutDesigner } from '../test/support/dashboard-designer.ts';
import { DashboardPlayer } from '../test/support/dashboard-player.ts';
import { DashboardStage } from '../test/support/dashboard-stage.ts';
import { thumbnailOf } from '../test/support/dashboard-thumbnail.ts';
import { localStorage } from '../test/support/test-server.ts';

const FOLDER = process.argv[2] ?? 'screenshots';
const CHANNEL = 'morning show';
/** As long as a name may be, without a place to break it at. */
const LONG = `${'a_very_long_name_of_a_channel_'.repeat(2)}123`;
/** As long as a uid may be. */
const LONG_UID = '4294967295';
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
/** The whole page, light and wide, and dark on a phone. */
async function shootPage(name: string) {
  await shoot(name, 'wide', 'light', true);
  await shoot(`${name}-phone`, 'phone', 'dark', true);
  await page.setViewportSize(SIZES.wide);
}
/** One part of the page, for the docs. */
async function shootPart(name: string, part: Locator, colorScheme: 'light' | 'dark') {
  // High enough that nothing of it lies under what stays at the top of the window.
  await page.setViewportSize({ ...SIZES.wide, height: 1200 });
  await page.emulateMedia({ colorScheme });
  await part.evaluate((element) => element.scrollIntoView({ block: 'center' }));
  await pause(500);
  await part.screenshot({ path: join(FOLDER, `${name}.png`) });
  await page.setViewportSize(SIZES.wide);
}
/** Has the player stand at a picture that is no flash. */
async function offFlash(player: DashboardPlayer) {
  await player.nameAt(0.05, 0.97);
}
async function open(sid: string) {
  await page.goto(`${stage.server.baseUrl}/#/${stage.server.appid}/recordings/${sid}`);
  await page.reload();
  await page.getByRole('heading', { name: 'Events' }).waitFor();
}

/** A channel of a long name, whose users are recorded alone: mixed, kept, and one of them removed. */
async function single() {
  const users = [await stage.join(LONG, '1'), await stage.join(LONG, LONG_UID)];
  await page.getByRole('link', { name: 'Channels', exact: true }).click();
  await thumbnailOf(page, LONG_UID);
  await shootPage('long-channels');
  const storageConfig = localStorage('recordings');
  const recordingConfig = { channelType: 1, subscribeUidGroup: 0, maxIdleTime: 30 };
  const request = { recordingConfig, storageConfig, aircheck: { speakers: true } };
  const recording = await stage.server.record(LONG, '903', request, 'individual');
  await pause(12_000);
  await open(recording.sid);
  await shootPage('single-running');
  await recording.stop();
  await page.getByText('Ended', { exact: true }).first().waitFor({ timeout: 60_000 });
  await open(recording.sid);
  const card = (name: string) => page.getByRole('region', { name, exact: true });
  const mix = card('Mix');
  await mix.getByRole('button', { name: 'Make a mix' }).click();
  await mix.getByRole('button', { name: 'Only a stretch' }).click();
  await mix.getByLabel('Mix from').fill('0:02');
  await mix.getByLabel('Mix to').fill('0:09');
  await mix.getByRole('button', { name: 'Mix 2 users' }).click();
  await mix.getByRole('progressbar').waitFor();
  await shootPage('single-mixing');
  await mix.locator('.cuts video').waitFor({ timeout: 60_000 });
  const mixed = new DashboardPlayer(page, '.cuts video');
  await mixed.playPast(1);
  await offFlash(mixed);
  await shootPart('mix', mix, 'light');
  await shootPage('single-mixed');
  const keeping = card('Keeping');
  await keeping.getByLabel('Days to keep, 0 for ever').fill('90');
  await keeping.getByRole('button', { name: 'Set' }).click();
  await keeping.getByText(/^Its files are kept for 90 days/).waitFor();
  await keeping.getByLabel('Reason for a legal hold').fill(`case 2026/117, ${LONG}`);
  await keeping.getByRole('button', { name: 'Put under a legal hold' }).click();
  await keeping.getByText('Under a legal hold', { exact: true }).waitFor();
  await shootPage('single-held');
  await keeping.getByRole('button', { name: 'Lift the legal hold' }).click();
  await keeping.getByLabel('Reason for a legal hold').fill('case 2026/118');
  await keeping.getByRole('button', { name: 'Put under a legal hold' }).click();
  await keeping.getByText('Under a legal hold', { exact: true }).waitFor();
  await shootPart('keeping', keeping, 'light');
  await keeping.getByRole('button', { name: 'Lift the legal hold' }).click();
  await keeping.getByRole('button', { name: 'Delete the files…' }).click();
  await shoot('deleting', 'wide', 'light');
  await shoot('deleting-phone', 'phone', 'dark');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  const removing = card('Remove a person');
  await removing.getByLabel('uid of the person').fill(LONG_UID);
  await removing.getByRole('button', { name: 'See what would go…' }).click();
  const question = page.getByRole('dialog', { name: /^Remove / });
  await question.getByText('Which', { exact: true }).click();
  await shoot('removing', 'wide', 'light');
  await shoot('removing-phone', 'phone', 'dark');
  await shootPart('remove', question, 'light');
  await question.getByLabel(/^Type /).fill(LONG_UID);
  await question.getByRole('button', { name: 'Remove for good' }).click();
  await removing.getByText(/^Removed on /).waitFor({ timeout: 20_000 });
  await removing.getByText('What went', { exact: true }).click();
  await shootPage('single-removed');
  for (const user of users) await user.stop();
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
  await shootPart('channels-part', page.getByRole('region', { name: `Channel ${CHANNEL}` }), 'light');
  for (const each of [first, second]) await each.show({ width: 640, height: 360 });
  await page.getByRole('link', { name: 'Recordings' }).click();
  await page.getByRole('link', { name: CHANNEL }).first().click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Ended', { exact: true }).first().waitFor({ timeout: 60_000 });
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  await stage.start(CHANNEL, '902');
  const live = new DashboardPlayer(page);
  await live.shows(60_000);
  await live.playPast(2);
  await offFlash(live);
  await shootPage('live');
  await shootPart('watching', page.getByRole('region', { name: 'Player' }), 'dark');
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
  await single();
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  await page.getByRole('link', { name: LONG }).first().waitFor();
  await shootPage('long-recordings');
  await page.getByRole('link', { name: 'Health' }).click();
  await shoot('health', 'wide', 'dark');
  await shoot('health-phone', 'phone', 'light', true);
  for (const complaint of stage.complaints) console.error(complaint);
} finally {
  await stage.close();
}
