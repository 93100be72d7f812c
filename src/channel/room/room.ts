/** Room: one channel, by app and name: who is in it, in order of joining, and the feeds of its recorders. */

import type { Clock } from '../../kernel/clock.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { VideoStreamType } from './encoding-choice.ts';
import { Feed } from './feed.ts';
import type { PacketArena } from './packet-arena.ts';
import type { Publisher } from './publication.ts';

/** A recorder that is in the room. */
export type PresentRecorder = { uid: string; joinedAtMs: number };

export type Member = { uid: string; joinedAtMs: number; publisher: Publisher };

export class Room {
  readonly #clock: Clock;
  readonly #arena: PacketArena;
  readonly #members = new Map<string, Member>();
  readonly #recorders = new Map<string, PresentRecorder & { feed: Feed }>();
  /** How many places publishers hold, by uid: those who are in and those who are about to come in. */
  readonly #places = new Map<string, number>();
  #tracks = 0;

  constructor(clock: Clock, arena: PacketArena) {
    this.#clock = clock;
    this.#arena = arena;
  }

  get isEmpty(): boolean {
    return this.#places.size === 0 && this.#recorders.size === 0;
  }

  /** In order of joining. */
  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  get recorders(): readonly PresentRecorder[] {
    return [...this.#recorders.values()];
  }

  hasPublisher(uid: string): boolean {
    return this.#places.has(uid);
  }

  placesOf(uid: string): number {
    return this.#places.get(uid) ?? 0;
  }

  /** How many publishers are in, or about to come in. */
  get places(): number {
    return [...this.#places.values()].reduce((sum, count) => sum + count, 0);
  }

  /** How many publications all publishers bring who hold a place. */
  get tracks(): number {
    return this.#tracks;
  }

  hasRecorder(uid: string): boolean {
    return this.#recorders.has(uid);
  }

  /** @param tracks how many publications the publisher will bring */
  holdPlace(uid: string, tracks: number): void {
    this.#tracks += tracks;
    this.#places.set(uid, (this.#places.get(uid) ?? 0) + 1);
  }

  freePlace(uid: string, tracks: number): void {
    this.#tracks -= tracks;
    const left = (this.#places.get(uid) ?? 0) - 1;
    if (left > 0) this.#places.set(uid, left);
    else this.#places.delete(uid);
  }

  /** Lets a user in. A user who is in already keeps the place in the order; only the tracks change. */
  join(uid: string, publisher: Publisher): void {
    const nowUs = this.#clock.monoUs();
    const former = this.#members.get(uid);
    const joinedAtMs = former?.joinedAtMs ?? this.#clock.nowMs();
    this.#members.set(uid, { uid, joinedAtMs, publisher });
    for (const { feed } of this.#recorders.values()) {
      if (former) for (const publication of former.publisher.publications) feed.endTrack(publication, nowUs);
      else feed.join(uid, nowUs);
      for (const publication of publisher.publications) feed.startTrack(uid, publication, nowUs);
    }
    if (former) endAll(former.publisher, nowUs);
    former?.publisher.onReplaced();
  }

  /** Lets a user out, unless another publisher has taken this one's place. */
  leave(uid: string, publisher: Publisher): void {
    if (this.#members.get(uid)?.publisher !== publisher) return;
    this.#members.delete(uid);
    const nowUs = this.#clock.monoUs();
    for (const { feed } of this.#recorders.values()) {
      for (const publication of publisher.publications) feed.endTrack(publication, nowUs);
      feed.leave(uid, nowUs);
    }
    endAll(publisher, nowUs);
  }

  /**
   * Lets a recorder in: its feed holds what came before and everything from now on. Asks every sender for a key frame.
   * @param onDropped is told of packets that were given up at a bound before a recorder reached them
   */
  addFeed(
    uid: string,
    videoStreamType: VideoStreamType,
    onDropped: (track: number, packets: number) => void,
  ): { feed: Feed; openedMonoUs: HostUs } {
    const openedMonoUs = this.#clock.monoUs();
    const feed = new Feed({
      ...{ videoStreamType, openedUs: openedMonoUs, utcMs: this.#clock.nowMs(), onDropped },
      present: this.members.map((member) => ({ uid: member.uid, publications: member.publisher.publications })),
      nextOrder: () => this.#arena.nextOrder(),
    });
    this.#recorders.set(uid, { uid, joinedAtMs: this.#clock.nowMs(), feed });
    feed.wantKeyFrames();
    return { feed, openedMonoUs };
  }

  /** The recorder leaves the room; it can still read the rest of its feed. */
  removeFeed(uid: string): void {
    this.#recorders.delete(uid);
  }

  /** Asks every sender for a key frame of each encoding, so that what is kept begins with one. */
  wantKeyFrames(): void {
    for (const { publisher } of this.#members.values())
      for (const { encodings } of publisher.publications) for (const encoding of encodings) encoding.wantKeyFrame();
  }
}

function endAll({ publications }: Publisher, nowUs: HostUs): void {
  for (const { encodings } of publications) for (const encoding of encodings) encoding.end(nowUs);
}
