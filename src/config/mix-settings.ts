/** Settings of mixes that are made on request. */
import { setting, whole, wholeWords } from './setting.ts';

export const mixSettings = {
  mixParallel: setting(whole(1, 16, 1), {
    description:
      'Mixes of recordings of single users that are made at once, each in a process that gives way to everything else on the machine. Others wait for their turn.',
    allowed: wholeWords(1, 16),
  }),
  mixKeepHours: setting(whole(1, 8760, 24), {
    description: 'How long the MP4 of a mix is kept, and a failed one known.',
    allowed: wholeWords(1, 8760),
  }),
  mixTotalMb: setting(whole(10, 100_000_000, 20_000), {
    description:
      'What the MP4s of mixes may take of the disk together, in MB, those that wait by their bit rates. More mixes are answered 503.',
    allowed: wholeWords(10, 100_000_000),
  }),
};
