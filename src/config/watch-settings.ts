/**
 * Settings of watching recordings while they are recorded, and of looking at channels.
 */
import { z } from 'zod';
import { flag, flagWords, setting, whole, wholeWords, words } from './setting.ts';

const isOrigin = (word: string) => {
  if (word === '*') return true;
  try {
    return new URL(word).origin === word;
  } catch {
    return false;
  }
};

export const watchSettings = {
  watchTokenS: setting(whole(10, 86_400, 600), {
    description:
      'How long an address by which a recording is watched is good, in seconds, where the call that gave it out did not say. Whoever has the address can watch.',
    allowed: wholeWords(10, 86_400),
  }),
  watchOrigins: setting(z.preprocess(words, z.array(z.string().refine(isOrigin))).default([]), {
    description:
      'Origins of pages that may watch recordings with such addresses, beside this server’s own: `https://studio.example.com`; or `*` for all.',
    allowed: 'origins, separated by commas, or *',
    otherwise: 'none',
  }),
  thumbnails: setting(flag(true), {
    description:
      'Whether customers may look at thumbnails of who publishes to their channels, on the dashboard and by the API. Without them no picture is decoded to be looked at, and no sender is asked for a key frame for it.',
    allowed: flagWords,
  }),
};
