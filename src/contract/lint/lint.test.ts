import { describe, expect, test } from 'vitest';
import { type LintedCall, lintCall } from './lint.ts';
import { MAX_WARNINGS } from './warning.ts';

const names = { cname: 'ch1', uid: '1' };
const codes = (call: LintedCall) => lintCall(call).map(({ code, path }) => `${code} ${path}`);

describe('what is doubtful in a call', () => {
  test('names that are not known, and then what contradicts', () => {
    const recordingConfig = { subscribeAudioUids: ['1'], maxIdletime: 5 };
    expect(codes({ call: 'start', mode: 'mix', body: { ...names, clientRequest: { recordingConfig } } })).toEqual([
      'misspelt clientRequest.recordingConfig.maxIdletime',
      'left-out clientRequest.recordingConfig.subscribeAudioUids',
    ]);
  });

  test('a member of another mode is told of once, with the reason', () => {
    const recordingConfig = { subscribeUidGroup: 0, transcodingConfig: { width: 640 } };
    const body = { ...names, clientRequest: { recordingConfig } };
    expect(lintCall({ call: 'start', mode: 'individual', body })).toEqual([
      {
        code: 'ignored',
        path: 'clientRequest.recordingConfig.transcodingConfig',
        message: 'transcodingConfig has an effect in mix mode only: individual mode keeps what is sent.',
      },
    ]);
  });

  test.each([
    [
      { call: 'acquire', body: { ...names, clientRequest: { resourceExpiredHours: 5 } } },
      ['misspelt clientRequest.resourceExpiredHours'],
    ],
    [
      {
        call: 'acquire',
        body: { ...names, clientRequest: { scene: 0, region: 'CN', startParameter: { anything: 1 } } },
      },
      [],
    ],
    [{ call: 'stop', body: { ...names, clientRequest: { asyncStop: true } } }, ['misspelt clientRequest.asyncStop']],
    [{ call: 'stop', body: { ...names, async_stop: true, clientRequest: {} } }, ['misnested async_stop']],
    [
      { call: 'update', mode: 'web', body: { ...names, clientRequest: { onhold: true } } },
      ['misnested clientRequest.onhold'],
    ],
    [
      {
        call: 'update',
        mode: 'mix',
        body: { ...names, clientRequest: { streamSubscribe: { audioUidList: { subscribeAudioUids: ['1'] } } } },
      },
      ['left-out clientRequest.streamSubscribe.audioUidList.subscribeAudioUids'],
    ],
    [
      { call: 'updateLayout', body: { ...names, clientRequest: { mixedVideoLayout: 2, backgroundcolor: '#FF0000' } } },
      ['misspelt clientRequest.backgroundcolor', 'left-out clientRequest.mixedVideoLayout'],
    ],
    // Two client libraries send these always (contract §6.15).
    [
      {
        call: 'updateLayout',
        body: {
          ...names,
          clientRequest: { mixedVideoLayout: 0, maxResolutionUid: '', backgroundImage: '', layoutConfig: [] },
        },
      },
      [],
    ],
  ] as [LintedCall, string[]][])('%j', (call, expected) => {
    expect(codes(call)).toEqual(expected);
  });

  test('secrets are not repeated', () => {
    const storageConfig = { vendor: 1, region: 0, secretkey: 'SECRET', bucket: 'b' };
    const body = {
      ...names,
      clientRequest: { storageConfig, tokn: 'SECRET', recordingConfig: { privateParams: 'SECRET' } },
    };
    const warnings = lintCall({ call: 'start', mode: 'mix', body });
    expect(warnings).toHaveLength(3);
    expect(JSON.stringify(warnings)).not.toContain('SECRET');
  });

  test('any body may come, and there is an end to warnings', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`member${n}`, n]));
    for (const body of [undefined, null, 'x', 1, [], {}, { clientRequest: null }])
      for (const call of ['acquire', 'stop', 'updateLayout'] as const) expect(lintCall({ call, body })).toEqual([]);
    const body = { clientRequest: { ...many, recordingConfig: { subscribeAudioUids: ['1'] } } };
    expect(lintCall({ call: 'start', mode: 'mix', body })).toHaveLength(MAX_WARNINGS);
  });
});
