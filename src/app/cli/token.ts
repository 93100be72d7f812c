/**
 * `aircheck token`: an RTC token made with the certificate of a configured app.
 */
import { buildRtcToken } from '../../channel/whip/token.ts';
import { loadConfig } from '../../config/load.ts';
import { isChannelName } from '../../contract/rest/body.ts';
import { CHANNEL_NAME_WORDS } from '../../contract/rest/channel-name.ts';
import { isUid } from '../../contract/rest/fields.ts';
import { Fault } from '../../kernel/fault.ts';
import { completeCredentials } from '../credentials.ts';
import { print, printJson } from './print.ts';

export type TokenOptions = { channel: string; uid?: string; app?: string; life: number; json?: boolean };

/** Prints the token alone, so that a script can take it. Throws a Fault when no token can be made. */
export function printToken({ channel, uid, app, life, json }: TokenOptions): void {
  const refuse = (words: string) => new Fault('token-refused', words, { blame: 'caller' });
  if (!isChannelName(channel)) throw refuse(`"${channel}" is not a channel name: ${CHANNEL_NAME_WORDS}`);
  if (uid !== undefined && !isUid(uid)) throw refuse(`"${uid}" is not a uid: a whole number from 1 to 4294967295`);
  const given = loadConfig();
  const apps = given.apps.length > 0 ? given.apps : completeCredentials(given, { make: false }).config.apps;
  const found = app === undefined ? apps[0] : apps.find(({ appid }) => appid === app);
  if (!found) throw refuse(`app ${app} is not configured; known are ${apps.map(({ appid }) => appid).join(', ')}`);
  if (app === undefined && apps.length > 1) throw refuse('several apps are configured; name one with --app');
  const { appid, certificate } = found;
  if (!certificate) throw refuse(`app ${appid} has no certificate, so it needs no tokens: publish and record without`);
  const token = buildRtcToken({ appId: appid, certificate, cname: channel, uid: uid ?? '', lifeS: life });
  if (json) printJson({ token, appid, channel, uid: uid ?? null, lifeS: life });
  else print(token);
}
