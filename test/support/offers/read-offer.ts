/**
 * Offers as real publishers made them (Chromium 156, FFmpeg 8.1), for tests.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param change lets a test spoil it */
export function capturedOffer(of: 'chromium' | 'chromium-simulcast' | 'ffmpeg', change = (sdp: string) => sdp): string {
  const text = readFileSync(join(import.meta.dirname, `${of}.sdp`), 'utf8');
  return change(text).replaceAll('\n', '\r\n');
}
