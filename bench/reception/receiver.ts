/**
 * The process that receives, in one of two ways: `library` is node-datachannel alone, whose packets are counted and
 * dropped; `channel` is the embedded channel with a feed to a recorder. Answers offers over IPC, and counts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import nodeDataChannel from 'node-datachannel';
import { type ChannelLog, Rooms } from '../../src/channel/room/rooms.ts';
import { WhipEndpoint } from '../../src/channel/whip/endpoint.ts';
import { systemClock } from '../../src/kernel/clock.ts';

export type ReceiverMode = 'library' | 'channel' | 'channel without a recorder';
export type ReceiverRequest = { type: 'offer'; offer: string } | { type: 'count' };
export type ReceiverReply =
  | { type: 'ready'; feedPath: string | undefined }
  | { type: 'answer'; answer: string }
  | { type: 'counted'; packets: number };

type Receiver = { answer(offer: string): Promise<string>; packets(): number; feedPath?: string };

const HOST = '127.0.0.1';
const [mode, port] = process.argv.slice(2) as [ReceiverMode, string];

/** The same settings as the channel's own peers, and nothing else. */
function receiveBare(): Receiver {
  const kept: unknown[] = [];
  let packets = 0;
  return {
    packets: () => packets,
    async answer(offer) {
      const pc = new nodeDataChannel.PeerConnection('bare', {
        iceServers: [],
        bindAddress: HOST,
        enableIceUdpMux: true,
        portRangeBegin: Number(port),
        portRangeEnd: Number(port),
      });
      pc.onTrack((track) => {
        kept.push(track);
        track.onMessage(() => {
          packets++;
        });
      });
      const gathered = new Promise<void>((resolve) => {
        pc.onGatheringStateChange((state) => {
          if (state === 'complete') resolve();
        });
      });
      pc.setRemoteDescription(offer, 'offer');
      await gathered;
      kept.push(pc);
      return pc.localDescription()?.sdp ?? '';
    },
  };
}

async function receiveWithChannel(withRecorder: boolean): Promise<Receiver> {
  const feedDir = mkdtempSync(join(tmpdir(), 'acb-'));
  process.on('exit', () => rmSync(feedDir, { recursive: true, force: true }));
  const nothing = () => {};
  const log: ChannelLog = { debug: nothing, info: nothing, warn: nothing, child: () => log };
  const rooms = new Rooms({ clock: systemClock, log, feedDir });
  const whip = new WhipEndpoint({ clock: systemClock, log, rooms, host: HOST, port: Number(port) });
  const feed = withRecorder
    ? await rooms.openFeed({ appid: 'bench', cname: 'bench', uid: '9000', sid: 'bench' })
    : undefined;
  let uids = 0;
  return {
    packets: () =>
      rooms
        .participants('bench', 'bench')
        .flatMap(({ tracks }) => tracks)
        .reduce((sum, track) => sum + track.packets, 0),
    ...(feed && { feedPath: feed.path }),
    async answer(offer) {
      const published = await whip.publish({ appid: 'bench', cname: 'bench', uid: String(++uids), offer });
      return published.answer;
    },
  };
}

const receiver = mode === 'library' ? receiveBare() : await receiveWithChannel(mode === 'channel');
const reply = (message: ReceiverReply) => process.send?.(message);
process.on('message', async (request: ReceiverRequest) => {
  if (request.type === 'offer') reply({ type: 'answer', answer: await receiver.answer(request.offer) });
  else reply({ type: 'counted', packets: receiver.packets() });
});
// The library's threads keep a process from ending by itself.
process.on('disconnect', () => process.exit(0));
reply({ type: 'ready', feedPath: receiver.feedPath });
