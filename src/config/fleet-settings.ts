/**
 * Settings of a server that is one node of a fleet: several servers on one Postgres that answer as one (ADR 0026).
 */
import { z } from 'zod';
import { flag, flagWords, setting, text, whole, wholeWords, words } from './setting.ts';

const originText = () => text().regex(/^(https?:\/\/[^\s/?#]+\/?)?$/);
const keyList = () => z.preprocess(words, z.array(z.string().min(32))).default([]);

export const fleetSettings = {
  fleetKey: setting(keyList(), {
    description:
      'Makes this server a node of a fleet: all servers with the same Postgres and the same key answer for each other’s recordings. Requests between nodes are signed with it; it never crosses the network. Of several keys the first signs and all are accepted: to change the key, put the new one last on every node, then first, then take the old one out.',
    allowed: 'texts of at least 32 characters each, separated by commas',
    otherwise: 'none: this server answers for its own recordings alone',
    secret: true,
  }),
  nodeName: setting(
    text()
      .regex(/^[\w.-]{0,63}$/)
      .default(''),
    {
      description: 'Name of this server in `aircheck nodes`.',
      allowed: 'up to 63 letters, digits, dots, hyphens and underscores',
      otherwise: 'the host name',
    },
  ),
  nodeHost: setting(text().min(1).default('127.0.0.1'), {
    description: 'Address that requests of other nodes are taken at, of a network that only nodes are in.',
    allowed: 'a host name or IP address',
  }),
  nodePort: setting(whole(0, 65535, 7302), {
    description: 'TCP port that requests of other nodes are taken at. 0 takes a free one.',
    allowed: wholeWords(0, 65535),
  }),
  nodeUrl: setting(originText().default(''), {
    description: 'How other nodes reach nodeHost and nodePort.',
    allowed: 'an http:// or https:// address without a path',
    otherwise: 'made of nodeHost and nodePort',
  }),
  publicUrl: setting(originText().default(''), {
    description: 'How publishers reach this very node, not the whole fleet: where WHIP requests are redirected to.',
    allowed: 'an http:// or https:// address without a path',
    otherwise: 'made of host and port',
  }),
  nodeTlsCertFile: setting(text().default(''), {
    description:
      'Certificate chain (PEM) of this node for requests between nodes, which then go over TLS; each side shows its own. Needs nodeTlsKeyFile and nodeTlsCaFile.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: 'none: plain HTTP, signed but not encrypted',
  }),
  nodeTlsKeyFile: setting(text().default(''), {
    description: 'Private key (PEM) of nodeTlsCertFile.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: 'none',
  }),
  nodeTlsCaFile: setting(text().default(''), {
    description: 'Certificates (PEM) of the authorities that the certificates of nodes must come from.',
    allowed: 'a path; a relative one starts at the working folder',
    otherwise: 'none',
  }),
  handOverTimeoutS: setting(whole(0, 3600, 20), {
    description:
      'At shutdown, recordings of channels wait this long for another node to take them over; those that none took are ended. A node that drains hands them over as well. 0: none is handed over.',
    allowed: wholeWords(0, 3600),
  }),
  standby: setting(flag(false), {
    description:
      'Whether composites and recordings of single users whose start does not say have a hot standby: a second recorder on another node, which goes on without a loss when the node of the first one dies. It costs as much as the first.',
    allowed: flagWords,
  }),
  whipElsewhere: setting(z.enum(['redirect', 'proxy']).default('redirect'), {
    description:
      'What becomes of a publisher that comes to another node than its channel’s. `redirect`: it is sent there (307), as RFC 9725 allows. `proxy`: its offer is carried there, for clients that follow no redirect; its media goes to that node all the same.',
    allowed: 'redirect or proxy',
  }),
};
