/**
 * PictureNotes: what a sender says in header extensions of its pictures (their colours and orientation), from each
 * packet on (RFC 8285).
 */
import type { Orientation } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { TrackFormat, VideoColor } from '../../media/track.ts';
import { parseColorSpace } from '../../stages/rtp/color-space.ts';
import { parseOrientation } from '../../stages/rtp/orientation.ts';
import { Announced } from './announced.ts';

export class PictureNotes {
  readonly #colors = new Announced<VideoColor>();
  readonly #orientations = new Announced<Orientation>();

  /** @param rtpTime the packet's unwrapped timestamp */
  note({ extensions }: Packet, rtpTime: number, format: TrackFormat): void {
    if (!extensions || format.kind !== 'video') return;
    const { colorExtension = 0, orientationExtension = 0 } = format;
    const colorData = extensions.get(colorExtension);
    const color = colorData && parseColorSpace(colorData);
    if (color) this.#colors.note(rtpTime, color);
    const orientationData = extensions.get(orientationExtension);
    const orientation = orientationData && parseOrientation(orientationData);
    if (orientation) this.#orientations.note(rtpTime, orientation);
  }

  /** What holds for the picture of `rtpTime`. Ask in rising order. */
  at(rtpTime: number): { color: VideoColor | undefined; orientation: Orientation | undefined } {
    return { color: this.#colors.at(rtpTime), orientation: this.#orientations.at(rtpTime) };
  }
}
