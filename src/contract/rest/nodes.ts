/** The answer to GET /v1/aircheck/nodes: the servers that share a database, and what each carries. */
import { z } from 'zod';

const amount = (description: string) => z.object({ cores: z.number(), bytes: z.int() }).meta({ description });

const nodeSchema = z.object({
  id: z.string().meta({ description: 'Of one start of a server; another with each start.' }),
  name: z.string(),
  version: z.string(),
  wire: z.int().nullable().meta({ description: 'The newest protocol between nodes that it speaks.' }),
  nodeUrl: z.string().nullable().meta({ description: 'How other nodes reach it; null where it is in no fleet.' }),
  publicUrl: z.string().nullable().meta({ description: 'How publishers reach it; null where it is in no fleet.' }),
  state: z.enum(['live', 'draining', 'gone']).meta({
    description: 'draining: it takes nothing new. gone: its lease is over, and it never said that it ends.',
  }),
  capacity: amount('What recordings may take together there.'),
  load: amount('What those at work take, by the cost model.'),
  recordings: z.int().meta({ description: 'Those whose files are still being stored among them.' }),
  readElsewhere: z.int().optional().meta({
    description:
      'Running recordings that it makes of channels that are at home on other nodes; absent of a version that does not tell it.',
  }),
  readByOthers: z.int().optional().meta({
    description: 'Running recordings of its channels that other nodes make; absent of a version that does not tell it.',
  }),
  standbys: z.int().optional().meta({
    description:
      'Second recorders that it has of recordings of other nodes (hot standby); absent of a version that does not tell it.',
  }),
  publishers: z.int(),
  seenMsAgo: z.int().meta({ description: 'Since it last renewed its lease, which it does each second.' }),
});

export const nodesReplySchema = z.object({
  self: z.string().meta({ description: 'The id of the node that answers.' }),
  nodes: z.array(nodeSchema),
  disk: z
    .object({
      bytes: z.int().meta({ description: 'What recordings take of it.' }),
      freeBytes: z.int(),
      sizeBytes: z.int(),
    })
    .optional()
    .meta({
      description: 'The disk of the spool of the node that answers; absent of a version that does not tell it.',
    }),
});
export type NodesReply = z.infer<typeof nodesReplySchema>;
