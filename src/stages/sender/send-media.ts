/**
 * Sends a file, a camera, or a made test picture and sound, into a channel in real time, by FFmpeg's own WHIP client:
 * H.264 baseline without B-frames and stereo Opus, which is all that it sends. For `aircheck publish`.
 */
import { Decoder, Demuxer, Encoder, FilterAPI, Muxer } from 'node-av/api';
import {
  AV_LOG_ERROR,
  AV_NOPTS_VALUE,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
  FF_ENCODER_LIBOPUS,
  FF_ENCODER_LIBX264,
} from 'node-av/constants';
import { type Frame, Log, type Packet, type Stream } from 'node-av/lib';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { rescale, type StreamUs, US } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';
import { type Capture, openCapture } from './capture.ts';
import { mergedPackets } from './merged-packets.ts';
import { SendQueue } from './send-queue.ts';

type SentPicture = {
  /** Even. */
  width: number;
  height: number;
  fps: number;
  bitrateKbps: number;
};

type SendOptions = {
  /** A path or address that FFmpeg reads, devices of this machine, or a made picture and sound. */
  source: { file: string; loop: boolean } | { capture: Capture } | 'test';
  /** WHIP endpoint, with the uid. */
  url: string;
  token: string | undefined;
  /** What is sent of pictures: those of a file are fitted in, with bars. */
  picture: SentPicture;
  clock: Clock;
  pause: (ms: number) => Promise<void>;
  /** Ends it in good order. */
  signal: AbortSignal;
  /** Told as it goes on, of seconds of media. */
  onSent?: (sentS: number) => void;
  /** Told once when this machine is too slow to send in real time. */
  onLate?: () => void;
};

const SOUND_RATE = 48_000;
const SOUND_KBPS = 64;
/** Samples that sound of a device is stretched or squeezed by in a second, at most. */
const MOST_STRETCH = 1_000;
/** A key frame so often: FFmpeg's client answers no request for one. */
const KEY_FRAME_S = 1;

/** Where one kind of media of a source is: which input, and which stream of that. */
type Place = { input: number; stream: Stream };

/** One kind of media on its way from the source to the wire. */
type Lane = {
  kind: MediaKind;
  encoder: Encoder;
  output: number;
  decoder: Decoder;
  filter: FilterAPI;
  input: number;
  stream: number;
};

/** Resolves to the seconds that were sent when the file is over or the signal aborts. Throws a Fault when it cannot. */
export async function sendMedia(options: SendOptions): Promise<number> {
  const { source, url, token, signal } = options;
  const said: string[] = [];
  // FFmpeg tells why an offer was refused in its log alone.
  Log.setCallback((_level, text) => void said.push(firstLineOf(text)), { maxLevel: AV_LOG_ERROR });
  Log.setLevel(AV_LOG_ERROR);
  let inputs = await openSource(options, () => said.splice(0));
  const muxer = await Muxer.open(url, {
    format: 'whip',
    // One packet is written after the other anyway, and what fails in the queue of the muxer is told to nobody.
    useAsyncWrite: false,
    ...(token !== undefined && { options: { authorization: token } }),
  });
  let lanes: Lane[] = [];
  const queue = new SendQueue(options);
  try {
    lanes = await openLanes(inputs, muxer, options);
    for (let fromUs = 0; ; ) {
      await sendOnce(inputs, lanes, muxer, queue, { ...options, fromUs });
      if (signal.aborted || !isLooped(source)) break;
      fromUs = queue.endUs;
      await closeAll(inputs);
      inputs = await openSource(options, () => []);
      for (const lane of lanes) await reopen(lane, inputs, options.picture);
    }
    await queue.drain(muxer, signal);
  } catch (error) {
    // What is wrong with the source is said as it is.
    if (error instanceof Fault) throw error;
    const why = [messageOf(error), ...new Set(said)].join('; ');
    throw new Fault('publish-failed', `cannot publish to ${url}: ${why}`, { blame: 'destination', cause: error });
  } finally {
    Log.resetCallback();
    // Leaves the channel; a server that is gone cannot be told.
    await muxer.close().catch(() => {});
    for (const { decoder, filter, encoder } of lanes) for (const part of [decoder, filter, encoder]) part.close();
    await closeAll(inputs);
  }
  return queue.endUs / US;
}

function isLooped(source: SendOptions['source']): boolean {
  return typeof source === 'object' && 'loop' in source && source.loop;
}

async function closeAll(inputs: readonly Demuxer[]): Promise<void> {
  for (const input of inputs) await input.close();
}

async function openSource({ source, picture, clock }: SendOptions, said: () => string[]): Promise<Demuxer[]> {
  const { width, height, fps } = picture;
  if (source === 'test') {
    const made = `testsrc2=size=${width}x${height}:rate=${fps}[out0];sine=frequency=330:beep_factor=4:sample_rate=${SOUND_RATE}[out1]`;
    return [await Demuxer.open(made, { format: 'lavfi' })];
  }
  if ('capture' in source) return openCapture(source.capture, picture, { said, clock });
  try {
    return [await Demuxer.open(source.file)];
  } catch (cause) {
    const message = `${source.file} cannot be read: ${messageOf(cause)}. Give a file or an address that FFmpeg reads, or one of the words camera and test.`;
    throw new Fault('source-unreadable', message, { blame: 'caller', cause });
  }
}

function placeOf(inputs: readonly Demuxer[], kind: MediaKind): Place | undefined {
  const type = kind === 'video' ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;
  for (const [input, { streams }] of inputs.entries()) {
    const stream = streams.find(({ codecpar }) => codecpar.codecType === type);
    if (stream) return { input, stream };
  }
  return undefined;
}

async function openLanes(inputs: readonly Demuxer[], muxer: Muxer, { source, picture }: SendOptions): Promise<Lane[]> {
  const lanes: Lane[] = [];
  const isLive = isCapture(source);
  for (const kind of ['video', 'audio'] as const) {
    const place = placeOf(inputs, kind);
    if (!place) continue;
    const { input, stream } = place;
    const filter = filterOf(kind, picture, isLive);
    const encoder = await (kind === 'video' ? pictureEncoder(picture, filter) : soundEncoder(filter));
    const output = muxer.addStream(encoder);
    // Cameras send a broken JPEG now and then, most of all as their first.
    const decoder = await Decoder.create(stream, { exitOnError: !isLive });
    lanes.push({ kind, encoder, output, filter, decoder, input, stream: stream.index });
  }
  if (lanes.length === 0) {
    const name = typeof source === 'object' && 'file' in source ? source.file : 'the source';
    throw new Fault('source-unreadable', `${name} has neither picture nor sound`, { blame: 'caller' });
  }
  return lanes;
}

function isCapture(source: SendOptions['source']): boolean {
  return typeof source === 'object' && 'capture' in source;
}

function pictureEncoder({ fps, bitrateKbps }: SentPicture, filter: FilterAPI): Promise<Encoder> {
  return Encoder.create(FF_ENCODER_LIBX264, {
    ...{ filter, bitrate: `${bitrateKbps}k`, gopSize: Math.round(fps * KEY_FRAME_S), maxBFrames: 0 },
    options: { preset: 'veryfast', tune: 'zerolatency', profile: 'baseline' },
  });
}

function soundEncoder(filter: FilterAPI): Promise<Encoder> {
  return Encoder.create(FF_ENCODER_LIBOPUS, { filter, bitrate: `${SOUND_KBPS}k` });
}

/** A file is read from its beginning again: what is decoded of it has times from zero. */
async function reopen(lane: Lane, inputs: readonly Demuxer[], picture: SentPicture): Promise<void> {
  lane.decoder.close();
  lane.filter.close();
  const place = placeOf(inputs, lane.kind);
  if (!place) throw new Fault('source-unreadable', `the file lost its ${lane.kind}`, { blame: 'caller' });
  lane.stream = place.stream.index;
  lane.decoder = await Decoder.create(place.stream);
  lane.filter = filterOf(lane.kind, picture, false);
}

/** @param isLive whether the clock of a sound card may run away from the wall clock, and is followed */
function filterOf(kind: MediaKind, { width, height, fps }: SentPicture, isLive: boolean): FilterAPI {
  return FilterAPI.create(
    kind === 'audio'
      ? `aresample=${SOUND_RATE}:async=${isLive ? MOST_STRETCH : 1}:first_pts=0,aformat=sample_fmts=s16:sample_rates=${SOUND_RATE}:channel_layouts=stereo`
      : `fps=${fps}:start_time=0,scale=${width}:${height}:force_original_aspect_ratio=decrease:force_divisible_by=2,pad=${width}:${height}:-1:-1,setsar=1,format=yuv420p`,
  );
}

/** Sends the source once, from `fromUs` of what is sent on. */
async function sendOnce(
  inputs: readonly Demuxer[],
  lanes: readonly Lane[],
  muxer: Muxer,
  queue: SendQueue,
  { source, clock, fromUs, signal }: Pick<SendOptions, 'source' | 'clock' | 'signal'> & { fromUs: StreamUs },
): Promise<void> {
  const isLive = isCapture(source);
  // Devices have times of the wall clock: what comes first is the zero of all.
  let zeroUs: bigint | undefined;
  const fromZero = (packet: Packet) => {
    const [toUs, toTicks] = [BigInt(US * packet.timeBase.num), BigInt(packet.timeBase.den)];
    zeroUs ??= (packet.pts * toUs) / toTicks;
    packet.pts -= (zeroUs * toTicks) / toUs;
    packet.dts = packet.pts;
  };
  const encode = async (lane: Lane, frames: Frame[]) => {
    for (using frame of frames) {
      const { num, den } = frame.timeBase;
      frame.pts += BigInt(rescale(fromUs, US * num, den));
      for (const packet of await lane.encoder.encodeAll(frame)) queue.add(packet, lane);
    }
  };
  const decode = async (lane: Lane, packet: Packet | null) => {
    for (using decoded of await lane.decoder.decodeAll(packet))
      await encode(lane, await lane.filter.processAll(decoded));
  };
  for await (const { packet: come, at } of mergedPackets(inputs, { clock, signal, isLive })) {
    using packet = come;
    const lane = lanes.find(({ input, stream }) => input === at && stream === packet.streamIndex);
    if (!lane || (isLive && packet.pts === AV_NOPTS_VALUE)) continue;
    if (isLive) fromZero(packet);
    await decode(lane, packet);
    await queue.send(muxer, lanes.length, signal);
  }
  if (signal.aborted) return;
  for (const lane of lanes) {
    await decode(lane, null);
    await encode(lane, await lane.filter.processAll(null));
  }
}

/** What FFmpeg says may go on with the whole of an offer. */
function firstLineOf(text: string): string {
  return (text.trim().split('\n', 1)[0] ?? '').replace(/, offer:.*$/, '');
}
