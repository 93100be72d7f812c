/**
 * Reads an SDP fragment with trickled candidates (RFC 8840 §9), as a WHIP client sends in a PATCH.
 */
import { Fault } from '../../kernel/fault.ts';

export type Fragment = {
  iceUfrag: string | undefined;
  icePwd: string | undefined;
  /** Values of the `a=candidate:` lines, in order. */
  candidates: string[];
};

const MAX_CANDIDATES = 256;

/** @throws Fault `sdp-invalid` */
export function readFragment(text: string): Fragment {
  const fragment: Fragment = { iceUfrag: undefined, icePwd: undefined, candidates: [] };
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  const bad = lines.find((line) => !/^[a-z]=/.test(line));
  if (lines.length === 0 || bad !== undefined)
    throw new Fault('sdp-invalid', 'The body is not an SDP fragment of `a=` and `m=` lines.', { blame: 'caller' });
  for (const line of lines) {
    if (line.startsWith('a=ice-ufrag:')) fragment.iceUfrag ??= line.slice('a=ice-ufrag:'.length);
    else if (line.startsWith('a=ice-pwd:')) fragment.icePwd ??= line.slice('a=ice-pwd:'.length);
    else if (line.startsWith('a=candidate:')) fragment.candidates.push(line.slice('a=candidate:'.length));
  }
  if (fragment.candidates.length > MAX_CANDIDATES)
    throw new Fault('sdp-invalid', `The fragment holds more than ${MAX_CANDIDATES} candidates.`, { blame: 'caller' });
  return fragment;
}
