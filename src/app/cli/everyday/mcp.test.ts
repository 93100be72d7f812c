import { Client, InMemoryTransport as ClientTransport } from '@modelcontextprotocol/client';
import { expect, onTestFinished, test } from 'vitest';
import { settle } from '../../../../test/support/fake-ports.ts';
import { APP, type ApiOptions, makeApi } from '../../../../test/support/rest-api.ts';
import { AircheckClient } from '../../../client/index.ts';
import { createMcp } from './mcp.ts';

const PAGES = [{ path: 'guide/moving.md', title: 'Moving here', text: '# Moving' }];

/** An assistant's end of the protocol, before a server whose recordings are fakes. */
type Scene = { allowChanges?: boolean; secret?: string; api?: ApiOptions['api'] };
async function setUp({ allowChanges = false, secret = 'se:cret', api = {} }: Scene = {}) {
  const { world, http } = makeApi({ api });
  const url = await http.listen({ host: '127.0.0.1', port: 0 });
  const client = new AircheckClient({ url, appId: APP, customerId: 'id', customerSecret: secret, deadlineMs: 0 });
  const customer = { id: 'id', secret };
  const access = { client, url, appid: APP, customer, config: undefined, tokenFor: () => undefined };
  const server = createMcp(access, PAGES, allowChanges);
  const [here, there] = ClientTransport.createLinkedPair();
  const assistant = new Client({ name: 'test', version: '1' });
  await Promise.all([server.connect(there as never), assistant.connect(here)]);
  onTestFinished(async () => {
    await assistant.close();
    await http.close();
  });
  const ask = async (name: string, given: Record<string, unknown> = {}) => {
    const { content, isError } = await assistant.callTool({ name, arguments: given });
    return { text: (content as { text: string }[])[0]?.text ?? '', isError: isError === true };
  };
  return { world, client, assistant, ask };
}

const READING = [
  ...['recordings', 'show', 'quality', 'events', 'files', 'retention', 'removals', 'mixes'],
  ...['channels', 'channel', 'backlog', 'nodes'],
];

test('without leave, every tool only reads, and says so', async () => {
  const { assistant } = await setUp();
  const { tools } = await assistant.listTools();
  expect(tools.map(({ name }) => name)).toEqual(READING);
  for (const { annotations, description } of tools) {
    expect(annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false });
    expect(description).toMatch(/\w/);
  }
});

test('a tool that would start a recording is not there to be called', async () => {
  const { assistant, world } = await setUp();
  const called = assistant.callTool({ name: 'start', arguments: { cname: 'ch1', uid: '9' } });
  await called.then(
    ({ isError }) => expect(isError).toBe(true),
    () => {},
  );
  expect(world.recorders).toEqual([]);
});

test('with leave, a recording is started, shown and stopped', async () => {
  const { assistant, ask, world } = await setUp({ allowChanges: true });
  const { tools } = await assistant.listTools();
  expect(tools.map(({ name }) => name)).toEqual([...READING, 'start', 'stop']);
  expect(tools.at(-1)?.annotations).toMatchObject({ readOnlyHint: false, destructiveHint: true });
  const { sid } = JSON.parse((await ask('start', { cname: 'ch1', uid: '9' })).text) as { sid: string };
  await settle();
  expect(world.recorders[0]?.start.plan).toMatchObject({ mode: 'mix' });
  const shown = await ask('show', { sid });
  expect(shown.text).toContain(`"sid": "${sid}"`);
  expect(shown.text).toContain('There is no quality report.');
  expect(JSON.parse((await ask('stop', { sid })).text)).toEqual({ sid, stopping: true });
  expect(world.recorders[0]?.stoppedAtUs).toBeDefined();
});

test('what the server refuses is an error that says what to do next', async () => {
  const { ask } = await setUp();
  expect(await ask('show', { sid: 'a'.repeat(32) })).toEqual({
    isError: true,
    text: expect.stringMatching(/no such recording.*`aircheck recordings` lists/s),
  });
  const wrong = await setUp({ secret: 'wrong' });
  expect(await wrong.ask('backlog')).toEqual({
    isError: true,
    text: expect.stringContaining('--customer <id>:<secret>'),
  });
});

test('arguments are checked before the server is asked', async () => {
  const { assistant } = await setUp();
  const asked = assistant.callTool({ name: 'show', arguments: { sid: '../nodes' } });
  const refused = await asked.then(
    ({ isError }) => isError,
    () => true,
  );
  expect(refused).toBe(true);
});

test('the pages of the docs are resources', async () => {
  const { assistant } = await setUp();
  const { resources } = await assistant.listResources();
  expect(resources).toMatchObject([{ uri: 'aircheck://docs/guide/moving.md', mimeType: 'text/markdown' }]);
  const { contents } = await assistant.readResource({ uri: resources[0]?.uri ?? '' });
  expect(contents).toMatchObject([{ text: '# Moving' }]);
});

test('what is kept of a recording, what was made of it, and who was taken out are read by its sid', async () => {
  const [sid, asked]: [string, string[][]] = ['a'.repeat(32), []];
  const note = (what: string) => async (appid: string, of: string) => {
    asked.push([what, appid, of]);
    return { [what]: [] } as never;
  };
  const { ask } = await setUp({
    api: {
      mixes: { list: note('mixes') } as never,
      removals: { list: note('removals') } as never,
      retention: { of: note('retention') } as never,
    },
  });
  expect(JSON.parse((await ask('mixes', { sid })).text)).toEqual([]);
  expect(JSON.parse((await ask('removals', { sid })).text)).toEqual({ removals: [] });
  expect(JSON.parse((await ask('retention', { sid })).text)).toEqual({ retention: [] });
  expect(asked).toEqual(['mixes', 'removals', 'retention'].map((what) => [what, APP, sid]));
});
