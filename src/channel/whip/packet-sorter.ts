/**
 * PacketSorter: says which encoding of a session a packet belongs to, or repeats.
 */
import type { Packet } from '../../media/packet.ts';
import { Encoding, type LogMemory } from '../room/encoding.ts';
import { Publication } from '../room/publication.ts';
import { AUDIO_LEVEL, extensionId, REPAIRED_RID, RID } from './extensions.ts';
import type { Section } from './offer.ts';

/** One section of the offer as it comes in. */
export type ReceivedSection = {
  publication: Publication;
  /** Ids of header extensions that are read, where they are agreed. */
  ids: { rid: number | undefined; repairedRid: number | undefined; audioLevel: number | undefined };
  rtxPayloadType: number | undefined;
  /** Encodings by the SSRC of what repeats them. */
  repairs: Map<number, Encoding>;
};

/** @param onKeyFrameWanted is told the encoding whose sender is to be asked */
export function receiveSection(
  section: Section,
  memory: LogMemory,
  onKeyFrameWanted: (encoding: Encoding) => void,
): ReceivedSection {
  const { format, extensions, rtxPayloadType } = section;
  const repairs = new Map<number, Encoding>();
  const encodings = section.streams.map(({ rid, ssrc, rtxSsrc }) => {
    const encoding: Encoding = new Encoding({
      ...{ format, rid, ssrc, memory },
      onKeyFrameWanted: () => onKeyFrameWanted(encoding),
    });
    if (rtxSsrc !== undefined) repairs.set(rtxSsrc, encoding);
    return encoding;
  });
  return {
    publication: new Publication(format, encodings),
    ids: {
      rid: extensionId(extensions, RID),
      repairedRid: extensionId(extensions, REPAIRED_RID),
      audioLevel: extensionId(extensions, AUDIO_LEVEL),
    },
    rtxPayloadType,
    repairs,
  };
}

export class PacketSorter {
  readonly #sections: readonly ReceivedSection[];

  constructor(sections: readonly ReceivedSection[]) {
    this.#sections = sections;
  }

  /** The section that a packet's payload type says. */
  sectionOf(packet: Packet): ReceivedSection | undefined {
    return this.#sections.find(({ publication }) => publication.format.payloadType === packet.payloadType);
  }

  /**
   * The encoding of a packet. Without simulcast it is the one there is, whatever the SSRC: a sender may start over with another.
   * A simulcast's packets say their rid at least until the sender knows that it was heard (RFC 8852 §3.3); the SSRC does after.
   */
  encodingOf(packet: Packet, { publication, ids }: ReceivedSection): Encoding | undefined {
    const { encodings } = publication;
    if (encodings.length === 1) return encodings[0];
    return encodings.find(({ ssrc }) => ssrc === packet.ssrc) ?? named(packet, ids.rid, encodings);
  }

  /** The encoding that a packet of an RTX payload type repeats (RFC 4588). */
  repairedBy(packet: Packet): Encoding | undefined {
    const section = this.#sections.find(({ rtxPayloadType }) => rtxPayloadType === packet.payloadType);
    if (!section) return undefined;
    const { encodings } = section.publication;
    if (encodings.length === 1) return encodings[0];
    const known = section.repairs.get(packet.ssrc) ?? named(packet, section.ids.repairedRid, encodings);
    if (known) section.repairs.set(packet.ssrc, known);
    return known;
  }
}

function named({ extensions }: Packet, id: number | undefined, encodings: readonly Encoding[]): Encoding | undefined {
  const rid = id === undefined ? undefined : extensions?.get(id)?.toString('latin1');
  return rid === undefined ? undefined : encodings.find((encoding) => encoding.rid === rid);
}
