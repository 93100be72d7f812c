/**
 * The members of `clientRequest.aircheck` for names, watermark, clock and active speaker of a composite, in start and
 * update. An extension of the contract.
 */
import { z } from 'zod';
import { CORNERS, type OverlaysChange, WATERMARK_PLACES } from '../line/overlays.ts';
import { colorSchema, httpUrlSchema, isUid } from './fields.ts';

const MAX_NAMES = 200;
const oneOfWords = (values: readonly string[]) => `must be one of ${values.map((value) => `"${value}"`).join(', ')}`;
const cornerSchema = z.enum(CORNERS, oneOfWords(CORNERS));

/** Text that is drawn: on one line, and with something visible in it. */
const lineOfText = (max: number) =>
  z
    .string()
    .min(1, 'must not be empty')
    .max(max, `may have at most ${max} characters`)
    .refine((text) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text), 'must be one line of text without control characters')
    .refine((text) => /\S/u.test(text), 'must not be blank');

const nameLabelsSchema = z.object({
  names: z
    .record(z.string(), lineOfText(64))
    .refine((names) => Object.keys(names).every(isUid), 'must be by uid, a whole number from 1 to 4294967295')
    .refine((names) => Object.keys(names).length <= MAX_NAMES, `may name at most ${MAX_NAMES} users`)
    .meta({ description: 'What each user is called, by uid. Users who are not named have no label.' }),
  position: cornerSchema.default('top-left').meta({ description: 'The corner of each user’s place.' }),
});

const watermarkSchema = z
  .object({
    image: httpUrlSchema.optional().meta({ description: 'Address of a PNG, JPEG or BMP; it may be translucent.' }),
    text: lineOfText(120).optional().meta({ description: 'White letters with a dark rim, instead of an image.' }),
    position: z
      .enum(WATERMARK_PLACES, oneOfWords(WATERMARK_PLACES))
      .default('bottom-right')
      .meta({ description: 'A corner of the canvas, or its middle.' }),
    size: z
      .number()
      .min(0.02, 'must be from 0.02 to 1')
      .max(1, 'must be from 0.02 to 1')
      .default(0.1)
      .meta({ description: 'Its height, as a fraction of the canvas’.' }),
    opacity: z
      .number()
      .min(0.05, 'must be from 0.05 to 1')
      .max(1, 'must be from 0.05 to 1')
      .default(1)
      .meta({ description: '1 hides what is under it.' }),
  })
  .refine(({ image, text }) => (image === undefined) !== (text === undefined), {
    path: ['image'],
    message: 'watermark needs exactly one of image and text',
  });

const clockSchema = z.object({
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, 'must be a time zone of the IANA database, as "Europe/Berlin"')
    .default('UTC')
    .meta({ description: 'Of the IANA database.', examples: ['Europe/Berlin'] }),
  format: z
    .string()
    .max(40, 'may have at most 40 characters')
    .regex(/^[\x20-\x7e]*$/, 'must be of printable ASCII characters')
    .refine((format) => /\S/.test(format), 'must not be blank')
    .default('YYYY-MM-DD HH:mm:ss')
    .meta({ description: 'YYYY MM DD HH hh mm ss A, and anything else as it is; [in brackets] also those letters.' }),
  position: cornerSchema.default('top-right').meta({ description: 'A corner of the canvas.' }),
});

const activeSpeakerSchema = z.object({
  highlight: z.boolean().default(true).meta({ description: 'Whether who speaks has a border.' }),
  color: colorSchema.default('#32D583').meta({ description: 'Of the border, as "#RRGGBB".' }),
  layout: z
    .enum(['none', 'large', 'alone'], oneOfWords(['none', 'large', 'alone']))
    .default('none')
    .meta({
      description:
        '`large` shows who speaks large and the others beside, `alone` nobody else; both instead of mixedVideoLayout.',
    }),
});

const DESCRIPTIONS = {
  nameLabels: 'Names in a corner of each user’s place.',
  watermark: 'An image or a text over all pictures.',
  clock: 'The time of day of what is seen.',
  activeSpeaker: 'How it is shown who speaks, or spoke last.',
};
const described = (name: keyof typeof DESCRIPTIONS) => ({ description: DESCRIPTIONS[name] });

/** Members of `aircheck` in start. */
export const overlayMembers = {
  nameLabels: nameLabelsSchema.optional().meta(described('nameLabels')),
  watermark: watermarkSchema.optional().meta(described('watermark')),
  clock: clockSchema.optional().meta(described('clock')),
  activeSpeaker: activeSpeakerSchema.optional().meta(described('activeSpeaker')),
  hideUsersWithoutVideo: z
    .boolean()
    .optional()
    .meta({ description: 'Whether users who show no video have no place. They are heard.' }),
};

const REMOVABLE = ['nameLabels', 'watermark', 'clock', 'activeSpeaker'] as const;
/** Members of `aircheck` in update. */
export const overlayChangeMembers = {
  ...overlayMembers,
  remove: z
    .array(z.enum(REMOVABLE, oneOfWords(REMOVABLE)))
    .optional()
    .meta({ description: 'Those of nameLabels, watermark, clock and activeSpeaker that are taken away.' }),
};
const changeSchema = z.object(overlayChangeMembers);

/** The overlays that start or update asks for; undefined when it names none. */
export function toOverlaysChange(said: z.output<typeof changeSchema> = {}): OverlaysChange | undefined {
  const { nameLabels, watermark, clock, activeSpeaker: speaker, hideUsersWithoutVideo: hides, remove = [] } = said;
  const change: OverlaysChange = {
    ...Object.fromEntries(remove.map((name) => [name === 'activeSpeaker' ? 'speaker' : name, null])),
    ...(nameLabels && { nameLabels: { names: nameLabels.names, corner: nameLabels.position } }),
    ...(watermark && { watermark: toWatermark(watermark) }),
    ...(clock && { clock: { timeZone: clock.timeZone, format: clock.format, corner: clock.position } }),
    ...(speaker && {
      speaker: {
        ...(speaker.highlight && { border: speaker.color }),
        ...(speaker.layout !== 'none' && { layout: speaker.layout }),
      },
    }),
    ...(hides !== undefined && { hidesWithoutVideo: hides || null }),
  };
  return Object.keys(change).length > 0 ? change : undefined;
}

function toWatermark({ image, text, position: place, size, opacity }: z.output<typeof watermarkSchema>) {
  const shown =
    image === undefined ? ({ kind: 'text', text: text ?? '' } as const) : ({ kind: 'image', image } as const);
  return { shown, place, size, opacity };
}

function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return true;
  } catch {
    return false;
  }
}
