/**
 * The dashboard in a browser: a server with a webhook receiver, two people in a channel, and a page that is signed in.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { type Browser, startBrowser } from './browser.ts';
import { LayoutDesigner } from './dashboard-designer.ts';
import { PARTICIPANTS } from './media/participants.ts';
import { type Publisher, publishWithRtc, type RtcPublishOptions } from './publish/publisher.ts';
import { TestServer, until } from './test-server.ts';
import { WebhookReceiver } from './webhook-receiver.ts';

type Credentials = { id: string; secret: string };
export const CUSTOMER: Credentials = { id: 'operator of the tests', secret: 'a secret of the tests' };
/** May use an app of its own, and no other. */
export const OTHER_CUSTOMER: Credentials = { id: 'somebody else', secret: 'another secret' };
const OTHER_APP = 'b'.repeat(32);

export class DashboardStage {
  readonly server: TestServer;
  readonly receiver: WebhookReceiver;
  readonly browser: Browser;
  readonly page: Page;
  /** What the page asked other hosts for, and what its policy or its scripts failed at. */
  readonly complaints: string[] = [];
  readonly #dir: string;
  readonly #publishers: Publisher[] = [];

  private constructor(dir: string, server: TestServer, receiver: WebhookReceiver, browser: Browser, page: Page) {
    this.#dir = dir;
    this.server = server;
    this.receiver = receiver;
    this.browser = browser;
    this.page = page;
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== server.baseUrl && !['data:', 'blob:'].includes(protocol)) this.complaints.push(request.url());
    });
    page.on('console', (message) => {
      // A browser also logs answers that are no success.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  static async open(): Promise<DashboardStage> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-dashboard-'));
    const receiver = await new WebhookReceiver().start();
    const settings = join(dir, 'aircheck.yaml');
    const apps = [{ id: OTHER_APP }];
    writeFileSync(settings, JSON.stringify({ apps, customers: [{ ...OTHER_CUSTOMER, apps: [OTHER_APP] }] }));
    const server = new TestServer(join(dir, 'data'), {
      AIRCHECK_CONFIG: settings,
      AIRCHECK_NOTIFY_URL: receiver.url,
      AIRCHECK_NOTIFY_SECRET: receiver.secret,
      AIRCHECK_CUSTOMER_ID: CUSTOMER.id,
      AIRCHECK_CUSTOMER_SECRET: CUSTOMER.secret,
    });
    await server.start();
    const browser = await startBrowser();
    return new DashboardStage(dir, server, receiver, browser, await browser.context.newPage());
  }

  /** Somebody publishes; resolves when it arrives. */
  async join(cname: string, uid: string, more: Partial<RtcPublishOptions> = {}): Promise<Publisher> {
    const url = `${this.server.baseUrl}/whip/${this.server.appid}/${encodeURIComponent(cname)}?uid=${uid}`;
    const publisher = await publishWithRtc({
      ...{ url, token: this.server.token(cname, uid), codec: 'h264', mono: true, loop: true },
      participant: PARTICIPANTS[Number(uid) % PARTICIPANTS.length]!,
      ...{ width: 640, height: 360, fps: 15, bitrateKbps: 500, ...more },
    });
    this.#publishers.push(publisher);
    const isThere = async () => {
      const people = await this.server.participants(encodeURIComponent(cname));
      return people.some((person) => person.uid === uid && person.tracks.every(({ receiving }) => receiving));
    };
    await until(`${uid} sends`, isThere, 60_000);
    return publisher;
  }

  async signIn({ id, secret } = CUSTOMER): Promise<void> {
    const { page } = this;
    await page.goto(`${this.server.baseUrl}/`);
    await page.getByLabel('Customer id').fill(id);
    await page.getByLabel('Customer secret').fill(secret);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Recordings' }).waitFor();
  }

  /**
   * Starts a recording by the dialog of the list. Resolves to its sid when its page is shown.
   * @param layout the kind that is chosen in the designer; the dialog's own when left out
   */
  async start(cname: string, uid: string, layout?: string): Promise<string> {
    const { page } = this;
    await page.getByRole('button', { name: 'Start a recording' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Channel').fill(cname);
    await dialog.getByLabel('Recorder’s uid').fill(uid);
    await dialog.getByLabel('Token').fill(this.server.token(cname, uid));
    if (layout !== undefined) {
      await dialog.getByText('Layout', { exact: true }).click();
      await new LayoutDesigner(page).choose(layout);
    }
    await dialog.getByRole('button', { name: 'Start' }).click();
    await page.waitForURL(/#\/\w+\/recordings\/[0-9a-f]{32}$/);
    return page.url().slice(-32);
  }

  async close(): Promise<void> {
    await Promise.all(this.#publishers.map((publisher) => publisher.stop()));
    await this.browser.close();
    await this.server.end();
    await this.receiver.close();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
