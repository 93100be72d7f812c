import { parse } from 'sdp-transform';
import { describe, expect, test } from 'vitest';
import { capturedOffer } from '../../../test/support/offers/read-offer.ts';
import { Fault } from '../../kernel/fault.ts';
import { readOffer, writeAnswer, writeTransportOffer } from './offer.ts';

const LOCAL = [
  'v=0',
  'o=rtc 98238088 0 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=fingerprint:sha-256 A8:92:39:B8',
  'm=audio 45123 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=recvonly',
  'a=setup:passive',
  'a=ice-ufrag:XMkq',
  'a=ice-pwd:L0ndeoSYDvmGukcYTVX1wK',
  'a=candidate:1 1 UDP 2114977791 127.0.0.1 45123 typ host',
  '',
].join('\r\n');

function answerOf(sdp: string) {
  const text = writeAnswer(readOffer(sdp), LOCAL);
  return { text, session: parse(text) };
}
function codeOf(sdp: string): string {
  try {
    readOffer(sdp);
    return 'accepted';
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
}
const chromium = (change?: (sdp: string) => string) => capturedOffer('chromium', change);

describe('an offer of Chromium', () => {
  test('gives Opus and its first video codec of ours', () => {
    const offer = readOffer(chromium());
    expect(offer.sections.map((s) => s.format)).toEqual([
      {
        kind: 'audio',
        codec: 'opus',
        payloadType: 111,
        clockRate: 48000,
        channels: 2,
        fmtp: 'minptime=10;useinbandfec=1',
      },
      {
        kind: 'video',
        codec: 'vp8',
        payloadType: 96,
        clockRate: 90000,
        fmtp: '',
        colorExtension: 8,
        orientationExtension: 13,
      },
    ]);
    expect(offer.sections.map((s) => s.streams.map(({ ssrc }) => ssrc))).toEqual([[524960147], [715482575]]);
    expect(offer.transport).toMatchObject({ iceUfrag: '/3xl', setup: 'actpass' });
    expect(offer.answersConsent).toBe(true);
  });

  test('is answered without RTX, RED, FEC and transport-cc, and with what repairs', () => {
    const { text, session } = answerOf(chromium());
    expect(text).not.toMatch(/rtx|red|ulpfec|transport-cc|transport-wide/i);
    expect(session.media.map((m) => [m.type, String(m.payloads), m.direction, m.setup])).toEqual([
      ['audio', '111', 'recvonly', 'passive'],
      ['video', '96', 'recvonly', 'passive'],
    ]);
    expect(session.media[1]!.rtcpFb?.map((f) => [f.type, f.subtype].filter(Boolean).join(' '))).toEqual([
      'goog-remb',
      'ccm fir',
      'nack',
      'nack pli',
    ]);
    expect(session.groups).toEqual([{ type: 'BUNDLE', mids: '0 1' }]);
    expect(session.media[0]!.candidates).toHaveLength(1);
    expect(session.media[0]!.endOfCandidates).toBeDefined();
  });

  test('with transport-wide feedback and no REMB has it agreed for both sections, one count for the bundle', () => {
    const sdp = chromium((s) => s.replaceAll(/^a=rtcp-fb:\d+ goog-remb\n/gm, ''));
    const { text } = answerOf(sdp);
    expect(text.match(/^a=extmap:3 .*transport-wide-cc-extensions-01/gm)).toHaveLength(2);
    expect(text.match(/^a=rtcp-fb:(111|96) transport-cc/gm)).toHaveLength(2);
    expect(readOffer(sdp).sections.map((s) => s.transportSequenceId)).toEqual([3, 3]);
  });

  test.each([
    ['with REMB as well', /^$/gm],
    ['without the reports', /^a=rtcp-fb:\d+ (transport-cc|goog-remb)\n/gm],
    ['without the numbers', /^a=extmap:3 .*\n|^a=rtcp-fb:\d+ goog-remb\n/gm],
    ['for sound only', /^m=video[\s\S]*|^a=rtcp-fb:\d+ goog-remb\n/gm],
  ])('has no transport-wide feedback agreed when it is offered %s', (_what, part) => {
    const sdp = chromium((s) => s.replaceAll(part, ''));
    expect(answerOf(sdp).text).not.toMatch(/transport-(cc|wide)/);
    expect(new Set(readOffer(sdp).sections.map((s) => s.transportSequenceId))).toEqual(new Set([undefined]));
  });

  test('with H.264 before VP8 gives H.264 in packetization mode 1, whichever mode comes first', () => {
    const sdp = chromium((s) => s.replace('SAVPF 96 97 102 103 104', 'SAVPF 104 102 96'));
    const video = readOffer(sdp).sections[1]!.format;
    expect(video).toMatchObject({ codec: 'h264', payloadType: 102 });
    expect(video.fmtp).toContain('packetization-mode=1');
  });

  test('with H.264 in mode 0 only is taken as it is', () => {
    const sdp = chromium((s) => s.replace(/SAVPF 96 97 .*/, 'SAVPF 100 104'));
    expect(readOffer(sdp).sections[1]!.format).toMatchObject({ codec: 'h264', payloadType: 104 });
  });

  test.each([
    ['VP9 first', '98 96 102', { codec: 'vp9', payloadType: 98, fmtp: 'profile-id=0' }, 'a=rtpmap:98 VP9/90000'],
    ['VP9 of profile 2 before profile 0', '100 98 96', { codec: 'vp9', payloadType: 98 }, 'a=fmtp:98 profile-id=0'],
    ['VP9 of profile 2 only', '100 96', { codec: 'vp8', payloadType: 96 }, 'a=rtpmap:96 VP8/90000'],
    ['AV1 first', '45 98 96', { codec: 'av1', payloadType: 45 }, 'a=fmtp:45 level-idx=5;profile=0;tier=0'],
  ])('with %s gives the first codec of ours', (_what, order, format, line) => {
    const sdp = chromium((s) => s.replace(/SAVPF 96 97 .*/, `SAVPF ${order}`));
    expect(readOffer(sdp).sections[1]!.format).toMatchObject({ clockRate: 90000, ...format });
    expect(answerOf(sdp).text).toContain(`${line}\r\n`);
  });

  test('of AV1 in a profile of more colour is not taken', () => {
    const sdp = chromium((s) => s.replace(/SAVPF 96 97 .*/, 'SAVPF 45 96').replace('profile=0;tier', 'profile=1;tier'));
    expect(readOffer(sdp).sections[1]!.format.codec).toBe('vp8');
  });

  test.each([
    ['PCMU', '0 111', 'pcmu', 0],
    ['PCMA', '9 8 111', 'pcma', 8],
  ])('with %s first gives that, with a clock of 8 kHz', (name, order, codec, payloadType) => {
    const sdp = chromium((s) => s.replace('SAVPF 111 63 9 0 8', `SAVPF ${order}`));
    const wanted = { kind: 'audio', codec, payloadType, clockRate: 8000, channels: 1, fmtp: '' };
    expect(readOffer(sdp).sections[0]!.format).toEqual(wanted);
    expect(answerOf(sdp).text).toContain(`a=rtpmap:${payloadType} ${name}/8000\r\n`);
    // These numbers mean the same without a word about them (RFC 3551 §6).
    expect(readOffer(sdp.replace(/a=rtpmap:[08] .*\r\n/g, '')).sections[0]!.format).toEqual(wanted);
  });

  test('with PCMU of two channels is not taken for one', () => {
    const sdp = chromium((s) => s.replace('SAVPF 111', 'SAVPF 0 111').replace('PCMU/8000', 'PCMU/8000/2'));
    expect(readOffer(sdp).sections[0]!.format.codec).toBe('opus');
  });

  test('with stereo offered is answered with stereo=1', () => {
    const { text } = answerOf(chromium((s) => s.replace('useinbandfec=1', 'useinbandfec=1;sprop-stereo=1')));
    expect(text).toContain('a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1;stereo=1\r\n');
  });

  test('with a data channel has that refused in its place, and a second picture taken', () => {
    const second = chromium().slice(chromium().indexOf('m=video')).replace('a=mid:1', 'a=mid:3');
    const data =
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n';
    const sdp = chromium((s) => s.replace('BUNDLE 0 1', 'BUNDLE 2 0 1 3')) + second;
    const inOrder = sdp.replace('m=audio', `${data}m=audio`);
    const { session } = answerOf(inOrder);
    expect(session.media.map((m) => [m.type, m.port, String(m.mid)])).toEqual([
      ['application', 0, '2'],
      ['audio', 9, '0'],
      ['video', 9, '1'],
      ['video', 9, '3'],
    ]);
    expect(session.groups).toEqual([{ type: 'BUNDLE', mids: '0 1 3' }]);
    // One whose packets nothing tells from those of the first is refused.
    const nameless = answerOf(
      inOrder.replace(/a=mid:3[\s\S]*$/, (end) => end.replace(/a=(ssrc|extmap:4 ).*\r\n/g, '')),
    );
    expect(nameless.session.media.map((m) => m.port)).toEqual([0, 9, 9, 0]);
    expect(session.media[1]!.candidates).toHaveLength(1);
  });

  test('bundle-only sections with port 0 are taken, those without are refused', () => {
    const off = chromium((s) => s.replace('m=video 9', 'm=video 0'));
    expect(readOffer(off).sections.map((s) => s.mid)).toEqual(['0']);
    expect(readOffer(off.replace('a=mid:1', 'a=mid:1\r\na=bundle-only')).sections.map((s) => s.mid)).toEqual([
      '0',
      '1',
    ]);
  });

  test('the peer connection is offered one section with the transport of the bundle', () => {
    const text = writeTransportOffer(readOffer(chromium()));
    expect(text.match(/^m=.*/gm)).toEqual(['m=audio 9 UDP/TLS/RTP/SAVPF 111']);
    expect(text).toContain('a=ice-pwd:S/bI/YEd3gM38KRDq9AqZxtP\r\n');
    expect(text).toContain('a=fingerprint:sha-256 2F:FE:4D');
  });

  test.each([
    ['actpass', 'active'],
    ['active', 'active'],
    ['passive', 'passive'],
  ])('a publisher that offers %s is %s in DTLS', (offered, taken) => {
    const text = writeTransportOffer(
      readOffer(chromium((sdp) => sdp.replaceAll('a=setup:actpass', `a=setup:${offered}`))),
    );
    expect(text.match(/^a=setup:.*/gm)).toEqual([`a=setup:${taken}`]);
  });
});

test('an offer of FFmpeg gives Opus and H.264; FFmpeg stays the DTLS server', () => {
  const offer = readOffer(capturedOffer('ffmpeg'));
  expect(
    offer.sections.map((s) => [
      s.format.codec,
      s.format.payloadType,
      s.rtxPayloadType,
      s.streams.map(({ ssrc }) => ssrc),
    ]),
  ).toEqual([
    ['opus', 111, undefined, [1152065482]],
    ['h264', 106, 105, [1152065483]],
  ]);
  expect(offer.transport.setup).toBe('passive');
  expect(offer.answersConsent).toBe(false);
  expect(answerOf(capturedOffer('ffmpeg')).text).not.toMatch(/rtx|rtcp-rsize/);
});

describe('refused', () => {
  test.each([
    ['text that is no SDP', 'hello'],
    ['an empty body', ''],
    ['no m= line', 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n'],
    ['no ICE', chromium((s) => s.replaceAll(/a=ice-(ufrag|pwd).*\n/g, ''))],
    ['no fingerprint', chromium((s) => s.replaceAll(/a=fingerprint.*\n/g, ''))],
  ])('as malformed: %s', (_what, sdp) => {
    expect(codeOf(sdp)).toBe('sdp-invalid');
  });

  test.each([
    ['recvonly', chromium((s) => s.replaceAll('a=sendonly', 'a=recvonly')), /recvonly/],
    [
      'codecs of others',
      chromium((s) => s.replaceAll(/opus|PCM[UA]|VP[89]|H264|AV1/g, 'Other')),
      /no codec of ours among Other/,
    ],
    ['H.264 high 4:4:4', capturedOffer('ffmpeg', (s) => s.replace('42001f', 'f4001f').replace(/opus/g, 'x')), /H264/],
    ['no bundle', chromium((s) => s.replace(/a=group.*\n/, '')), /bundle/],
    ['unencrypted', chromium((s) => s.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP')), /DTLS-SRTP/],
  ])('as not acceptable: %s', (_what, sdp, words) => {
    expect(codeOf(sdp)).toBe('offer-unacceptable');
    expect(() => readOffer(sdp)).toThrow(words);
  });
});

describe('a simulcast offer of Chromium', () => {
  const RID_URIS = /urn:ietf:params:rtp-hdrext:sdes:(?:repaired-)?rtp-stream-id/g;
  const simulcast = (change?: (sdp: string) => string) => capturedOffer('chromium-simulcast', change);
  const ridsOf = (sdp: string) => readOffer(sdp).sections[1]!.streams.map(({ rid }) => rid);
  const answered = (sdp: string) => answerOf(sdp).text.match(/^a=(?:rid|simulcast):.*/gm);

  test('is answered with all its rids to be received, and the extensions that packets name them by', () => {
    expect(ridsOf(simulcast())).toEqual(['h', 'm', 'l']);
    expect(answered(simulcast())).toEqual(['a=rid:h recv', 'a=rid:m recv', 'a=rid:l recv', 'a=simulcast:recv h;m;l']);
    const { text, session } = answerOf(simulcast());
    expect(text.match(RID_URIS)).toHaveLength(2);
    expect(session.media[1]!.ext?.map(({ value, uri }) => [value, uri.split(/[:/]/).at(-1)])).toEqual(
      expect.arrayContaining([
        [4, 'mid'],
        [10, 'rtp-stream-id'],
        [11, 'repaired-rtp-stream-id'],
      ]),
    );
    expect(session.media[0]!.rids).toBeUndefined();
  });

  test.each<[string, (sdp: string) => string, string[]]>([
    ['of two', (s) => s.replace('send h;m;l', 'send h;l'), ['h', 'l']],
    ['with one that begins paused', (s) => s.replace('send h;m;l', 'send h;~m;l'), ['h', 'm', 'l']],
    ['with alternatives', (s) => s.replace('send h;m;l', 'send x,h,m;l'), ['h', 'l']],
    ['that would receive as well', (s) => s.replace('send h;m;l', 'recv x;y send h;m'), ['h', 'm']],
    ['with one in the codec taken', (s) => s.replace('a=rid:m send', 'a=rid:m send pt=96,98'), ['h', 'm', 'l']],
    ['with one in another codec', (s) => s.replace('a=rid:m send', 'a=rid:m send max-width=9;pt=102'), ['h', 'l']],
    ['with one that is not described', (s) => s.replace('a=rid:m send\n', ''), ['h', 'l']],
    [
      'with more than anyone sends',
      (s) =>
        s
          .replace('send h;m;l', 'send h;m;l;4;5;6')
          .replace('a=rid:h send', 'a=rid:h send\na=rid:4 send\na=rid:5 send\na=rid:6 send'),
      ['h', 'm', 'l', '4'],
    ],
  ])('%s is answered with what of it can be received', (_what, change, rids) => {
    expect(ridsOf(simulcast(change))).toEqual(rids);
    expect(answered(simulcast(change))!.at(-1)).toBe(`a=simulcast:recv ${rids.join(';')}`);
  });

  test.each<[string, (sdp: string) => string]>([
    ['whose packets do not say their rid', (s) => s.replace(/^a=extmap:10 .*\n/m, '')],
    ['that only receives', (s) => s.replace('a=simulcast:send', 'a=simulcast:recv')],
    ['without the line that joins its rids', (s) => s.replace(/^a=simulcast.*\n/m, '')],
  ])('%s is answered as one of a single stream', (_what, change) => {
    expect(ridsOf(simulcast(change))).toEqual([undefined]);
    expect(answered(simulcast(change))).toBeNull();
    expect(answerOf(simulcast(change)).text).not.toMatch(RID_URIS);
  });

  test('of the older kind names its streams by SSRC, each with its RTX', () => {
    const sdp = chromium((s) =>
      s.replace(
        /^a=ssrc-group:FID .*$/m,
        'a=ssrc-group:SIM 11 12 13\na=ssrc-group:FID 11 21\na=ssrc-group:FID 12 22\na=ssrc-group:FID 13 23',
      ),
    );
    expect(readOffer(sdp).sections[1]!.streams).toEqual([
      { rid: undefined, ssrc: 11, rtxSsrc: 21 },
      { rid: undefined, ssrc: 12, rtxSsrc: 22 },
      { rid: undefined, ssrc: 13, rtxSsrc: 23 },
    ]);
    expect(answered(sdp)).toBeNull();
  });
});

test('comfort noise and telephone events of an offer are not agreed to', () => {
  const offered = chromium();
  expect(offered).toMatch(/a=rtpmap:13 CN\/8000/);
  expect(offered).toMatch(/a=rtpmap:126 telephone-event\/8000/);
  expect(answerOf(offered).text.match(/^a=rtpmap:.*/gm)).toEqual([
    'a=rtpmap:111 opus/48000/2',
    'a=rtpmap:96 VP8/90000',
  ]);
  const eventsFirst = chromium((s) => s.replace('SAVPF 111 63 9 0 8', 'SAVPF 126 13 111 63 9 0 8'));
  expect(readOffer(eventsFirst).sections[0]!.format).toMatchObject({ codec: 'opus', payloadType: 111 });
});

test('the audio level is agreed on', () => {
  expect(answerOf(chromium()).text).toMatch(/a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n/);
});
