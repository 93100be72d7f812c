/** The address by which the page watches a recording while it goes on. */
import { useEffect, useState } from 'preact/hooks';
import { api } from './api.ts';

export type LiveAddress = {
  /** Of a playlist of low-latency HLS, with the token it was given out with. */
  url: string;
  /** The newest token. */
  token(): string;
};

/** How often an address is asked for that there is none of yet. */
const AGAIN_MS = 3_000;

/**
 * Undefined while there is none: the recording is over, or has only just begun, or records every user alone.
 * @param isWanted whether it goes on
 */
export function useLiveAddress(appid: string, sid: string, isWanted: boolean): LiveAddress | undefined {
  const [address, setAddress] = useState<LiveAddress>();
  useEffect(() => {
    setAddress(undefined);
    if (!isWanted) return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let token = '';
    const ask = async () => {
      const given = await api.watch(appid, sid).catch(() => undefined);
      if (isOver || given?.url === null) return;
      if (given) {
        const { url } = given;
        token = given.token;
        setAddress((known) => known ?? { url, token: () => token });
      }
      // A token is replaced long before it is over.
      const waitMs = given ? (given.expiresMs - Date.now()) / 2 : AGAIN_MS;
      timer = setTimeout(ask, Math.max(AGAIN_MS, waitMs));
    };
    void ask();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [appid, sid, isWanted]);
  return address;
}
