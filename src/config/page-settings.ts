/**
 * Settings of recordings of web pages.
 */
import { z } from 'zod';
import { pageGuardSchema } from '../contract/line/commands.ts';
import { pageNetworkList, setting, text, whole, wholeWords } from './setting.ts';

export const pageSettings = {
  pageNetworks: setting(pageNetworkList(), {
    description:
      'Addresses that are no public internet and that recorded web pages may reach all the same: `loopback` (this machine) and ranges. Without it a page could have this server knock at doors that only it can reach.',
    allowed: 'loopback, addresses and ranges such as 10.1.0.0/16, separated by commas; or none',
    otherwise: 'none',
  }),
  pushNetworks: setting(pageNetworkList(), {
    description:
      'Addresses that are no public internet and that recorded web pages may be pushed to all the same: `loopback` (this machine) and ranges. Without it an `rtmpUrl` could have this server knock at doors that only it can reach.',
    allowed: 'loopback, addresses and ranges such as 10.1.0.0/16, separated by commas; or none',
    otherwise: 'none',
  }),
  pageGuard: setting(pageGuardSchema.default('namespace'), {
    description:
      'What keeps recorded web pages from what they may not reach. `namespace`: a network of their own, out of which only this server’s proxy leads. `user`: a user of its own for each recording, and nftables rules for that one; calls inside pages have UDP; the server must be root. `trust-the-browser`: nothing but the browser’s own settings, so that whoever breaks into it reaches all that this machine does. Where the named one cannot be had, web mode is refused.',
    allowed: 'namespace, user or trust-the-browser',
  }),
  pageUser: setting(text().min(1).default('nobody'), {
    description: 'User that recorded web pages run as where the server runs as root. It must have no rights.',
    allowed: 'the name of a user of this machine',
  }),
  pageMemoryMb: setting(whole(0, 1_000_000, 2000), {
    description:
      'Memory that the browser of one recorded web page may take. A page that takes more crashes and is loaded again, with event 1. 0 sets no limit.',
    allowed: wholeWords(0, 1_000_000),
  }),
  pageProcesses: setting(whole(0, 100_000, 1000), {
    description: 'Processes and threads that the browser of one recorded web page may have. 0 sets no limit.',
    allowed: wholeWords(0, 100_000),
  }),
  pageCores: setting(z.coerce.number().min(0).max(1000).default(2), {
    description:
      'CPU cores that the browser of one recorded web page may take. Without control groups one that takes more makes way for all else. 0 sets no limit.',
    allowed: 'a number from 0 to 1000',
  }),
  pagesReady: setting(whole(0, 100, 0), {
    description:
      'Browsers that are kept ready for recordings of web pages, each with a screen and a speaker of its own, so that one begins within about a second. Each serves one recording and holds some 400 MB. Another one is made ready five seconds later. 0 keeps none: the browser is started with the recording.',
    allowed: wholeWords(0, 100),
  }),
};
