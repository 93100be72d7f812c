/**
 * Counts the native frames and packets that are alive, and is the one place that makes and frees them; tests want zero
 * at the end.
 */
import { AV_LOG_FATAL } from 'node-av/constants';
import { Frame, Log, Packet } from 'node-av/lib';

// Without this a damaged stream prints a line per frame; the decoders count and report damage instead.
Log.setLevel(AV_LOG_FATAL);

let live = 0;

/** How many native frames and packets were made here and not yet freed. */
export function liveFrames(): number {
  return live;
}

export function newFrame(): Frame {
  const frame = new Frame();
  frame.alloc();
  live++;
  return frame;
}

/** Frees a frame made by `newFrame`; its owner must not touch it again. */
export function freeFrame(frame: Frame): void {
  frame.free();
  live--;
}

export function newPacket(): Packet {
  const packet = new Packet();
  packet.alloc();
  live++;
  return packet;
}

export function freePacket(packet: Packet): void {
  packet.free();
  live--;
}
