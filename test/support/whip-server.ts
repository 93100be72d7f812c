/**
 * Rooms and a WHIP endpoint on this machine's real clock and ports, with the publish page: a server that records
 * nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { type ChannelLog, type Participant, Rooms } from '../../src/channel/room/rooms.ts';
import { WhipEndpoint } from '../../src/channel/whip/endpoint.ts';
import { buildRtcToken } from '../../src/channel/whip/token.ts';
import { publishPageRoutes } from '../../src/http/publish-page.ts';
import { whipRoutes } from '../../src/http/whip.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { RED } from './media/participants.ts';
import { type Publisher, publishWithFfmpeg } from './publish/publisher.ts';
import { freeUdpPort } from './server-process.ts';

const APP = { appid: 'a'.repeat(32), certificate: 'c'.repeat(32) };
export const quietLog: ChannelLog = { debug() {}, info() {}, warn() {}, child: () => quietLog };

export class WhipServer {
  readonly appid = APP.appid;
  readonly rooms: Rooms;
  baseUrl = '';
  readonly #folder = mkdtempSync(join(tmpdir(), 'whip-'));
  readonly #endpoint: WhipEndpoint;
  readonly #http: FastifyInstance = Fastify();

  static async start(): Promise<WhipServer> {
    const server = new WhipServer(await freeUdpPort());
    const apps = { find: (appid: string) => (appid === APP.appid ? APP : undefined) };
    await server.#http.register(whipRoutes, { endpoint: server.#endpoint, apps, clock: systemClock });
    await server.#http.register(publishPageRoutes, { isInFleet: true });
    server.baseUrl = await server.#http.listen({ host: '127.0.0.1', port: 0 });
    return server;
  }

  private constructor(port: number) {
    const common = { clock: systemClock, log: quietLog };
    this.rooms = new Rooms({ ...common, feedDir: this.#folder });
    this.#endpoint = new WhipEndpoint({ ...common, rooms: this.rooms, host: '127.0.0.1', port });
  }

  in(cname: string): Participant[] {
    return this.rooms.participants(APP.appid, cname);
  }

  token(cname: string, uid: string): string {
    return buildRtcToken({ appId: APP.appid, certificate: APP.certificate, cname, uid, lifeS: 600 });
  }

  publishWithFfmpeg(cname: string, uid: string): Promise<Publisher> {
    const url = `${this.baseUrl}/whip/${APP.appid}/${cname}?uid=${uid}`;
    const size = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
    return publishWithFfmpeg({ url, token: this.token(cname, uid), participant: RED, ...size });
  }

  async close(): Promise<void> {
    this.#endpoint.close();
    this.rooms.close();
    await this.#http.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
