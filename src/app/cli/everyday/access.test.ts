import { expect, test } from 'vitest';
import { AircheckError } from '../../../client/index.ts';
import { nextStep } from './access.ts';

const refused = (reason: string, status: number, code: number) =>
  nextStep(new AircheckError('call', reason, { status, code, attempts: 1 }));

test('what is not there is listed by the command of its kind', () => {
  expect(refused('failed to find worker', 404, 404)).toContain('`aircheck recordings`');
  expect(refused('no such recording', 404, 404)).toContain('`aircheck recordings`');
  expect(refused('no such event', 404, 404)).toContain('`aircheck events`');
});

test('a name that no channel may have is answered with what names may have', () => {
  expect(refused('invalid_channel_name', 400, 401)).toMatch(/1 to 63 letters, digits, spaces and .*@/);
});
