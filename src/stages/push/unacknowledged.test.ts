/**
 * Which line of the system's table of connections is ours.
 */
import { describe, expect, test } from 'vitest';
import { queueIn } from './unacknowledged.ts';

const IPV4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:078F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5073810 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:078F 01 000A1B2C:00000001 04:00000015 00000000     0        0 5073811 1 0 100 0 0 10 0
  12: 0100007F:078F 0100007F:C350 01 00000002:00000000 00:00000000 00000000     0        0 5073812 1 0 100 0 0 10 0
  13: 0100007F:C350 0200007F:078F 01 00000003:00000000 00:00000000 00000000     0        0 5073813 1 0 100 0 0 10 0
`;
const IPV6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000001000000:C350 B80D0120000000000000000001000000:078F 01 00000400:00000000 00:00000000
`;

describe('what is not confirmed of a connection', () => {
  test.each([
    ['127.0.0.1', IPV4, 0xa1b2c],
    ['127.0.0.2', IPV4, 3],
    ['127.0.0.3', IPV4, undefined],
    ['2001:db8::1', IPV6, 0x400],
    ['2001:db8::1', '', undefined],
  ])('to %s is in the line with both its ends', (remoteAddress, table, bytes) => {
    expect(queueIn(table, { localPort: 50_000, remoteAddress, remotePort: 1935 })).toBe(bytes);
  });
});
