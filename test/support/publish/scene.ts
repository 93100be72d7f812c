/**
 * What a made publisher shows of itself.
 */

/** What a camera shows. */
export type Scene = {
  /** The size of the picture as it is to be seen. */
  width: number;
  height: number;
  /** How a receiver has to turn what it is sent, degrees clockwise (urn:3gpp:video-orientation). */
  turn?: 0 | 90 | 180 | 270;
  /** Nothing but black, as browsers send of a track that is disabled. */
  black?: boolean;
  /** One of so many frames is sent, as of a screen on which little happens. */
  everyNth?: number;
  /** The same picture all the time, as of a screen that nobody touches. */
  still?: boolean;
};
