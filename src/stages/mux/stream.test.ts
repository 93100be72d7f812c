import { expect, test } from 'vitest';
import { isOutOfRoom } from '../../kernel/fault.ts';
import { check } from './stream.ts';

/** Linux: ENOSPC 28, EDQUOT 122, EIO 5, EINVAL 22. */
test.each([
  [-28, true, /no space is left on the disk that holds the spool/],
  [-122, true, /no space is left/],
  [-5, false, /the disk that holds the spool fails \(EIO\)/],
  [-22, false, /FFmpeg returned -22/],
])('what FFmpeg returns for a write (%s) is want of room: %s', (code, isRoom, words) => {
  try {
    check(code, 'writing x.mp4');
    expect.unreachable();
  } catch (error) {
    expect(isOutOfRoom(error)).toBe(isRoom);
    expect(String(error)).toMatch(words);
  }
});
