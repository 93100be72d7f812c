/**
 * NewestPictures: which of a user's tracks is recorded where there is room for the pictures of one, as with a camera
 * and a screen: the newest that brought a picture, for as long as it is there.
 */
export class NewestPictures {
  /** Numbers of tracks rise; 0 is before the first. */
  #track = 0;

  /**
   * Whether a picture of this track is the user's.
   * @param present the numbers of the user's tracks that are there
   */
  takes(track: number, present: readonly number[]): boolean {
    if (track < this.#track && present.includes(this.#track)) return false;
    this.#track = track;
    return true;
  }
}
