/** What `aircheck moving` found and made, written for people. Pure. */
import type { Moving } from './plan.ts';

export function inWords({ address, libraries, hosts, names, settings, certificate }: Moving): string {
  const onlyDns = libraries.filter(({ lookup }) => lookup === 'dns').map(({ name }) => name);
  const lines = [
    '# 1. Hosts that are called',
    ...libraries.flatMap((library) => [
      `${library.name}, ${library.version}:`,
      ...library.hosts.map((host) => `  ${host}`),
    ]),
    '',
    `# 2. Point these ${hosts.length} names at ${address}, for the machines your back end runs on and for no others`,
    ...(onlyDns.length > 0
      ? [`# ${onlyDns.join(' and ')} asks the name servers and does not read /etc/hosts: it needs the names in DNS.`]
      : []),
    '# dnsmasq:',
    ...names.dnsmasq,
    '# unbound, under "server:":',
    ...names.unbound,
    '# /etc/hosts:',
    ...names.hostsFile,
    '',
    ...(certificate
      ? [
          `# 3. Made, good until ${certificate.ends}: the certificate, its key (for the server alone), its authority, and that`,
          '# together with the authorities this system knows',
          ...[certificate.cert, certificate.key, certificate.ca, certificate.bundle],
        ]
      : [
          '# 3. Make a certificate with `aircheck moving --certificates <folder>`. ACME (Let’s Encrypt) gives certificates for',
          '# names that are yours: good for clients that you point at a name of your own, and not for these.',
        ]),
    '',
    '# 4. The server',
    `${Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' \\\n  ')} \\\n  npx aircheck serve`,
    '',
    '# 5. Trust the certificate where your back end runs, with a copy of the authority',
    ...libraries.flatMap(({ name, trust }) => [`# ${name}`, ...trust]),
    '',
    'Step by step: docs/guide/moving.md',
  ];
  return `${lines.join('\n')}\n`;
}
