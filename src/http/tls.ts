/** The certificate for HTTPS, and whether serving without one deserves a warning. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { createSecureContext } from 'node:tls';
import { Fault, messageOf } from '../kernel/fault.ts';

/** PEM: the certificate with its chain, and its private key. */
export type TlsIdentity = { cert: string | Buffer; key: string | Buffer };

/**
 * Reads a certificate and its key.
 * @throws Fault `tls-unreadable` for a file that cannot be read, and what `checkTls` throws
 */
export function readTls(files: { certFile: string; keyFile: string }): TlsIdentity {
  const read = (what: string, path: string) => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new Fault('tls-unreadable', `${what} ${path} cannot be read: ${messageOf(cause)}`, {
        blame: 'caller',
        cause,
      });
    }
  };
  const identity = {
    cert: read('the TLS certificate', files.certFile),
    key: read('the TLS private key', files.keyFile),
  };
  checkTls(identity);
  return identity;
}

/** Throws Fault `tls-invalid` when TLS cannot be served with this certificate and key. */
export function checkTls({ cert, key }: TlsIdentity): void {
  const attempt = (what: string, read: () => unknown) => {
    try {
      read();
    } catch (cause) {
      throw new Fault('tls-invalid', `${what}: ${messageOf(cause)}`, { blame: 'caller', cause });
    }
  };
  attempt('the TLS certificate is not a certificate in PEM form', () => new X509Certificate(cert));
  attempt('the TLS private key is not an unencrypted private key in PEM form', () => createPrivateKey(key));
  attempt('the TLS certificate and private key cannot be used together', () => createSecureContext({ cert, key }));
}

/** Whether passwords and tokens would cross a network unencrypted: plain HTTP on an address that others can reach. */
export function isPlainBeyondLoopback({ host, tls }: { host: string; tls: boolean }): boolean {
  if (tls) return false;
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  const address = name.replace(/^::ffff:/, '');
  const loopback = name === 'localhost' || name === '::1' || (isIPv4(address) && address.startsWith('127.'));
  return !loopback;
}
