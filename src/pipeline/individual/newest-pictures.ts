/**
 * NewestPictures: chooses the track whose pictures are recorded where only one fits, as with a camera and a screen: the
 * newest that has brought a picture, as long as it is there.
 */
export class NewestPictures {
  /** Track numbers rise; 0 comes before the first. */
  #track = 0;

  /**
   * Whether a picture of this track is recorded.
   * @param present the numbers of the user's tracks that are there
   */
  takes(track: number, present: readonly number[]): boolean {
    if (track < this.#track && present.includes(this.#track)) return false;
    this.#track = track;
    return true;
  }
}
