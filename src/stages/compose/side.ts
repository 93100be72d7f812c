/** Puts a user's sound on one side of a stereo mix. Pure. */
import type { Side } from '../../contract/line/stereo.ts';

/** Gain when a stereo sound goes to one side: a user whose channels are equal stays as loud as before. */
const HALF = 0.5;

/**
 * Two channels with the whole sound on `side`. A sound that was on another side moves within the first `fade` samples:
 * an abrupt change would be a step in the wave, and a click.
 * @param channels two channels, which are not changed
 */
export function toSide(channels: Float32Array[], side: Side, before: Side, fade: number): Float32Array[] {
  if (side === 'both' && before === 'both') return channels;
  const [left, right] = channels as [Float32Array, Float32Array];
  const mono = left.map((value, i) => (value + right[i]!) * HALF);
  const after = onSide(channels, mono, side);
  if (side === before) return after;
  const earlier = onSide(channels, mono, before);
  const length = Math.min(fade, mono.length);
  return after.map((samples, channel) =>
    samples.map((value, i) => {
      if (i >= length) return value;
      const part = 0.5 - 0.5 * Math.cos((Math.PI * (i + 1)) / (length + 1));
      return value * part + earlier[channel]![i]! * (1 - part);
    }),
  );
}

function onSide(both: Float32Array[], mono: Float32Array, side: Side): Float32Array[] {
  if (side === 'both') return both;
  const silence = new Float32Array(mono.length);
  return side === 'left' ? [mono, silence] : [silence, mono];
}
