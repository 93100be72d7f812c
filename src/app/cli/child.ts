/** What the bundle of the server's children begins with (ADR 0047): `main.ts` without what people type. */
import { Fault } from '../../kernel/fault.ts';
import { CHILDREN } from './children.ts';
import { explained } from './explained.ts';

await explained(async () => {
  const [, , word = '', ...words] = process.argv;
  const child = CHILDREN.get(word);
  if (!child) throw new Fault('child-unknown', `${word}: the server starts no child of that name`, { blame: 'self' });
  await child(...words);
});
