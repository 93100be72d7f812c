import { expect, test } from 'vitest';
import { tracksTold } from './open-keeping.ts';

test('a process that takes a speaker out of a file tells what became of it', () => {
  expect(tracksTold(['tracks 3'])).toBe(3);
  expect(tracksTold(['tracks 0'])).toBe(0);
  const unreadable = { code: 'speakers-unreadable', message: 'it is no file of speakers' };
  expect(() => tracksTold(['unreadable it is no file of speakers'])).toThrow(expect.objectContaining(unreadable));
});

test.each([[[]], [['']], [['tracks ']], [['a warning of a library']]])(
  '%j says nothing, and it is asked again',
  (lines) => {
    expect(() => tracksTold(lines)).toThrow(expect.objectContaining({ code: 'speaker-failed', retryable: true }));
  },
);
