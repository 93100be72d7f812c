/**
 * PacketSorter: says which section and encoding of a session a packet belongs to, or repeats (RFC 8843 §9.2, RFC 8852).
 */
import type { Packet } from '../../media/packet.ts';
import { Encoding, type LogMemory } from '../room/encoding.ts';
import { Publication } from '../room/publication.ts';
import { AUDIO_LEVEL, extensionId, MID, REPAIRED_RID, RID } from './extensions.ts';
import type { Section } from './offer.ts';

/** One section of the offer as it comes in. */
export type ReceivedSection = {
  mid: string;
  publication: Publication;
  /** Ids of the header extensions that are read, when they are agreed. */
  ids: {
    mid: number | undefined;
    rid: number | undefined;
    repairedRid: number | undefined;
    audioLevel: number | undefined;
  };
  rtxPayloadType: number | undefined;
  /** Encodings by the SSRC of the RTX stream that repeats them. */
  repairs: Map<number, Encoding>;
};

/** A packet with the datagram that it was parsed from. */
export type Received = { packet: Packet; datagram: Buffer };

/** At most this many SSRCs are remembered with their sections: a sender has few at a time. */
const MAX_SOURCES = 64;
/** The second packet of a new source is at most this far behind the first, by sequence numbers. */
const MAX_PROBATION_GAP = 16;

/** @param onKeyFrameWanted is told the encoding whose sender must be asked */
export function receiveSection(
  section: Section,
  memory: LogMemory,
  onKeyFrameWanted: (encoding: Encoding) => void,
): ReceivedSection {
  const { format, extensions, rtxPayloadType, mid } = section;
  const repairs = new Map<number, Encoding>();
  const encodings = section.streams.map(({ rid, ssrc, rtxSsrc }) => {
    const encoding: Encoding = new Encoding({
      ...{ format, rid, ssrc, memory, isLayer: section.streams.length > 1 },
      onKeyFrameWanted: () => onKeyFrameWanted(encoding),
    });
    if (rtxSsrc !== undefined) repairs.set(rtxSsrc, encoding);
    return encoding;
  });
  return {
    mid,
    publication: new Publication(format, encodings),
    ids: {
      mid: extensionId(extensions, MID),
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
  /** The id that the whole bundle uses (RFC 9143 §9.3). */
  readonly #midId: number | undefined;
  readonly #bySsrc = new Map<number, ReceivedSection>();
  /** For each encoding, the packet of a new source that is not trusted yet. */
  readonly #onProbation = new Map<Encoding, Received>();

  constructor(sections: readonly ReceivedSection[]) {
    this.#sections = sections;
    this.#midId = sections.find(({ ids }) => ids.mid !== undefined)?.ids.mid;
    for (const section of sections) {
      for (const { ssrc } of section.publication.encodings) if (ssrc !== undefined) this.#bySsrc.set(ssrc, section);
      for (const ssrc of section.repairs.keys()) this.#bySsrc.set(ssrc, section);
    }
  }

  /**
   * The section of a packet: the one that it names, the one that its source named before, or the only one that has its
   * payload type.
   */
  sectionOf(packet: Packet): ReceivedSection | undefined {
    const mid = textOf(packet, this.#midId);
    const named = mid === undefined ? undefined : this.#sections.find((section) => section.mid === mid);
    if (mid !== undefined && !named) return undefined;
    if (named) this.#remember(packet.ssrc, named);
    const known = named ?? this.#bySsrc.get(packet.ssrc);
    if (known) return takes(known, packet.payloadType) ? known : undefined;
    const able = this.#sections.filter((section) => takes(section, packet.payloadType));
    return able.length === 1 ? able[0] : undefined;
  }

  /**
   * The encoding of a packet that is no retransmission. The packets of a simulcast name their rid until the sender
   * knows that it was heard.
   */
  encodingOf(packet: Packet, { publication, ids }: ReceivedSection): Encoding | undefined {
    const { encodings } = publication;
    if (encodings.length === 1) return encodings[0];
    return encodings.find(({ ssrc }) => ssrc === packet.ssrc) ?? ofRid(encodings, textOf(packet, ids.rid));
  }

  /** The encoding that a packet of the RTX payload type repeats (RFC 4588). */
  repairedBy(packet: Packet, section: ReceivedSection): Encoding | undefined {
    const { encodings } = section.publication;
    if (encodings.length === 1) return encodings[0];
    const known = section.repairs.get(packet.ssrc) ?? ofRid(encodings, textOf(packet, section.ids.repairedRid));
    if (known) section.repairs.set(packet.ssrc, known);
    return known;
  }

  /**
   * The packets of an encoding that may go on now that this one came, which is of another source than those before. A
   * sender may start over with another source; that is trusted when the packet names its section, or when a second
   * packet of the source follows (RFC 3550 §A.1).
   */
  admit(received: Received, encoding: Encoding, { ids }: ReceivedSection): Received[] {
    const { packet } = received;
    if (!encoding.isHeard) return [received];
    if ([this.#midId, ids.rid].some((id) => textOf(packet, id) !== undefined)) return [received];
    const former = this.#onProbation.get(encoding);
    const gap = former?.packet.ssrc === packet.ssrc ? (packet.sequence - former.packet.sequence) & 0xffff : 0;
    if (former && gap > 0 && gap <= MAX_PROBATION_GAP) {
      this.#onProbation.delete(encoding);
      return [former, received];
    }
    this.#onProbation.set(encoding, received);
    return [];
  }

  #remember(ssrc: number, section: ReceivedSection): void {
    if (this.#bySsrc.get(ssrc) === section) return;
    this.#bySsrc.set(ssrc, section);
    const [oldest] = this.#bySsrc.keys();
    if (this.#bySsrc.size > MAX_SOURCES) this.#bySsrc.delete(oldest!);
  }
}

function takes({ publication, rtxPayloadType }: ReceivedSection, payloadType: number): boolean {
  return publication.format.payloadType === payloadType || rtxPayloadType === payloadType;
}

function textOf({ extensions }: Packet, id: number | undefined): string | undefined {
  return id === undefined ? undefined : extensions?.get(id)?.toString('latin1');
}

function ofRid(encodings: readonly Encoding[], rid: string | undefined): Encoding | undefined {
  return rid === undefined ? undefined : encodings.find((encoding) => encoding.rid === rid);
}
