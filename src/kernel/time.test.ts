import { expect, test } from 'vitest';
import { type HostUs, type RecordingUs, type RtpTicks, toHost, toRecording } from './time.ts';

const ZERO: HostUs = 5_000_000;

test('a moment of the host and one of the recording are each other, less the recording’s zero', () => {
  const host: HostUs = 7_500_000;
  expect(toRecording(host, ZERO)).toBe(2_500_000);
  expect(toHost(toRecording(host, ZERO), ZERO)).toBe(host);
});

test('a moment of one clock is not taken for one of another, by the type-checker', () => {
  const recording: RecordingUs = toRecording(7_500_000, ZERO);
  const ticks: RtpTicks = 90_000;
  // @ts-expect-error a recording's moment is none of its host
  const host: HostUs = recording;
  // @ts-expect-error nor are ticks
  const fromTicks: RecordingUs = ticks;
  // @ts-expect-error what is a recording's already is not converted
  const twice = toRecording(recording, ZERO);
  expect([host, fromTicks, twice]).toEqual([2_500_000, 90_000, -2_500_000]);
});
