/** Whether the other nodes of the fleet are reached from here, and take requests that are signed with this key. */
import type { Config } from '../../../config/load.ts';
import { acquaint } from '../../../http/fleet/acquaintance.ts';
import { NodeLinks } from '../../../http/fleet/links.ts';
import { readAuthorities, readTls } from '../../../http/tls.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { NodeTables } from '../../../store/node-tables.ts';
import { type Found, fine, problem, warning } from './finding.ts';

type FleetSettings = Pick<
  Config,
  'databaseUrl' | 'fleetKey' | 'nodeName' | 'nodeTlsCertFile' | 'nodeTlsKeyFile' | 'nodeTlsCaFile'
>;

export async function examineFleet(config: FleetSettings, isServing: boolean, clock: Clock): Promise<Found[]> {
  const { databaseUrl, fleetKey: keys, nodeName, nodeTlsCertFile: certFile, nodeTlsKeyFile: keyFile } = config;
  if (keys.length === 0) return [fine('these settings are of no fleet')];
  const tls = certFile ? { ...readTls({ certFile, keyFile }), ca: readAuthorities(config.nodeTlsCaFile) } : undefined;
  const { openPostgres } = await import('../../../store/postgres.ts');
  const database = openPostgres(databaseUrl);
  try {
    const [row] = await database
      .query(`select to_regclass('owners') is not null as made, extract(epoch from clock_timestamp()) * 1000 as now_ms`)
      .catch((): undefined[] => []);
    if (!row) return [warning('the other nodes cannot be asked: only the database knows them', 'See database, above.')];
    if (row['made'] !== true) return [fine('no node has been there yet')];
    // Signatures go by the database's time.
    const aheadMs = Number(row['now_ms']) - clock.nowMs();
    const links = new NodeLinks({ keys, databaseMs: () => clock.nowMs() + aheadMs, tls });
    try {
      const nodes = await new NodeTables(database).live();
      const found = (await acquaint(links, nodes)).map(({ node: { name, nodeUrl }, says, why }) => {
        const place = `node ${name} at ${nodeUrl}`;
        if (says === 'yes') return fine(`${place} answers, and takes this key`);
        if (says === 'other-key')
          return problem(`${place} has another key`, 'Set AIRCHECK_FLEET_KEY to the same on all nodes.');
        return warning(
          `${place} cannot be asked: ${why}`,
          'Calls that belong there wait for it. See its nodeUrl and nodePort, and what stands between the two.',
        );
      });
      const named = nodes.filter(({ name }) => name === nodeName).length;
      if (named > (isServing ? 1 : 0))
        found.push(
          warning(
            `another node that lives is named ${nodeName} as well`,
            'Set AIRCHECK_NODE_NAME to a name of its own on each, or nobody can tell them apart in lists and logs.',
          ),
        );
      return found.length > 0 ? found : [fine('no other node lives')];
    } finally {
      await links.close();
    }
  } finally {
    await database.close();
  }
}
