/** The script of a composite recording that is changed while users come and go, as the model of it takes it. */
import type { Overlays } from '../../../src/contract/line/overlays.ts';
import type { BackgroundImages, Layout } from '../../../src/contract/line/plan.ts';
import type { Participant, Yuv } from '../media/participants.ts';

type Span = { fromS: number; toS: number };
export type ModelStay = Span & {
  uid: string;
  participant: Participant;
  /** False for a user who sends sound alone. */
  camera?: boolean;
  /** When the camera is switched off. */
  cameraToS?: number;
  /** When no picture comes, and when no sound does. */
  noPicture?: readonly Span[];
  silent?: readonly Span[];
  /** How much louder than usual the user is, dB; no two differ by as much as makes one speak over another. */
  louderDb?: number;
};
/** What is drawn from a moment of the recording on. */
export type ModelLook = { atS: number; layout: Layout; backgroundColor: string; backgrounds?: BackgroundImages };
export type ModelOverlays = { atS: number; overlays: Overlays };
/** Pictures have the canvas' shape. */
export type SceneModel = {
  canvas: { width: number; height: number };
  /** In order of joining, which are further apart than `PRESENCE_S`. */
  stays: readonly ModelStay[];
  /** In order; the first of each holds from the beginning. */
  looks: readonly ModelLook[];
  overlays: readonly ModelOverlays[];
  /** Of images, by address: each is of one colour. */
  images: ReadonlyMap<string, Yuv>;
};
