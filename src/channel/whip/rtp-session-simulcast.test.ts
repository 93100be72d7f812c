/**
 * An RtpSession whose publisher sends its pictures in several layers.
 */
import { describe, expect, test } from 'vitest';
import { openRtpSession } from '../../../test/support/rtp-session-scene.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { START_BITRATE_BPS } from './bandwidth.ts';

describe('a simulcast', () => {
  const SSRCS = { h: 1001, m: 1002, l: 1003 };
  /** The SSRC of the sound, as the offer announces it. */
  const SOUND = 4176925188;
  type Rid = keyof typeof SSRCS;
  /** @param named whether the packet says its rid, as Chromium's do until it knows that one was heard */
  const layer = (rid: Rid, sequence: number, key: boolean, named = true, repairs = false) =>
    encodePacket({
      ...{
        payloadType: repairs ? 97 : 96,
        ssrc: SSRCS[rid] + (repairs ? 100 : 0),
        sequence,
        timestamp: sequence * 3000,
      },
      ...{ marker: true, payload: Buffer.from(repairs ? [0, sequence - 500, 0x10, 1, 2] : [0x10, key ? 0 : 1, 2]) },
      ...(named && { extensions: new Map([[repairs ? 11 : 10, Buffer.from(rid)]]) }),
    });
  const openSimulcast = () => {
    const scene = openRtpSession(undefined, 'chromium-simulcast');
    const encodings = scene.session.publications[1]!.encodings;
    return { ...scene, encodings };
  };

  test('is sorted by rid, then by the SSRC that came with it; what names no layer is counted', () => {
    const { session, encodings, heard } = openSimulcast();
    session.onDatagram(layer('l', 1, true, false));
    expect(session.strays).toBe(1);
    for (const rid of ['l', 'm', 'h'] as const) session.onDatagram(layer(rid, 1, true));
    for (const rid of ['h', 'm', 'l'] as const) session.onDatagram(layer(rid, 2, false, false));
    expect(encodings.map(({ rid, ssrc }) => [rid, ssrc])).toEqual(Object.entries(SSRCS));
    expect(heard.map(({ encoding }) => encoding.rid)).toEqual(['l', 'm', 'h', 'h', 'm', 'l']);
    expect(session.strays).toBe(1);
    // A sender that starts over says the rids of its new SSRCs.
    const anew = layer('m', 50, true);
    anew.writeUInt32BE(77, 8);
    session.onDatagram(anew);
    expect(encodings[1]!.ssrc).toBe(77);
  });

  test('is reported on, repaired and asked for key frames layer by layer', () => {
    const { session, encodings, run, of } = openSimulcast();
    let n = 1;
    run(2000, () => {
      for (const rid of ['h', 'm', 'l'] as const)
        if (rid !== 'm' || n !== 20) session.onDatagram(layer(rid, n, n === 1));
      n++;
    });
    expect(
      of('receiverReport')
        .findLast(({ blocks }) => blocks.length > 0)!
        .blocks.map(({ ssrc }) => ssrc),
    ).toEqual(Object.values(SSRCS));
    expect(of('remb').at(-1)!.ssrcs).toEqual([SOUND, ...Object.values(SSRCS)]);
    expect(of('nack')[0]).toMatchObject({ mediaSsrc: SSRCS.m, sequences: [20] });
    expect(of('pictureLossIndication')).toEqual([]);
    encodings[2]!.wantKeyFrame();
    expect(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc)).toEqual([SSRCS.l]);
    for (const { encodings } of session.publications) for (const encoding of encodings) encoding.wantKeyFrame();
    expect(new Set(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc))).toEqual(
      new Set(Object.values(SSRCS)),
    );
  });

  test('has the figures of all layers, and each layer its own', () => {
    const { session, clock, run } = openSimulcast();
    let n = 1;
    run(2000, () => {
      session.onDatagram(layer('h', n, n === 1));
      session.onDatagram(layer('l', n, n === 1));
      n++;
    });
    const report = session.publications[1]!.report(clock.monoUs());
    expect(report).toMatchObject({ receiving: true, packets: 200, bytes: 600 });
    expect(report.layers!.map(({ rid, receiving, packets }) => [rid, receiving, packets])).toEqual([
      ['h', true, 100],
      ['m', false, 0],
      ['l', true, 100],
    ]);
    expect(session.publications[0]!.report(clock.monoUs())).not.toHaveProperty('layers');
  });

  test('with a layer that loses little beside one that loses much is not told to send less for the little one', () => {
    const { session, run, of } = openSimulcast();
    let n = 1;
    run(10_000, () => {
      for (let i = 0; i < 10; i++) session.onDatagram(layer('h', n * 10 + i, n === 1));
      // Every fourth of a small layer's packets is lost: a fortieth of all.
      if (n % 4 > 0) session.onDatagram(layer('l', n, n === 1));
      n++;
    });
    expect(of('remb').at(-1)!.bitrateBps).toBeGreaterThanOrEqual(START_BITRATE_BPS * 0.99);
  });

  test('is repaired by RTX that names the layer it repeats', () => {
    const { session, seen, heard } = openSimulcast();
    for (const rid of ['h', 'm'] as const) for (const n of [1, 3]) session.onDatagram(layer(rid, n, n === 1));
    session.onDatagram(layer('m', 502, false, true, true));
    expect(heard.at(-1)!.encoding.rid).toBe('m');
    expect([seen.at(-1)!.readUInt16BE(2), seen.at(-1)!.readUInt32BE(8), seen.at(-1)![1]! & 0x7f]).toEqual([
      2,
      SSRCS.m,
      96,
    ]);
    session.onDatagram(layer('h', 502, false, false, true));
    expect(session.strays).toBe(1);
  });
});
