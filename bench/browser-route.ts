/**
 * The way that composites are mostly made without us: a browser on a screen without a monitor plays all users of a
 * channel, and the ffmpeg program records that screen and what is played to PulseAudio. The browser receives over
 * WebRTC, from the same publishers as a server of ours, who offer to its page by way of this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { findPrograms } from '../src/stages/source/page/programs.ts';
import { type Screen, startScreen } from '../src/stages/source/page/screen.ts';
import { flashesIn } from '../test/support/judge/picture.ts';
import { bestFitRegions } from '../test/support/judge/regions.ts';
import { beepsIn, listen } from '../test/support/judge/sound.ts';
import { watch } from '../test/support/judge/watch.ts';
import type { Participant } from '../test/support/media/participants.ts';
import { type Publisher, publishWithRtc } from '../test/support/publish/publisher.ts';
import { until } from '../test/support/test-server.ts';
import type { Media } from './house.ts';
import { coderWords } from './reference.ts';

/** Plays whoever offers, four to a page; says when all of them play. */
const PAGE = `<!doctype html><style>
body { margin: 0; background: black; display: grid; grid-template: repeat(2, 50vh) / repeat(2, 50vw); overflow: hidden }
video { width: 100%; height: 100%; object-fit: cover }
</style><script>
async function receive({ user, sdp }) {
  const video = document.body.appendChild(document.createElement('video'));
  video.srcObject = new MediaStream();
  video.autoplay = true;
  video.addEventListener('playing', () => fetch('/playing', { method: 'POST' }), { once: true });
  const connection = new RTCPeerConnection();
  connection.addEventListener('track', ({ track }) => video.srcObject.addTrack(track));
  await connection.setRemoteDescription({ type: 'offer', sdp });
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== 'complete')
    await new Promise((resolve) => connection.addEventListener('icegatheringstatechange', resolve, { once: true }));
  await fetch('/answers/' + user, { method: 'POST', body: connection.localDescription.sdp });
}
addEventListener('load', async () => {
  for (;;) await receive(await (await fetch('/offers')).json());
});
</script>`;

/** Sound and picture of a page without anybody's consent, and addresses of this machine in answers. */
const FLAGS = [
  ...['--kiosk', '--no-sandbox', '--no-first-run', '--disable-gpu', '--window-position=0,0'],
  ...['--autoplay-policy=no-user-gesture-required', '--force-device-scale-factor=1', '--hide-scrollbars'],
  ...['--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

export type RouteOptions = {
  /** Four. */
  cast: readonly Participant[];
  media: Media;
  canvas: { width: number; height: number; fps: number };
  bitrateKbps: number;
};

export class BrowserRoute {
  readonly #o: RouteOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), 'aircheck-route-'));
  readonly #server: Server;
  readonly #publishers: Publisher[] = [];
  readonly #programs: ChildProcess[] = [];
  #screen: Screen | undefined;
  /** Offers that the page has not taken, and its request for one. */
  readonly #offers: string[] = [];
  #asking: ServerResponse | undefined;
  /** Publishers who wait for an answer. */
  readonly #offering = new Map<string, ServerResponse>();
  #playing = 0;

  constructor(options: RouteOptions) {
    this.#o = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Pids of the programs that are the route, whose children count too. */
  get pids(): number[] {
    return [...(this.#screen?.pids ?? []), ...this.#programs.flatMap(({ pid }) => pid ?? [])];
  }

  /** Resolves once the browser plays everyone, and ffmpeg records it. */
  async start(): Promise<void> {
    const { cast, media, canvas } = this.#o;
    const { width, height } = canvas;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    const programs = findPrograms();
    this.#screen = await startScreen({ programs, user: undefined, dir: this.#dir, width, height });
    const modules = [
      'module-null-sink sink_name=page rate=48000 channels=2',
      `module-native-protocol-unix socket=${join(this.#dir, 'sound.sock')} auth-anonymous=1`,
    ];
    this.#run(programs.pulseaudio, [
      ...['-n', '--daemonize=no', '--use-pid-file=no', '--log-level=error', '--exit-idle-time=-1'],
      ...modules.flatMap((module) => ['-L', module]),
    ]);
    const profile = `--user-data-dir=${join(this.#dir, 'profile')}`;
    this.#run(programs.chromium, [...FLAGS, profile, `--window-size=${width},${height}`, url]);
    for (const [i, participant] of cast.entries()) {
      const sent = { codec: 'h264', ...media, mono: true, motion: 'busy', loop: true } as const;
      this.#publishers.push(await publishWithRtc({ url: `${url}/whip/${i}`, participant, ...sent }));
    }
    await until('the browser plays everyone', () => this.#playing === cast.length, 30_000);
    this.#record();
  }

  /** Ends everything. Throws an Error where the file shows or plays somebody not at all. */
  async stop(): Promise<void> {
    try {
      const recorder = this.#programs.at(-1);
      const ended = recorder && once(recorder, 'close');
      recorder?.kill('SIGTERM');
      await ended;
      this.#judge();
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#publishers.splice(0).map((publisher) => publisher.stop()));
    for (const program of this.#programs.splice(0)) program.kill('SIGKILL');
    this.#screen?.kill();
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  get #path(): string {
    return join(this.#dir, 'route.mp4');
  }

  #record(): void {
    const { canvas, bitrateKbps } = this.#o;
    const size = `${canvas.width}x${canvas.height}`;
    this.#run('ffmpeg', [
      ...['-v', 'error', '-nostdin', '-y', '-f', 'x11grab', '-video_size', size, '-framerate', `${canvas.fps}`],
      ...['-draw_mouse', '0', '-i', `${this.#screen?.display}.0+0,0`, '-f', 'pulse', '-i', 'page.monitor'],
      ...['-pix_fmt', 'yuv420p', ...coderWords({ canvas, bitrateKbps }), this.#path],
    ]);
  }

  #run(program: string, words: readonly string[]): void {
    const { display = '', authority = '' } = this.#screen ?? {};
    const env = {
      ...{ PATH: '/usr/bin:/bin', HOME: this.#dir, XDG_RUNTIME_DIR: this.#dir },
      ...{ DISPLAY: display, XAUTHORITY: authority, PULSE_SERVER: `unix:${join(this.#dir, 'sound.sock')}` },
    };
    this.#programs.push(spawn(program, words, { env, cwd: this.#dir, stdio: 'ignore' }));
  }

  #judge(): void {
    const { cast } = this.#o;
    const { views } = watch(
      this.#path,
      bestFitRegions(cast.length).map((rect) => ({ rect })),
    );
    const heard = listen(this.#path);
    for (const [i, { name, toneHz }] of cast.entries()) {
      const flashes = flashesIn(views[i] ?? []).length;
      const beeps = beepsIn(heard, { toneHz }).length;
      // One each second, of at least ten.
      if (flashes < 8 || beeps < 8) throw new Error(`the browser showed ${flashes} flashes, ${beeps} beeps of ${name}`);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, what = '', user = ''] = (request.url ?? '').split('/');
    const body = await text(request);
    if (what === 'whip' && request.method === 'POST') {
      this.#offering.set(user, response);
      this.#offers.push(JSON.stringify({ user, sdp: body }));
      this.#hand();
    } else if (what === 'offers') {
      this.#asking = response;
      this.#hand();
    } else if (what === 'answers') {
      this.#offering
        .get(user)
        ?.writeHead(201, { location: `/whip/${user}` })
        .end(body);
      response.end();
    } else {
      if (what === 'playing') this.#playing++;
      response.setHeader('content-type', 'text/html').end(what === '' ? PAGE : '');
    }
  }

  /** Hands the next offer to the page, once there is one and it asks. */
  #hand(): void {
    if (!this.#asking || this.#offers.length === 0) return;
    this.#asking.end(this.#offers.shift());
    this.#asking = undefined;
  }
}
