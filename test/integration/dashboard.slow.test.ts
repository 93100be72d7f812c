/** The dashboard as somebody uses it: in a browser, with a recording that runs. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LayoutDesigner } from '../support/dashboard-designer.ts';
import { barriers, fitsPhone } from '../support/dashboard-looks.ts';
import { DashboardPlayer } from '../support/dashboard-player.ts';
import { CUSTOMER, DashboardStage, OTHER_CUSTOMER } from '../support/dashboard-stage.ts';
import { seenIn, thumbnailOf } from '../support/dashboard-thumbnail.ts';
import { localStorage, until } from '../support/test-server.ts';

/** 63 bytes that are script, entities and signs wherever something forgets to treat them as text. */
const ODD = '<img src=x onerror=alert(1)>&amp;&#60;{{x}}|~!#$%()+-:;?@[]^_, ';
/** Where the first user is seen, and the second one once the layout is changed; then the other way round. */
const LOW_LEFT = [0.05, 0.97] as const;
const TOP_RIGHT = [0.97, 0.03] as const;
let stage: DashboardStage;

beforeAll(async () => {
  const script = join(import.meta.dirname, '../../scripts/build-dashboard.ts');
  expect(spawnSync(process.execPath, [script, '--if-changed'], { stdio: 'inherit' }).status).toBe(0);
  stage = await DashboardStage.open();
  // In this order: the first fills the picture.
  await stage.join(ODD, '1');
  await stage.join(ODD, '2');
}, 180_000);
afterAll(() => stage?.close(), 60_000);

test('a recording is started, watched, stopped, played and looked into', { timeout: 300_000 }, async () => {
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

  // Channels: both are there, with what comes of them; and a phone that has no key frames but those it is asked for.
  const phone = await stage.join('studio', '3', { codec: 'vp8', loop: false, gopS: 600 });
  await phone.show({ width: 180, height: 320, turn: 90, still: true });
  await page.getByRole('link', { name: 'Channels' }).click();
  await page.getByRole('heading', { name: ODD }).waitFor();
  await page.getByText('2 publishers').waitFor();
  expect(await page.getByRole('row').filter({ hasText: 'h264' }).count()).toBe(2);
  // Each has its picture, in a frame of one shape, whatever the picture's.
  expect(await thumbnailOf(page, '1')).toMatchObject({ width: 240, height: 136 });
  const upright = { name: 'YELLOW', width: 136, height: 240 };
  await until('the phone is upright', async () => isDeepStrictEqual(await thumbnailOf(page, '3'), upright), 60_000);
  for (const frame of await page.locator('.thumbnails .frame').all()) {
    const { width, height } = (await frame.boundingBox()) ?? { width: 0, height: 0 };
    expect(width / height).toBeCloseTo(16 / 9, 1);
  }
  expect(await barriers(page)).toEqual([]);

  // What is typed into the dialog stays, though the page counts seconds behind it.
  await page.getByRole('button', { name: `Record ${ODD.trim()}` }).click();
  const folder = page.getByRole('dialog').getByRole('textbox', { name: 'Folder' });
  await folder.fill('kept');
  const counts = page.locator('td[data-label="There for"]').first();
  const shown = await counts.textContent();
  await until('the page counts', async () => (await counts.textContent()) !== shown, 30_000);
  expect(await folder.inputValue()).toBe('kept');
  // What is refused is said in words, and what may be instead.
  await page.getByRole('dialog').getByRole('textbox', { name: 'Channel' }).fill('a/b');
  await page.getByRole('dialog').getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('dialog').getByText('A channel’s name has 1 to 63 letters').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();

  // Started here, and seen in the list as it goes on.
  const lookedMs = Date.now();
  await page.getByRole('link', { name: 'Recordings' }).click();
  const sid = await stage.start(ODD, '77', 'Custom');
  // Beside it everybody is recorded alone.
  const alone = await server.record(
    ODD,
    '78',
    { recordingConfig: { channelType: 1, subscribeUidGroup: 0 }, storageConfig: localStorage('recordings') },
    'individual',
  );
  await page.getByRole('heading', { name: ODD }).waitFor();
  await page.getByText('Recording', { exact: true }).first().waitFor();
  const other = await stage.browser.context.newPage();
  await other.goto(`${server.baseUrl}/`);
  const row = other.getByRole('row').filter({ hasText: ODD }).filter({ hasText: 'Composite' });
  await row.getByText('Recording', { exact: true }).waitFor();

  // Its layout is designed while it goes on.
  const designer = new LayoutDesigner(page);
  await designer.open();
  await designer.region(1).press('Delete');
  await designer.write('uid', '2');
  await designer.drag(0, 'corner', 0.5, 0);
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Add a region' }).click();
  await designer.write('uid', '1');
  await designer.drag(1, 'middle', 0.345, -0.34);
  await designer.region(1).press('Shift+ArrowLeft');
  await designer.region(1).press('ArrowRight');
  expect(await designer.json()).toEqual({
    mixedVideoLayout: 3,
    layoutConfig: [
      { uid: '2', x_axis: 0, y_axis: 0, width: 1, height: 1 },
      { uid: '1', x_axis: 0.71, y_axis: 0, width: 0.29, height: 0.3 },
    ],
  });
  await page.getByText('All 2 who are in the channel are seen.').waitFor();
  const designed = JSON.stringify(await designer.json());
  // What the API would refuse is not sent.
  await designer.writeJson(designed.replace('0.71', '0.72'));
  await page.getByText('width type mismatch or missing under layoutConfig!').waitFor();
  const update = page.getByRole('button', { name: 'Update the layout' });
  expect(await update.isDisabled()).toBe(true);
  await designer.writeJson(designed);
  await recorded(sid, 5_000);
  await update.click();
  await page.getByText('It is changed from now on.').waitFor();
  const changedMs = await changed(sid);

  // It is seen as it goes on; whoever went back is soon in the present again, and sees how it ends.
  const player = new DashboardPlayer(page);
  await player.shows(60_000);
  await player.click(0.1);
  expect(await corners(player)).toEqual(['GREEN', 'BLUE']);
  await recorded(sid, 1.3 * changedMs + 4_000);
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Back to live' }).click();
  await page.locator('.present').getByText('Live', { exact: true }).waitFor();
  await player.playPast(changedMs / 1000 + 1);
  expect(await corners(player)).toEqual(['BLUE', 'GREEN']);

  // Meanwhile nobody has looked at the phone, whose key frame is old: another one is had for whoever looks now.
  const thumbnail = `/v1/apps/${server.appid}/aircheck/channels/studio/thumbnails/3`;
  const [taken, jpeg] = (await page.evaluate(`fetch('${thumbnail}').then(async (answer) =>
    [answer.headers.get('last-modified'), btoa(String.fromCharCode(...new Uint8Array(await answer.arrayBuffer())))])`)) as string[];
  expect(Date.now() - lookedMs).toBeGreaterThan(10_000);
  expect(Date.now() - Date.parse(taken ?? '')).toBeLessThan(9_000);
  expect(seenIn(Buffer.from(jpeg ?? '', 'base64'))).toEqual(upright);
  await phone.stop();

  await page.getByRole('button', { name: 'Stop' }).click();
  expect((await alone.stop()).status).toBe(200);
  await page.getByText('Ended', { exact: true }).first().waitFor({ timeout: 60_000 });
  await row.getByText('Ended', { exact: true }).waitFor({ timeout: 15_000 });
  await row.getByText(await markOf(sid)).waitFor();
  await other.close();
  await page.locator('.present').waitFor({ state: 'detached' });
  await player.shows();
  expect((await player.state()).at).toBeGreaterThan(changedMs / 1000);
  expect(await corners(player)).toEqual(['BLUE', 'GREEN']);

  // HLS is played, and sought by the timeline.
  await page.reload();
  await player.shows();
  await player.playPast(1);
  expect(await corners(player)).toEqual(['GREEN', 'BLUE']);
  const { length } = await player.state();
  expect(length).toBeGreaterThan(changedMs / 1000 + 4);
  expect(Math.abs((await player.click(0.9)) - 0.9 * length)).toBeLessThan(0.5);
  expect(await corners(player)).toEqual(['BLUE', 'GREEN']);
  expect(Math.abs((await player.click(0.1)) - 0.1 * length)).toBeLessThan(0.5);
  expect(await corners(player)).toEqual(['GREEN', 'BLUE']);

  // The MP4 as well, by the browser itself, in parts.
  const mp4 = await mp4Of(sid);
  await page.getByLabel('Shown').selectOption(mp4);
  await until(
    'the MP4',
    async () => String(await page.evaluate("document.querySelector('video').currentSrc")).endsWith(mp4),
    30_000,
  );
  await player.shows();
  await player.playPast(1);
  expect(await corners(player)).toEqual(['GREEN', 'BLUE']);
  expect(Math.abs((await player.state()).length - length)).toBeLessThan(0.3);
  expect(Math.abs((await player.click(0.9)) - 0.9 * length)).toBeLessThan(0.5);
  expect(await corners(player)).toEqual(['BLUE', 'GREEN']);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: mp4 }).click();
  expect((await download).suggestedFilename()).toBe(mp4);

  // A stretch is chosen on the timeline, typed more exactly, cut, played and brought.
  await player.choose(0.2, 0.6);
  const [from, to] = [page.getByLabel('From', { exact: true }), page.getByLabel('To', { exact: true })];
  expect(Math.abs(secondsIn(await from.inputValue()) - 0.2 * length)).toBeLessThan(0.5);
  expect(Math.abs(secondsIn(await to.inputValue()) - 0.6 * length)).toBeLessThan(0.5);
  const end = page.getByRole('slider', { name: 'End of the cut' });
  const wholeS = secondsIn(await to.inputValue());
  await end.press('ArrowRight');
  await end.press('Shift+ArrowLeft');
  expect(secondsIn(await to.inputValue())).toBeCloseTo(wholeS + 0.9, 3);
  const cutFrom = Math.ceil(changedMs / 1000) + 1;
  await from.fill(`0:${cutFrom}`);
  await to.fill(`0:${cutFrom + 2}.5`);
  await page.getByRole('button', { name: 'Cut 0:02.5' }).click();
  const cut = new DashboardPlayer(page, '.cuts video');
  await cut.shows();
  expect(await barriers(page)).toEqual([]);
  await cut.playPast(0.5);
  expect(await corners(cut)).toEqual(['BLUE', 'GREEN']);
  expect(Math.abs((await cut.state()).length - 2.5)).toBeLessThan(0.05);
  const brought = page.waitForEvent('download');
  await page.getByRole('list', { name: 'Cuts' }).getByRole('link', { name: 'Download' }).click();
  expect((await brought).suggestedFilename()).toBe(`${sid}_${cutFrom}-${cutFrom + 2.5}.mp4`);
  await page.reload();
  await cut.shows();
  await page.getByRole('button', { name: 'Remove the cut' }).click();
  await page.getByRole('list', { name: 'Cuts' }).waitFor({ state: 'detached' });

  // What was asked for is there, without what is secret.
  const start = page.locator('summary').filter({ hasText: /^start/ });
  await start.click();
  const request = await page.getByRole('region', { name: 'Body of start' }).textContent();
  const half = { y_axis: 0, width: 0.5, height: 1 };
  const layoutConfig = [0, 0.5].map((x_axis) => ({ x_axis, ...half }));
  const transcodingConfig = { width: 640, height: 360, mixedVideoLayout: 3, layoutConfig };
  expect(JSON.parse(request ?? '')).toMatchObject({
    cname: ODD,
    clientRequest: { token: '[redacted]', recordingConfig: { transcodingConfig } },
  });

  // An event is sent again.
  const before = stage.receiver.taken(sid).length;
  const again = page.getByRole('button', { name: /Send again event/ });
  await again.first().click();
  await page.getByText('Delivered.', { exact: true }).waitFor();
  expect(stage.receiver.taken(sid).length).toBe(before + 1);
  expect(await barriers(page)).toEqual([]);

  await mixes(alone.sid);

  // Which of the last recordings lack something; here the newest one is said to.
  const list = /\/recordings\?limit=200$/;
  await page.route(list, async (route) => {
    const response = await route.fetch();
    const json = (await response.json()) as { recordings: { mark: string }[] };
    json.recordings[0]!.mark = 'poor';
    await route.fulfill({ response, json });
  });
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByRole('heading', { name: 'Disk of the spool' }).waitFor();
  const lacking = page.getByRole('region', { name: 'Recordings that failed or lack something' });
  await lacking.getByRole('row').filter({ hasText: 'Poor' }).getByRole('link', { name: ODD.trim() }).waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.unroute(list);

  await page.setViewportSize({ width: 360, height: 740 });
  for (const link of ['Recordings', 'Channels', 'Health']) {
    await page.getByRole('link', { name: link, exact: true }).click();
    await page.getByRole('heading', { name: link, level: 1 }).waitFor();
    await fitsPhone(page);
  }
  await page.goto(`${server.baseUrl}/#/${server.appid}/recordings/${sid}`);
  await player.shows();
  await fitsPhone(page);
  expect(await barriers(page)).toEqual([]);
  await page.setViewportSize({ width: 1280, height: 800 });

  // Under a legal hold nothing is deleted; then all files are, after a question, and the page says so.
  const keeping = page.getByRole('region', { name: 'Keeping' });
  await keeping.getByText('Its files are kept for ever.').waitFor();
  await keeping.getByLabel('Reason for a legal hold').fill(ODD);
  await keeping.getByRole('button', { name: 'Put under a legal hold' }).click();
  await keeping.getByText('Under a legal hold', { exact: true }).waitFor();
  await fitsPhone(page);
  expect(await barriers(page)).toEqual([]);
  expect(await keeping.getByRole('button', { name: 'Delete the files…' }).count()).toBe(0);
  expect((await stage.server.call('POST', `/aircheck/recordings/${sid}/deletion`, {})).status).toBe(409);
  const folderOf = join(stage.server.dataDir, 'recordings', 'recordings');
  const stored = () => readdirSync(folderOf).filter((name) => name.startsWith(sid));
  expect(stored().length).toBeGreaterThan(3);
  await keeping.getByRole('button', { name: 'Lift the legal hold' }).click();
  await keeping.getByLabel('Days to keep, 0 for ever').fill('30');
  await keeping.getByRole('button', { name: 'Set' }).click();
  await keeping.getByText(/^Its files are kept for 30 days after its end, as somebody asked, until /).waitFor();
  await keeping.getByRole('button', { name: 'Delete the files…' }).click();
  const question = page.getByRole('dialog', { name: 'Delete all files of this recording?' });
  await question.waitFor();
  expect(await barriers(page)).toEqual([]);
  await question.getByRole('button', { name: 'Delete for good' }).click();
  await keeping.getByText(/^Its files were deleted on /).waitFor({ timeout: 20_000 });
  await page.getByText('Its files are deleted.', { exact: true }).waitFor();
  expect(stored()).toEqual([]);
  await page.getByRole('row').filter({ hasText: mp4 }).getByText('deleted').waitFor();
  await keeping.getByText(/Put under a legal hold by operator of the tests: /).waitFor();
  expect(await barriers(page)).toEqual([]);

  // Nothing of it is there for whoever may use another app only, nor for whoever has signed out.
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Customer id').waitFor();
  await page.goto(`${server.baseUrl}/#/${server.appid}/recordings/${sid}`);
  await page.getByLabel('Customer id').waitFor();
  await stage.signIn(OTHER_CUSTOMER);
  await page.goto(`${server.baseUrl}/#/${server.appid}/recordings/${sid}`);
  await page.getByRole('alert').waitFor();
  await page.getByRole('link', { name: 'Channels' }).click();
  await page.getByText('Nobody publishes.').waitFor();
  await page.getByRole('link', { name: 'Recordings' }).click();
  await page.getByRole('heading', { name: 'Recordings' }).waitFor();
  expect(await page.textContent('body')).not.toContain(ODD);
  const seen = (await page.evaluate(`(async () => {
    const path = ${JSON.stringify(`/v1/apps/${server.appid}/aircheck/`)};
    const paths = ['recordings', 'channels', 'recordings/${sid}', 'recordings/${sid}/files/${mp4}'];
    paths.push('channels/' + encodeURIComponent(${JSON.stringify(ODD)}) + '/thumbnails/1');
    return Promise.all(paths.map(async (each) => (await fetch(path + each)).text()));
  })()`)) as string[];
  expect(seen.map((each) => JSON.parse(each))).toEqual(Array(5).fill({ message: 'appid is invalid' }));
  expect(stage.complaints).toEqual([]);
});

/** Of who was recorded alone one picture is made: chosen by key, waited for, played, brought, and called off. */
async function mixes(sid: string): Promise<void> {
  const { page, server } = stage;
  await page.goto(`${server.baseUrl}/#/${server.appid}/recordings/${sid}`);
  const card = page.getByRole('region', { name: 'Mix', exact: true });
  // How far they are is told by the server, and not asked for.
  const asked: string[] = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (request.method() === 'GET' && pathname.endsWith('/mixes')) asked.push(pathname);
  });
  await card.getByRole('button', { name: 'Make a mix' }).press('Enter');
  await card.getByLabel('Canvas').selectOption({ index: 0 });
  await card.getByRole('button', { name: 'Only a stretch' }).press('Enter');
  await card.getByLabel('Mix from').fill('0:02');
  await card.getByLabel('Mix to').fill('0:05.5');
  await fitsPhone(page);
  expect(await barriers(page)).toEqual([]);
  await card.getByRole('button', { name: 'Mix 2 users' }).press('Enter');
  await card.getByRole('progressbar', { name: 'Mix of 1, 2 from 0:02 to 0:05.5' }).waitFor();
  const mixed = new DashboardPlayer(page, '.cuts video');
  await mixed.shows(120_000);
  expect(await barriers(page)).toEqual([]);
  await mixed.playPast(0.5);
  expect(await corners(mixed)).toEqual(['GREEN', 'BLUE']);
  expect(Math.abs((await mixed.state()).length - 3.5)).toBeLessThan(0.05);
  const brought = page.waitForEvent('download');
  await card.getByRole('link', { name: 'Download' }).click();
  expect((await brought).suggestedFilename()).toMatch(new RegExp(`^${sid}_mix_.*\\.mp4$`));
  await card.getByRole('checkbox', { name: /^1 / }).uncheck();
  await card.getByRole('button', { name: 'Mix one user' }).click();
  await card.getByRole('button', { name: 'Cancel the mix of 2 from 0:02 to 0:05.5' }).click();
  const list = card.getByRole('list', { name: 'Mixes' });
  await until('it is called off', async () => (await list.getByRole('listitem').count()) === 1, 30_000);
  expect(asked).toEqual([]);
  await page.reload();
  await mixed.shows();
}

/** Whose pictures are seen at the lower left and the upper right. */
async function corners(player: DashboardPlayer): Promise<string[]> {
  return [await player.nameAt(...LOW_LEFT), await player.nameAt(...TOP_RIGHT)];
}

/** Of `0:12.5`. */
function secondsIn(text: string): number {
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** How good a recording has become, in the dashboard's word: a busy machine takes some of its pictures. */
async function markOf(sid: string): Promise<string> {
  const { body } = await stage.server.call('GET', '/aircheck/recordings');
  const { mark } = (body['recordings'] as { sid: string; mark: string }[]).find((each) => each.sid === sid) ?? {};
  const word = { good: 'Good', fair: 'Fair', poor: 'Poor' }[String(mark)];
  if (word === undefined) throw new Error(`the mark of ${sid} is ${mark}`);
  return word;
}

/** Resolves when so much is recorded, to how much that is, in milliseconds. */
function recorded(sid: string, ms: number): Promise<number> {
  return until(
    `${ms} ms are recorded`,
    async () => {
      const { body } = await stage.server.call('GET', `/aircheck/recordings/${sid}`);
      const quality = body['quality'] as { measuredMs: number } | null;
      return quality !== null && quality.measuredMs > ms && quality.measuredMs;
    },
    30_000,
  );
}

/** When the layout was changed, in milliseconds of the recording. */
function changed(sid: string): Promise<number> {
  const path = `/aircheck/recordings/${sid}`;
  return until(
    'the call is kept',
    async () => {
      const [{ body: kept }, { body: report }] = await Promise.all([
        stage.server.call('GET', `${path}/calls`),
        stage.server.call('GET', path),
      ]);
      const calls = kept['calls'] as { call: string; atMs: number }[];
      const update = calls.find(({ call }) => call === 'updateLayout');
      return update && update.atMs - (report['quality'] as { zeroUtcMs: number }).zeroUtcMs;
    },
    30_000,
  );
}

async function mp4Of(sid: string): Promise<string> {
  const { body } = await stage.server.call('GET', `/aircheck/recordings/${sid}/files`);
  const found = (body['files'] as { name: string; kind: string }[]).find(({ kind }) => kind === 'mp4');
  return found?.name ?? '';
}

test('a person is removed from a recording of single users', { timeout: 120_000 }, async () => {
  const { page, server } = stage;
  const recordingConfig = { channelType: 1, subscribeUidGroup: 0, maxIdleTime: 10 };
  const request = { recordingConfig, storageConfig: localStorage('persons'), aircheck: { speakers: true } };
  const recording = await server.record(ODD, '78', request, 'individual');
  const { sid } = recording;
  await recorded(sid, 2_000);
  expect((await recording.stop()).status).toBe(200);
  const folder = join(server.dataDir, 'recordings', 'persons');
  const filesOf = (uid: string) =>
    readdirSync(folder).filter((name) => name.includes(`${sid}_`) && name.includes(`__uid_s_${uid}__`));
  const [theirs, others] = [filesOf('1').length, filesOf('2')];
  expect(Math.min(theirs, others.length)).toBeGreaterThan(3);
  await page.context().clearCookies();
  await stage.signIn();
  await page.goto(`${server.baseUrl}/#/${server.appid}/recordings/${sid}`);
  const card = page.getByRole('region', { name: 'Remove a person' });
  await card.getByLabel('uid of the person').fill('1');
  await card.getByRole('button', { name: 'See what would go…' }).click();
  const question = page.getByRole('dialog', { name: 'Remove 1 from this recording?' });
  await question.getByText(`${theirs} files`).waitFor();
  await question.getByText(`${sid}_`).last().waitFor();
  await question.getByText('Which', { exact: true }).click();
  await fitsPhone(page);
  expect(await barriers(page)).toEqual([]);
  const remove = question.getByRole('button', { name: 'Remove for good' });
  await question.getByLabel('Type 1 to confirm').fill('2');
  expect(await remove.isDisabled()).toBe(true);
  await question.getByLabel('Type 1 to confirm').fill('1');
  await remove.click();
  await card.getByText(/^Removed on .* by operator of the tests\. \d+ files deleted/).waitFor({ timeout: 20_000 });
  expect([filesOf('1'), filesOf('2')]).toEqual([[], others]);
  await card.getByText('What went', { exact: true }).click();
  expect(await card.getByRole('list', { name: 'Files of 1' }).getByText('deleted').count()).toBe(theirs);
  await page.getByRole('row').filter({ hasText: '__uid_s_2__' }).first().waitFor();
  await page.getByRole('row').filter({ hasText: '__uid_s_1__' }).first().waitFor({ state: 'detached' });
  await fitsPhone(page);
  expect(await barriers(page)).toEqual([]);
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

test('the page for publishers says how to get a token where the app wants one', async () => {
  const { baseUrl, appid } = stage.server;
  await expect(stage.browser.publish(baseUrl, { appid, cname: 'room', uid: '7' })).rejects.toThrow(
    'aircheck token --channel "room" --uid 7',
  );
});
