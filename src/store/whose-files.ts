/**
 * Whose files are: which server has those of a recording, and how long it is waited for while it is gone (ADR 0046), as
 * conditions in SQL.
 */

/** What a server that is away may still bring is waited for this long; then it counts as lost with its disk. */
const LOST_AFTER = `interval '7 days'`;

/** That a server lives on this data folder. */
export const livesOn = (folder: string) =>
  `exists (select 1 from owners w where w.folder = ${folder} and not w.ended and w.lease_until > now())`;
/** When the server of a row w of owners counts as lost. */
export const LOST_AT = `w.lease_until + ${LOST_AFTER}`;
/**
 * That the server of recording t counts as lost. Owners are forgotten only after a day, and the last one of a folder
 * only after a month: one that nobody knows is gone.
 */
const LOST = `(t.folder is not null and not exists
  (select 1 from owners w where w.folder = t.folder and ${LOST_AT} > now()))`;

/** That the node of stray s may still bring what it has. */
const MAY_COME = `(s.since_ms > extract(epoch from now() - ${LOST_AFTER}) * 1000 or ${livesOn('s.folder')})`;
/** Strays s of the node whose run made object o, while it has not stored what it has. */
const STRAYS_OF = `runs n join strays s on s.sid = n.sid and s.folder = n.folder
  where n.sid = o.sid and n.generation = o.generation and s.stored_ms is null`;
/** That object o lies on the disk of a node that another took over from. */
export const STRAYED = `exists (select 1 from ${STRAYS_OF})`;
/** That it counts as lost with that disk. */
export const LOST_WITH_DISK = `exists (select 1 from ${STRAYS_OF} and not ${MAY_COME})`;
/** The data folder that object o, which waits, of recording t lies with, where its server was gone or is. */
export const WAITS_FOR = `case when o.state = 'waiting' then (select s.folder from ${STRAYS_OF} limit 1)
  when not ${livesOn('t.folder')} then t.folder end`;

const unstored = (
  isLost: string,
) => `(exists (select 1 from objects o where o.sid = t.sid and o.deleted_ms is null and (
    (o.state = 'backup' and not ${isLost}) or (o.state = 'waiting' and not ${LOST_WITH_DISK})))
  or (exists (select 1 from moves m where m.sid = t.sid) and not ${isLost})
  or exists (select 1 from strays s where s.sid = t.sid and s.stored_ms is null and ${MAY_COME}))`;
/** Files of recording t that are to be moved, or that a node may still bring. */
export const UNSTORED = unstored('false');
/** The same, but for files that only a server could move that counts as lost. */
export const TO_COME = unstored(LOST);

/**
 * Recordings t of this folder ($1), and in a fleet ($4) those in stores that every node reaches whose own node is gone.
 * Rows of versions before servers had folders belong to whoever asks.
 */
export const OURS = `(t.folder is null or t.folder = $1 or ($4::boolean and t.place->>'vendor' <> '1000'
  and not exists (select 1 from objects o where o.sid = t.sid and o.state = 'gaveUp')
  and not ${livesOn('t.folder')}))`;
/** As OURS, and those of any store whose own node counts as lost: of these this server deletes what it reaches. */
export const OURS_OR_LOST = `(${OURS} or ($4::boolean and ${LOST}))`;
