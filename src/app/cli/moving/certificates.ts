/**
 * A certificate authority of one's own for one certificate. The authority's key signs that certificate and is
 * forgotten, so that nobody can ever make another one that your machines would trust; to renew the certificate, both
 * are made anew.
 */
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

export type CertificateWish = {
  /** Host names it is for; at least one. */
  hosts: readonly string[];
  /** Unix milliseconds; it is good from a day before, for clocks that are behind. */
  nowMs: number;
  days: number;
  /** Whether its holder also shows it to servers, as nodes of a fleet do. */
  ofClient?: boolean;
};
/** PEM. `cert` is the server's with the authority's after it. */
export type MadeCertificates = { ca: string; cert: string; key: string; endsMs: number };

const DAY_MS = 86_400_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/**
 * Both certificates have what strict clients ask for (RFC 5280 §4.2.1): key identifiers, without which Python 3.13
 * refuses them, and the names as alternative names, the only ones Go looks at.
 */
export async function makeCertificates({ hosts, nowMs, days, ofClient }: CertificateWish): Promise<MadeCertificates> {
  const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const [authority, server] = [await newKeys(), await newKeys()];
  const endsMs = nowMs + days * DAY_MS;
  const span = { notBefore: new Date(nowMs - DAY_MS), notAfter: new Date(endsMs) };
  const authorityId = await SubjectKeyIdentifierExtension.create(authority.publicKey);
  const ca = await X509CertificateGenerator.createSelfSigned({
    ...span,
    serialNumber: newSerial(),
    name: [{ CN: ['Aircheck authority of one certificate'] }],
    keys: authority,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      authorityId,
      await AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const cert = await X509CertificateGenerator.create({
    ...span,
    serialNumber: newSerial(),
    subject: [{ CN: ['Aircheck'] }],
    issuer: ca.subjectName.toJSON(),
    publicKey: server.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ...(ofClient ? [ExtendedKeyUsage.clientAuth] : [])]),
      new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: 'dns' as const, value }))),
      await SubjectKeyIdentifierExtension.create(server.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const pem = (certificate: { toString(format: 'pem'): string }) => `${certificate.toString('pem').trim()}\n`;
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', server.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}(?=.)/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
  return { ca: pem(ca), cert: pem(cert) + pem(ca), key, endsMs };
}

/** 16 bytes, positive (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = webcrypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}
