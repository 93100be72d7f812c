import { expect, test } from 'vitest';
import type { Notice } from '../webhook/notice.ts';
import { filesWithout, isFileOf, isNameOf, mayHold, noticeWithout, reportWithout } from './person.ts';
import type { QualityReport } from './quality-report.ts';

const name = (uid: string) => `bak0_${'a'.repeat(32)}_room__uid_s_${uid}__uid_e_av_0.mp4`;

test('a name is that of the one user whom it names, and not of one whose uid begins or ends like it', () => {
  for (const uid of ['7', '77', '717']) expect([uid, isNameOf('7', name(uid))]).toEqual([uid, uid === '7']);
  expect(isNameOf('7', `${'a'.repeat(32)}_uid_s_7_speakers.mka`)).toBe(false);
});

test('a file is of the user whom its record names, whatever its own name', () => {
  const place = { startUtcMs: 1, durationUs: 0 as const, bytes: 1 };
  const snapshot = (uid: string) => ({ type: 'snapshot' as const, name: 'x.jpg', uid, ...place });
  expect(isFileOf('7', { name: 'x.jpg', file: snapshot('7') })).toBe(true);
  expect(isFileOf('7', { name: 'x.jpg', file: snapshot('77') })).toBe(false);
  expect(isFileOf('7', { name: name('7') })).toBe(true);
  const speakers = (uids: string[]) => ({ type: 'speakers' as const, name: 's.mka', uids, ...place });
  expect(mayHold('7', { kind: 'speakers', file: speakers(['77']) })).toBe(false);
  expect(mayHold('7', { kind: 'speakers', file: speakers(['77', '7']) })).toBe(true);
  expect(mayHold('7', { kind: 'speakers' })).toBe(true);
  expect(mayHold('7', { kind: 'playlist' })).toBe(false);
});

test('lists and words name the others as before', () => {
  const files = ['7', '77'].map((uid) => ({ key: `a/${name(uid)}`, startUtcMs: 1 }));
  const shared = { key: 'a/s.mka', startUtcMs: 1 };
  expect(filesWithout('7', [...files, shared], new Set())).toEqual([files[1], shared]);
  expect(filesWithout('7', [...files, shared], new Set(['s.mka']))).toEqual([files[1]]);
  const degraded = [
    'files of user 7 lack something',
    'files of user 77 lack something',
    '7 packets were lost',
    name('7'),
  ];
  const report = { participants: [], degraded: degraded.map((what) => ({ atMs: 0, what, count: 1 })) };
  const left = reportWithout('7', report as unknown as QualityReport).degraded.map(({ what }) => what);
  expect(left).toEqual(degraded.slice(1, 3));
});

test('events of one user go, those of several lose an entry, and others are the very same', () => {
  const notice = (details: object) => ({ payload: { sequence: 1, details } }) as unknown as Notice;
  const other = notice({ msgName: 'recorder_slice_start', streamUid: '77' });
  expect(noticeWithout('7', other)).toBe(other);
  expect(noticeWithout('77', other)).toBeUndefined();
  expect(noticeWithout('7', notice({ fileList: name('7') }))).toBeUndefined();
  expect(noticeWithout('7', notice({ fileName: name('7') }))).toBeUndefined();
  const fileList = ['7', '77'].map((uid) => ({ fileName: name(uid), uid }));
  expect(noticeWithout('7', notice({ msgName: 'uploaded', fileList }))?.payload).toEqual({
    ...{ sequence: 1, details: { msgName: 'uploaded', fileList: [fileList[1]] } },
  });
});
