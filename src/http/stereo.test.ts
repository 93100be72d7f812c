/**
 * Who is heard on which side of a composite, as its caller says it: beyond the contract.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { acquire, buildApi, call, start, startBody, startPath, stopBody, world } from '../../test/support/rest-api.ts';

beforeEach(() => buildApi());

/** A composite in stereo. */
async function startInStereo(aircheck: object, recordingConfig: object = {}) {
  const resourceId = await acquire();
  const answer = await call('POST', startPath(resourceId, 'mix'), startBody({ aircheck, recordingConfig }));
  await settle();
  const path = `${startPath(resourceId, 'mix').replace('/mode/mix/start', '')}/sid/${answer.body['sid']}/mode/mix/update`;
  return { answer, path, recorder: world.recorders.at(-1)! };
}

describe('sides of a composite', () => {
  test('are those of start until update says others, which hold from the moment of the call', async () => {
    const { answer, path, recorder } = await startInStereo({ stereo: { left: ['1'], right: ['2'] } });
    expect([answer.status, answer.headers['x-aircheck-warnings']]).toEqual([200, undefined]);
    expect(recorder.start.plan).toMatchObject({
      audio: { channels: 2, bitrateKbps: 96 },
      stereo: { left: ['1'], right: ['2'], others: 'both' },
    });
    world.clock.advance(5000);
    const { status } = await call('POST', path, stopBody({ aircheck: { stereo: { left: ['2'] } } }));
    expect(status).toBe(200);
    const stereo = { left: ['2'], right: [], others: 'both' };
    expect(recorder.changes).toEqual([{ type: 'changeStereo', atMonoUs: 5_000_000, stereo }]);
    const { plan } = world.store.tasks.get(answer.body['sid'] as string)!.task.document;
    expect(plan).toMatchObject({ stereo });
  });

  test('can be given later where the profile is stereo', async () => {
    const { path, recorder } = await startInStereo({}, { audioProfile: 2 });
    const { status } = await call('POST', path, stopBody({ aircheck: { stereo: { right: ['#allstream#'] } } }));
    expect(status).toBe(200);
    expect(recorder.changes).toMatchObject([{ stereo: { left: [], right: [], others: 'right' } }]);
  });

  test('are refused later where the files have one channel', async () => {
    const { path, recorder } = await start();
    const answer = await call('POST', path('update'), stopBody({ aircheck: { stereo: { left: ['1'] } } }));
    const reason = expect.stringMatching(/aircheck\.stereo needs a recording in stereo/);
    expect(answer).toMatchObject({ status: 400, body: { code: 2, reason } });
    expect(recorder.changes).toEqual([]);
  });

  test('name nobody twice', async () => {
    const { answer } = await startInStereo({ stereo: { left: ['1', '2'], right: ['2'] } });
    const reason = expect.stringMatching(/2 cannot be on both lists/);
    expect(answer).toMatchObject({ status: 400, body: { code: 2, reason } });
  });
});
