/**
 * What a publisher offers and what we take of it: sections of sound and picture (RFC 8829, RFC 9143, RFC 9725 §4.4),
 * each with one codec that we know. Codecs that we cannot use (RTX, RED, FEC) are left out.
 */
import { type MediaDescription, parse, type SessionDescription } from 'sdp-transform';
import { Fault } from '../../kernel/fault.ts';
import type { TrackFormat } from '../../media/track.ts';
import { CODECS_TAKEN, chooseCodec, rtpmapOf } from './codecs.ts';
import {
  COLOR_SPACE,
  chooseExtensions,
  type Extension,
  extensionId,
  MID,
  TRANSPORT_WIDE_CC,
  VIDEO_ORIENTATION,
} from './extensions.ts';
import { type OfferedStream, readStreams, writeStreams } from './simulcast.ts';

export type Section = {
  /** Position among the offer's m-lines. */
  index: number;
  mid: string;
  format: TrackFormat;
  /** Payload type of the offer's RTX for the format. The answer does not accept it; see `retransmission.ts`. */
  rtxPayloadType: number | undefined;
  /** One stream, or under simulcast several of the same picture. */
  streams: OfferedStream[];
  rtcpFeedback: string[];
  extensions: Extension[];
  /** Id of the header extension with the transport-wide sequence number, when transport-wide feedback is agreed. */
  transportSequenceId: number | undefined;
};

/** ICE and DTLS parameters of the bundle, as the offer has them. */
type Transport = {
  iceUfrag: string;
  icePwd: string;
  fingerprint: { type: string; hash: string };
  setup: string;
  /** Values of `a=candidate:` lines. */
  candidates: string[];
};

export type Offer = {
  /** Every m-line in order, because an answer must have them all. */
  lines: { media: string; protocol: string; formats: string; mid: string | undefined }[];
  /** The sections we take, in the offer's order. */
  sections: Section[];
  transport: Transport;
  /** Whether the publisher answers consent checks (RFC 7675) for as long as it sends, as all but FFmpeg do. */
  answersConsent: boolean;
};

const MAX_LINES = 64;
/** Enough for one publisher: sound and picture of a camera, a screen with its sound, and some to spare. */
const MAX_SECTIONS = 8;
/**
 * The name that FFmpeg's WHIP client gives its sessions (`s=`). It answers Binding requests until DTLS stands, and none
 * afterwards.
 */
const FFMPEG_SESSION = 'FFmpegPublishSession';
const FEEDBACK = new Set(['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc']);
const TAKEN = `this server takes ${CODECS_TAKEN}`;

/**
 * @throws Fault `sdp-invalid` for text that is no offer, `offer-unacceptable` for an offer with nothing we can receive
 */
export function readOffer(sdp: string): Offer {
  if (!/^v=0\r?\n/.test(sdp)) throw invalid('it does not begin with v=0');
  let session: SessionDescription;
  try {
    session = parse(sdp);
  } catch (cause) {
    throw invalid('it cannot be parsed', cause);
  }
  const { media } = session;
  if (media.length === 0) throw invalid('it has no m= line');
  if (media.length > MAX_LINES) throw invalid(`it has more than ${MAX_LINES} m= lines`);

  const sections: Section[] = [];
  const refusals: string[] = [];
  media.forEach((line, index) => {
    if (line.type !== 'audio' && line.type !== 'video') return;
    const refusal = whyRefused(session, line) ?? whyTooMany(line, sections);
    const format = refusal ? undefined : chooseFormat(line);
    if (!format) {
      refusals.push(`${line.type} section ${index}: ${refusal ?? `no codec of ours among ${codecNames(line)}`}`);
      return;
    }
    sections.push(readSection(line, index, format));
  });
  if (sections.length === 0) {
    const found = refusals.length > 0 ? refusals.join('; ') : 'the offer has neither audio nor video';
    throw new Fault('offer-unacceptable', `Nothing in the offer can be received: ${found}. ${TAKEN}.`, {
      blame: 'caller',
    });
  }
  requireOneBundle(session, sections);
  return {
    lines: media.map((line) => ({
      media: line.type,
      protocol: line.protocol,
      formats: String(line.payloads ?? '0'),
      mid: line.mid === undefined ? undefined : String(line.mid),
    })),
    sections: settleBandwidthFeedback(sections),
    transport: readTransport(session, sections),
    answersConsent: session.name !== FFMPEG_SESSION,
  };
}

/**
 * The offer for the peer connection. It has one section: that is enough to carry every packet of the bundle, unsorted.
 */
export function writeTransportOffer(offer: Offer): string {
  const section = offer.sections[0]!;
  const { format, mid } = section;
  const { transport } = offer;
  return toText([
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mid}`,
    `m=${format.kind} 9 UDP/TLS/RTP/SAVPF ${format.payloadType}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${mid}`,
    'a=sendonly',
    'a=rtcp-mux',
    rtpmapOf(format),
    `a=ice-ufrag:${transport.iceUfrag}`,
    `a=ice-pwd:${transport.icePwd}`,
    `a=fingerprint:${transport.fingerprint.type} ${transport.fingerprint.hash}`,
    // Who leaves it open begins DTLS (RFC 8842). What we sent first would often come before a client of libdatachannel
    // listens, and is sent again only after a second.
    `a=setup:${transport.setup === 'actpass' ? 'active' : transport.setup}`,
    ...transport.candidates.map((candidate) => `a=candidate:${candidate}`),
  ]);
}

/**
 * The answer to the publisher: our sections, and every other m-line refused with port 0.
 * @param local the peer connection's own answer, from which the transport is taken
 */
export function writeAnswer(offer: Offer, local: string): string {
  const session = parse(local);
  const line = session.media[0];
  const ufrag = line?.iceUfrag ?? session.iceUfrag;
  const pwd = line?.icePwd ?? session.icePwd;
  const fingerprint = line?.fingerprint ?? session.fingerprint;
  const setup = line?.setup ?? session.setup;
  const candidates = local.split(/\r?\n/).filter((text) => text.startsWith('a=candidate:'));
  if (!ufrag || !pwd || !fingerprint || !setup || candidates.length === 0)
    throw new Fault('answer-incomplete', 'the peer connection made an answer without a transport', { blame: 'self' });
  const transport = [
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    `a=fingerprint:${fingerprint.type} ${fingerprint.hash}`,
    `a=setup:${setup}`,
  ];
  const out = [
    'v=0',
    `o=- ${session.origin?.sessionId ?? 1} 1 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${offer.sections.map((section) => section.mid).join(' ')}`,
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS *',
  ];
  offer.lines.forEach((offered, index) => {
    const section = offer.sections.find((s) => s.index === index);
    if (!section) {
      out.push(`m=${offered.media} 0 ${offered.protocol} ${offered.formats}`, 'c=IN IP4 0.0.0.0');
      if (offered.mid !== undefined) out.push(`a=mid:${offered.mid}`);
      out.push('a=inactive');
      return;
    }
    const { format } = section;
    out.push(
      `m=${format.kind} 9 ${offered.protocol} ${format.payloadType}`,
      'c=IN IP4 0.0.0.0',
      'a=rtcp:9 IN IP4 0.0.0.0',
      ...transport,
      `a=mid:${section.mid}`,
      ...section.extensions.map(({ id, uri }) => `a=extmap:${id} ${uri}`),
      'a=recvonly',
      'a=rtcp-mux',
      rtpmapOf(format),
      ...section.rtcpFeedback.map((type) => `a=rtcp-fb:${format.payloadType} ${type}`),
      ...(format.fmtp ? [`a=fmtp:${format.payloadType} ${format.fmtp}`] : []),
      ...writeStreams(section.streams),
    );
    // In a bundle the first section's candidates serve all sections (RFC 9143 §10.1).
    if (section === offer.sections[0]) out.push(...candidates, 'a=end-of-candidates');
  });
  return toText(out);
}

/** A camera and a screen are two sections of one kind; their packets must say to which they belong (RFC 8843 §9.2). */
function whyTooMany(line: MediaDescription, sections: readonly Section[]): string | undefined {
  if (sections.length >= MAX_SECTIONS) return `more than ${MAX_SECTIONS} sections`;
  if (!sections.some(({ format }) => format.kind === line.type)) return undefined;
  const saysMid = extensionsOf(line).some(({ uri }) => uri === MID);
  const saysSsrc = (line.ssrcs ?? []).length > 0;
  return saysMid || saysSsrc ? undefined : 'nothing tells its packets from those of another section of its kind';
}

function whyRefused(session: SessionDescription, line: MediaDescription): string | undefined {
  // Port 0 refuses a section, except that a bundle-only one has it by design (RFC 9143 §6).
  if (line.port === 0 && line.bundleOnly === undefined) return 'it is switched off (port 0)';
  const direction = line.direction ?? session.direction ?? 'sendrecv';
  if (direction !== 'sendonly' && direction !== 'sendrecv') return `it is ${direction}, and a publisher must send`;
  if (!/^(UDP|TCP)\/TLS\/RTP\/SAVPF?$/.test(line.protocol)) return `${line.protocol} is not DTLS-SRTP`;
  if (line.mid === undefined) return 'it has no a=mid';
  if (line.rtcpMux === undefined) return 'it has no a=rtcp-mux';
  return undefined;
}

/** The codec, with the header extensions that describe its pictures. */
function chooseFormat(line: MediaDescription): TrackFormat | undefined {
  const format = chooseCodec(line);
  if (format?.kind !== 'video') return format;
  const offered = extensionsOf(line);
  return {
    ...format,
    colorExtension: extensionId(offered, COLOR_SPACE),
    orientationExtension: extensionId(offered, VIDEO_ORIENTATION),
  };
}

function readSection(line: MediaDescription, index: number, format: TrackFormat): Section {
  const feedback = (line.rtcpFb ?? [])
    .filter((fb) => String(fb.payload) === '*' || Number(fb.payload) === format.payloadType)
    .map((fb) => (fb.subtype ? `${fb.type} ${fb.subtype}` : fb.type));
  const apt = new RegExp(`(^|;)\\s*apt=${format.payloadType}\\s*(;|$)`);
  const rtx = line.rtp.find(
    (rtp) => /^rtx$/i.test(rtp.codec) && line.fmtp.some((f) => f.payload === rtp.payload && apt.test(f.config)),
  );
  const streams = readStreams(line, format.payloadType);
  return {
    index,
    mid: String(line.mid),
    format,
    rtxPayloadType: rtx?.payload,
    streams,
    rtcpFeedback: [...new Set(feedback)].filter((type) => FEEDBACK.has(type)),
    extensions: chooseExtensions(
      extensionsOf(line),
      streams.some(({ rid }) => rid !== undefined),
    ),
    transportSequenceId: undefined,
  };
}

/**
 * Chooses REMB or transport-wide feedback for the whole bundle, because the numbers are those of the transport. A
 * sender that takes both gets REMB. From transport-wide feedback it would make its own estimate out of our arrival
 * times: on a machine that is busy encoding these show our delays as if they were the network's, and hold the sender
 * far below what the path carries.
 */
function settleBandwidthFeedback(sections: readonly Section[]): Section[] {
  const video = sections.find((section) => section.format.kind === 'video');
  const isTransportWide =
    video !== undefined && sequenceIdOf(video) !== undefined && !video.rtcpFeedback.includes('goog-remb');
  return sections.map((section) => {
    const transportSequenceId = isTransportWide ? sequenceIdOf(section) : undefined;
    if (transportSequenceId !== undefined) return { ...section, transportSequenceId };
    return {
      ...section,
      rtcpFeedback: section.rtcpFeedback.filter((type) => type !== 'transport-cc'),
      extensions: section.extensions.filter((e) => e.uri !== TRANSPORT_WIDE_CC),
    };
  });
}

/** Transport-wide feedback needs both: the numbers in the packets, and the reports about them. */
function sequenceIdOf(section: Section): number | undefined {
  if (!section.rtcpFeedback.includes('transport-cc')) return undefined;
  return extensionId(section.extensions, TRANSPORT_WIDE_CC);
}

function extensionsOf(line: MediaDescription): Extension[] {
  return (line.ext ?? []).map(({ value, uri }) => ({ id: value, uri }));
}

/** All media comes over one transport (RFC 9725 §4.4), so two sections must be in one bundle. */
function requireOneBundle(session: SessionDescription, sections: Section[]): void {
  if (sections.length < 2) return;
  const bundles = (session.groups ?? []).filter((group) => group.type === 'BUNDLE');
  const together = bundles.some((group) => {
    const mids = String(group.mids).split(' ');
    return sections.every((section) => mids.includes(section.mid));
  });
  if (!together)
    throw new Fault('offer-unacceptable', 'The offer must bundle its audio and video sections (a=group:BUNDLE).', {
      blame: 'caller',
    });
}

/** In a bundle only the first section must carry the transport (RFC 9143 §7.1), so the first that has one counts. */
function readTransport(session: SessionDescription, sections: Section[]): Transport {
  const bundle = (session.groups ?? []).find((group) => String(group.mids).split(' ').includes(sections[0]!.mid));
  const mids = bundle ? String(bundle.mids).split(' ') : [sections[0]!.mid];
  const lines = session.media.filter((line) => line.mid !== undefined && mids.includes(String(line.mid)));
  const first = <T>(of: (part: MediaDescription | SessionDescription) => T | undefined): T | undefined => {
    for (const line of lines) {
      const value = of(line);
      if (value !== undefined) return value;
    }
    return of(session);
  };
  const iceUfrag = first((part) => part.iceUfrag);
  const icePwd = first((part) => part.icePwd);
  const fingerprint = first((part) => part.fingerprint);
  if (iceUfrag === undefined || icePwd === undefined) throw invalid('it has no a=ice-ufrag and a=ice-pwd');
  if (fingerprint === undefined) throw invalid('it has no a=fingerprint');
  const setup = first((part) => part.setup) ?? 'actpass';
  if (!['actpass', 'active', 'passive'].includes(setup)) throw invalid(`it has a=setup:${setup}`);
  const candidates = lines.flatMap((line) =>
    (line.candidates ?? [])
      .filter((c) => c.transport.toLowerCase() === 'udp' && c.component === 1)
      .map((c) => `${c.foundation} 1 UDP ${c.priority} ${c.ip} ${c.port} typ ${c.type}`),
  );
  return { iceUfrag: String(iceUfrag), icePwd: String(icePwd), fingerprint, setup, candidates };
}

function codecNames(line: MediaDescription): string {
  return [...new Set(line.rtp.map((rtp) => rtp.codec))].join(', ') || 'none';
}

function toText(lines: string[]): string {
  return `${lines.join('\r\n')}\r\n`;
}

function invalid(why: string, cause?: unknown): Fault {
  return new Fault('sdp-invalid', `The body is not a usable SDP offer: ${why}.`, { blame: 'caller', cause });
}
