/**
 * Which addresses recorded web pages may be pushed to. A host name is judged when a connection is made, by the address
 * that it leads to then.
 */
import { isIP } from 'node:net';
import { readRtmpAddress } from '../contract/line/push.ts';
import { AllowedAddresses, addressKind } from '../kernel/address.ts';
import type { PushPort } from '../session/ports.ts';
import { LOOPBACK } from './pages.ts';

/** @param networks `loopback`, addresses and ranges that may be pushed to besides public ones */
export function pushPort(networks: readonly string[]): PushPort {
  const ranges = networks.flatMap((range) => (range === 'loopback' ? LOOPBACK : range));
  const allowed = new AllowedAddresses(ranges);
  return {
    networks: ranges,
    refusalOf(url) {
      const host = readRtmpAddress(url)?.host ?? '';
      if (isIP(host) === 0 || allowed.permits(host)) return undefined;
      return `${host} is a ${addressKind(host)} address, which this server's operator has not allowed (pushNetworks)`;
    },
  };
}
