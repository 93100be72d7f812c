/**
 * Copies: what other nodes have answered about their recordings, each good until its node tells of a change or is not
 * heard (ADR 0036). Whoever asks a second time waits for no other node.
 */
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { Node } from '../../store/node-tables.ts';
import { CHANGES_PATH, UNTIL } from './changes.ts';
import type { CarriedAnswer, NodeLinks } from './links.ts';

export type CopiesOptions = {
  links: Pick<NodeLinks, 'follow'>;
  clock: Clock;
  /** The database's time, Unix milliseconds. */
  databaseMs(): number;
  log: { debug(details: object, text: string): void };
};

/** How old, by the database's clock, the last word of a node may be for copies of its answers to be given. */
const HEARD_MS = 1_250;
/** A node that nobody asks for anything in this time is followed no longer. */
const UNUSED_US = 60_000_000;
/** How soon a node that could not be followed, or that was lost, is followed again. */
const AGAIN_US = 5_000_000;
/** Recordings of one node of which there are copies; the one that was asked for first goes first. */
const MOST_RECORDINGS = 1_000;

/** A question on its way. Where something changes meanwhile, the answer may be of before or of after that. */
type Question = { sid: string; isStale: boolean };
type Followed = {
  /** Answers by address, by recording. */
  answers: Map<string, Map<string, CarriedAnswer>>;
  questions: Set<Question>;
  /** Up to when all changes were heard, by the database's clock. */
  heardMs: number;
  usedUs: HostUs;
  off: AbortController;
};
type Place = Pick<Node, 'id' | 'name' | 'nodeUrl' | 'wire'>;

export class Copies {
  readonly #options: CopiesOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #notBeforeUs = new Map<string, HostUs>();

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /**
   * The copy of an answer where there is a good one; else what `ask` resolves to, which is kept where it is good.
   * @param url what is asked, of recording `sid`
   */
  async answer<A extends CarriedAnswer | undefined>(
    node: Place,
    { url, sid }: { url: string; sid: string },
    ask: () => Promise<A>,
  ): Promise<A | CarriedAnswer> {
    const followed = this.#follow(node);
    if (!followed) return ask();
    if (this.#options.databaseMs() - followed.heardMs < HEARD_MS) {
      const copy = followed.answers.get(sid)?.get(url);
      if (copy) return copy;
    }
    // A change before the first word from the node may have been told to nobody.
    const question = { sid, isStale: followed.heardMs === Number.NEGATIVE_INFINITY };
    followed.questions.add(question);
    try {
      const answer = await ask();
      if (answer?.status === 200 && !question.isStale) keep(followed, sid, url, answer);
      return answer;
    } finally {
      followed.questions.delete(question);
    }
  }

  /** Forgets what a node answered about a recording, because it may be changed by what is asked of it now. */
  forget(node: string, sid: string): void {
    const followed = this.#followed.get(node);
    if (followed) drop(followed, sid);
  }

  close(): void {
    for (const { off } of this.#followed.values()) off.abort();
  }

  #follow(node: Place): Followed | undefined {
    const { clock } = this.#options;
    const nowUs = clock.monoUs();
    const known = this.#followed.get(node.id);
    if (known) {
      known.usedUs = nowUs;
      return known;
    }
    if (nowUs < (this.#notBeforeUs.get(node.id) ?? 0)) return undefined;
    const followed: Followed = {
      ...{ answers: new Map(), questions: new Set(), heardMs: Number.NEGATIVE_INFINITY, usedUs: nowUs },
      off: new AbortController(),
    };
    this.#followed.set(node.id, followed);
    void this.#hear(node, followed);
    return followed;
  }

  async #hear(node: Place, followed: Followed): Promise<void> {
    const { links, clock, log } = this.#options;
    const onLine = (line: string) => {
      if (!line.startsWith(UNTIL)) return drop(followed, line);
      followed.heardMs = Number(line.slice(UNTIL.length));
      if (clock.monoUs() - followed.usedUs > UNUSED_US) followed.off.abort();
    };
    try {
      await links.follow(node, CHANGES_PATH, onLine, followed.off.signal);
    } catch (error) {
      // As of a version before copies, of a node that is gone, or of one that enough others follow.
      if (!followed.off.signal.aborted) log.debug({ why: messageOf(error) }, 'a node is not followed');
    } finally {
      this.#followed.delete(node.id);
      for (const question of followed.questions) question.isStale = true;
      this.#pause(node.id);
    }
  }

  #pause(node: string): void {
    const nowUs = this.#options.clock.monoUs();
    for (const [id, untilUs] of this.#notBeforeUs) if (untilUs <= nowUs) this.#notBeforeUs.delete(id);
    this.#notBeforeUs.set(node, nowUs + AGAIN_US);
  }
}

function keep({ answers }: Followed, sid: string, url: string, { status, headers, body }: CarriedAnswer): void {
  // Each request has an id of its own.
  const { 'x-request-id': _, ...lasting } = headers;
  const ofSid = answers.get(sid) ?? new Map<string, CarriedAnswer>();
  answers.set(sid, ofSid.set(url, { status, headers: lasting, body }));
  if (answers.size > MOST_RECORDINGS) answers.delete(answers.keys().next().value as string);
}

function drop({ answers, questions }: Followed, sid: string): void {
  answers.delete(sid);
  for (const question of questions) if (question.sid === sid) question.isStale = true;
}
