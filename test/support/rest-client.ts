/**
 * A client of the recording API, as a user's backend would write it (contract §1).
 */
export type Credentials = { url: string; appid: string; customerId: string; customerSecret: string };
export type Json = Record<string, unknown>;
export type Reply = {
  method: string;
  path: string;
  request: Json | undefined;
  status: number;
  body: Json;
  tookMs: number;
};

export type MixOptions = {
  cname: string;
  /** The recorder's own uid. */
  uid: string;
  token?: string;
  recordingConfig?: Json;
  avFileType?: string[];
  storageConfig: Json;
};

/** One recording from acquire to stop. `onReply` sees every exchange. */
export class RecordingClient {
  readonly #at: Credentials;
  readonly #onReply: (reply: Reply) => void;

  constructor(at: Credentials, onReply: (reply: Reply) => void = () => {}) {
    this.#at = at;
    this.#onReply = onReply;
  }

  acquire(cname: string, uid: string): Promise<Reply> {
    return this.#call('POST', '/acquire', { cname, uid, clientRequest: {} });
  }

  startMix(resourceId: string, options: MixOptions): Promise<Reply> {
    const { cname, uid, token, recordingConfig, avFileType, storageConfig } = options;
    return this.#call('POST', `/resourceid/${resourceId}/mode/mix/start`, {
      cname,
      uid,
      clientRequest: {
        ...(token ? { token } : {}),
        ...(recordingConfig ? { recordingConfig } : {}),
        recordingFileConfig: { avFileType: avFileType ?? ['hls', 'mp4'] },
        storageConfig,
      },
    });
  }

  query(resourceId: string, sid: string): Promise<Reply> {
    return this.#call('GET', `/resourceid/${resourceId}/sid/${sid}/mode/mix/query`);
  }

  stop(resourceId: string, sid: string, cname: string, uid: string, async = false): Promise<Reply> {
    const clientRequest = async ? { async_stop: true } : {};
    return this.#call('POST', `/resourceid/${resourceId}/sid/${sid}/mode/mix/stop`, { cname, uid, clientRequest });
  }

  async #call(method: string, rest: string, request?: Json): Promise<Reply> {
    const { url, appid, customerId, customerSecret } = this.#at;
    const path = `/v1/apps/${appid}/cloud_recording${rest}`;
    const began = performance.now();
    const answer = await fetch(url + path, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`,
        ...(request ? { 'content-type': 'application/json' } : {}),
      },
      ...(request ? { body: JSON.stringify(request) } : {}),
    });
    const text = await answer.text();
    const tookMs = performance.now() - began;
    let body: Json;
    try {
      body = JSON.parse(text) as Json;
    } catch {
      body = { text };
    }
    const reply = { method, path, request, status: answer.status, body, tookMs };
    this.#onReply(reply);
    return reply;
  }
}

/**
 * A reply's member that must be text. Throws an Error that shows the reply when it is not there or the status is not
 * 200.
 */
export function textIn(reply: Reply, member: string): string {
  const value = reply.body[member];
  if (reply.status !== 200 || typeof value !== 'string')
    throw new Error(`${reply.method} ${reply.path} answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  return value;
}
