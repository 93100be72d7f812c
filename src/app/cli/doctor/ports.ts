/** Whether the ports can be had, and whether those who need them can reach them. */
import { X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Config } from '../../../config/load.ts';
import { environmentName } from '../../../config/settings.ts';
import { isPlainBeyondLoopback, readTls } from '../../../http/tls.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/fault.ts';
import { type Found, fine, problem, warning } from './finding.ts';

type PortSettings = Pick<
  Config,
  | 'host'
  | 'port'
  | 'rtcHost'
  | 'rtcPort'
  | 'metricsHost'
  | 'metricsPort'
  | 'fleetKey'
  | 'nodeHost'
  | 'nodePort'
  | 'tlsCertFile'
  | 'tlsKeyFile'
>;
type Port = { what: string; protocol: 'TCP' | 'UDP'; host: string; port: number; settings: [string, string] };

/** A certificate that ends sooner than this should be renewed by now. */
const RENEW_MS = 14 * 86_400_000;

/** @param isServing whether a server runs on this data folder: then it has the ports */
export async function examinePorts(config: PortSettings, isServing: boolean, clock: Clock): Promise<Found[]> {
  const { host, port, rtcHost, rtcPort, metricsHost, metricsPort } = config;
  const ports: Port[] = [
    { what: 'the REST API and WHIP', protocol: 'TCP', host, port, settings: ['host', 'port'] },
    { what: 'media', protocol: 'UDP', host: rtcHost, port: rtcPort, settings: ['rtcHost', 'rtcPort'] },
  ];
  if (metricsPort > 0)
    ports.push({
      ...{ what: 'metrics', protocol: 'TCP', host: metricsHost, port: metricsPort },
      settings: ['metricsHost', 'metricsPort'],
    });
  const { fleetKey, nodeHost, nodePort } = config;
  if (fleetKey.length > 0 && nodePort > 0)
    ports.push({
      ...{ what: 'other nodes of the fleet', protocol: 'TCP', host: nodeHost, port: nodePort },
      settings: ['nodeHost', 'nodePort'],
    });
  const found: Found[] = [];
  for (const each of ports) found.push(wordsOf(each, await tryPort(each), isServing));
  found.push(...examineTls(config, clock));
  const isReached = (name: string) => isPlainBeyondLoopback({ host: name, tls: false });
  if (isReached(host) && !isReached(rtcHost))
    found.push(
      warning(
        `publishers are told to send media to ${rtcHost}, which only this machine reaches`,
        `Set ${environmentName('rtcHost')} to an address of this machine that publishers reach.`,
      ),
    );
  return found;
}

/** The code of the error that taking the port meets; undefined when it can be had. */
function tryPort({ protocol, host, port }: Port): Promise<string | undefined> {
  return new Promise((resolve) => {
    const codeOf = (error: NodeJS.ErrnoException) => resolve(error.code ?? messageOf(error));
    if (protocol === 'TCP') {
      const server = createServer().once('error', codeOf);
      server.listen({ host, port }, () => server.close(() => resolve(undefined)));
      return;
    }
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').once('error', (error) => {
      socket.close();
      codeOf(error);
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function wordsOf({ what, protocol, host, port, settings }: Port, code: string | undefined, isServing: boolean): Found {
  const place = `${protocol} ${host}:${port} (${what})`;
  const [hostVariable, portVariable] = settings.map(environmentName);
  if (code === undefined)
    return isServing
      ? warning(`${place} is free, though a server runs`, `It was started with other settings; see ${portVariable}.`)
      : fine(`${place} is free`);
  if (code === 'EADDRINUSE') {
    if (isServing) return fine(`${place} is taken, as a server runs on this data folder`);
    const flag = protocol === 'TCP' ? 't' : 'u';
    return problem(
      `${place} is taken by another program`,
      `\`ss -l${flag}np 'sport = :${port}'\` says which. End it, or set ${portVariable} to another port.`,
    );
  }
  if (code === 'EADDRNOTAVAIL')
    return problem(
      `${place}: this machine has no such address`,
      `Set ${hostVariable} to one of those that \`ip -brief address\` lists.`,
    );
  if (code === 'EACCES')
    return problem(
      `${place}: this user may not take it`,
      `Ports below 1024 need the right CAP_NET_BIND_SERVICE; or set ${portVariable} to a higher one.`,
    );
  return problem(`${place}: ${code}`, `See ${hostVariable} and ${portVariable}.`);
}

function examineTls({ host, tlsCertFile, tlsKeyFile }: PortSettings, clock: Clock): Found[] {
  if (!tlsCertFile) {
    if (!isPlainBeyondLoopback({ host, tls: false })) return [];
    const advice = `Set ${environmentName('tlsCertFile')} and ${environmentName('tlsKeyFile')}, or put a proxy that speaks TLS before it.`;
    return [warning('passwords and tokens cross the network in the clear', advice)];
  }
  const { cert } = readTls({ certFile: tlsCertFile, keyFile: tlsKeyFile });
  const endsMs = new X509Certificate(cert).validToDate.getTime();
  const ends = new Date(endsMs).toISOString().slice(0, 10);
  if (endsMs < clock.nowMs())
    return [problem(`the TLS certificate ended on ${ends}`, `Put a new one into ${tlsCertFile} and start again.`)];
  if (endsMs - clock.nowMs() < RENEW_MS)
    return [warning(`the TLS certificate ends on ${ends}`, `Put a new one into ${tlsCertFile} and start again.`)];
  return [fine(`the TLS certificate is good until ${ends}`)];
}
