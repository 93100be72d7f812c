/** The certificate for HTTPS, and whether serving without one deserves a warning. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { createSecureContext } from 'node:tls';
import { Fault, messageOf } from '../kernel/fault.ts';

/**
 * PEM: the certificate with its chain, and its private key.
 * @property clientCa authorities that clients must show a certificate of; when absent they show none
 */
export type TlsIdentity = { cert: string | Buffer; key: string | Buffer; clientCa?: Buffer };

/**
 * Reads a certificate and its key.
 * @throws Fault `tls-unreadable` for a file that cannot be read, and what `checkTls` throws
 */
export function readTls(files: { certFile: string; keyFile: string }): { cert: Buffer; key: Buffer } {
  const identity = {
    cert: readPem('the TLS certificate', files.certFile),
    key: readPem('the TLS private key', files.keyFile),
  };
  checkTls(identity);
  return identity;
}

/** Reads the certificates of authorities. @throws Fault `tls-unreadable`, `tls-invalid` */
export function readAuthorities(path: string): Buffer {
  const ca = readPem('the TLS authorities', path);
  attempt('the TLS authorities are not certificates in PEM form', () => new X509Certificate(ca));
  return ca;
}

function readPem(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Fault('tls-unreadable', `${what} ${path} cannot be read: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
}

function attempt(what: string, read: () => unknown): void {
  try {
    read();
  } catch (cause) {
    throw new Fault('tls-invalid', `${what}: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
}

/** Throws Fault `tls-invalid` when TLS cannot be served with this certificate and key. */
export function checkTls({ cert, key }: TlsIdentity): void {
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
