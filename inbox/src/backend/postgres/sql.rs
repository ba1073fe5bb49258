//! The statements. Each is one transaction at `READ COMMITTED`, or part of one.

/// The default of a role or a database may be another level. A statement that has waited for a row
/// would fail then, and one after a lock would not see what others have committed before.
macro_rules! begin {
    () => {
        "BEGIN ISOLATION LEVEL READ COMMITTED"
    };
}

pub(super) const BEGIN: &str = begin!();

/// Until the end of the transaction.
pub(super) const ADVISORY_LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

/// In the transaction of a handler: it is there as long as the transaction is.
pub(super) const BEGIN_RUN: &str = concat!(begin!(), "; SAVEPOINT whatsapp_inbox");

/// Follows the settings of a transaction.
pub(super) const DURABLE: &str = "; SELECT set_config('synchronous_commit', 'local', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// The mark locks the conversation until the commit. A process that is paused or cut off between
/// them must not keep it, whatever limits the host has set.
pub(super) const BEGIN_MARK: &str = "RELEASE SAVEPOINT whatsapp_inbox;
    SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '10s'";

/// Where a migration would make the tables.
///
/// And whether they are in another schema, which statements would find.
pub(super) const HAS_SCHEMA: &str = "SELECT here IS NOT NULL, here IS DISTINCT FROM found
    FROM (SELECT to_regclass(quote_ident(current_schema()) || '.whatsapp_inbox_schema') AS here,
        to_regclass('whatsapp_inbox_schema') AS found) s";

pub(super) const VERSION: &str = "SELECT version, oldest_code FROM whatsapp_inbox_schema
    ORDER BY version DESC LIMIT 1";

pub(super) const ADD_VERSION: &str =
    "INSERT INTO whatsapp_inbox_schema (version, oldest_code) VALUES ($1, $2)";

/// Stores a delivery. `nextval` numbers the events in the order of the body; the rows are inserted
/// in the order of their keys, so that overlapping deliveries do not deadlock.
pub(super) const STORE: &str = "
WITH input AS MATERIALIZED (
    SELECT nextval('whatsapp_inbox_seq') AS seq, i.*
    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::smallint[], $8::bigint[], $9::bytea[]) WITH ORDINALITY
        AS i (event_key, app, kind, number, conversation, prefix, class, event_time, body, position)
    ORDER BY position
),
fresh AS (
    INSERT INTO whatsapp_inbox_event (event_key, seq, app, kind, number, conversation, lane, class,
        event_time, received_at, body)
    SELECT i.event_key, i.seq, i.app, i.kind, i.number, c.name, i.prefix || c.name, i.class,
        coalesce(to_timestamp(i.event_time / 1000.0), now()), now(), i.body
    FROM input i
    LEFT JOIN whatsapp_inbox_alias a ON a.alias = i.conversation
    CROSS JOIN LATERAL (SELECT coalesce(a.conversation, i.conversation) AS name) c
    ORDER BY i.event_key
    ON CONFLICT (event_key) DO NOTHING
    RETURNING lane, class
),
lanes AS (
    INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
    SELECT lane, class, count(*), now(), now(),
        now() + CASE WHEN class = 0 THEN $12 ELSE 0 END * interval '1 millisecond'
    FROM fresh GROUP BY lane, class ORDER BY lane
    ON CONFLICT (lane) DO UPDATE SET
        pending = l.pending + excluded.pending,
        first_at = coalesce(l.first_at, excluded.first_at),
        last_at = excluded.last_at,
        wake_at = CASE WHEN l.held THEN l.wake_at ELSE least(
            coalesce(l.first_at, excluded.first_at)
                + CASE WHEN l.class = 0 THEN $13 ELSE 0 END * interval '1 millisecond',
            excluded.wake_at) END
),
aliases AS (
    INSERT INTO whatsapp_inbox_alias (alias, conversation)
    SELECT n.alias, coalesce(a.conversation, n.conversation)
    FROM unnest($10::text[], $11::text[]) AS n (alias, conversation)
    LEFT JOIN whatsapp_inbox_alias a ON a.alias = n.conversation
    WHERE n.alias <> coalesce(a.conversation, n.conversation)
    ORDER BY n.alias COLLATE \"C\"
    ON CONFLICT (alias) DO NOTHING
)
SELECT count(*) FROM fresh";

/// Those of the names under which events wait, or to which other names lead.
pub(super) const TO_JOIN: &str = "
SELECT n.name FROM unnest($1::text[]) WITH ORDINALITY AS n (name, position)
WHERE EXISTS (SELECT 1 FROM whatsapp_inbox_event e WHERE e.lane = n.name AND e.state = 0)
    OR EXISTS (SELECT 1 FROM whatsapp_inbox_alias a WHERE a.conversation = n.name)
ORDER BY n.position";

/// Names that led to a new name lead to the conversation that it stands for, which is returned.
pub(super) const REPOINT: &str = "
WITH place AS (
    SELECT conversation FROM whatsapp_inbox_alias WHERE alias = $1 AND conversation <> $1
),
repointed AS (
    UPDATE whatsapp_inbox_alias a SET conversation = place.conversation
    FROM place WHERE a.conversation = $1
)
SELECT conversation FROM place";

/// Whether events wait in a lane.
pub(super) const WAITS: &str =
    "SELECT EXISTS (SELECT 1 FROM whatsapp_inbox_event WHERE lane = $1 AND state = 0)";

/// Locks the lanes of a new and an old name, and says whether a worker or a back-off has them. A
/// lane that is not there is made, because it would be locked too late otherwise: after the other.
pub(super) const LOCK_BOTH: &str = "
INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, last_at, wake_at)
SELECT lane, 0, 0, now(), 'infinity' FROM unnest(ARRAY[$1, $2]::text[]) AS name (lane)
ORDER BY lane COLLATE \"C\"
ON CONFLICT (lane) DO UPDATE SET lane = excluded.lane
RETURNING lane, held";

/// Moves what waits under a new name. Part of a transaction that has locked both lanes.
pub(super) const MOVE: &str = "
WITH moved AS (
    UPDATE whatsapp_inbox_event SET lane = $2, conversation = $2
    WHERE lane = $1 AND state = 0
    RETURNING 1
),
emptied AS (
    UPDATE whatsapp_inbox_lane SET pending = 0, first_at = NULL, wake_at = 'infinity'
    WHERE lane = $1
)
UPDATE whatsapp_inbox_lane SET
    pending = pending + moved.count,
    first_at = coalesce(first_at, now()),
    wake_at = CASE WHEN held THEN wake_at ELSE least(wake_at, now()) END
FROM (SELECT count(*) FROM moved) AS moved
WHERE lane = $2 AND moved.count > 0";

/// Waits for nobody: lanes that another statement has locked are due a moment later.
pub(super) const CLAIM: &str = "
WITH due AS (
    SELECT lane FROM whatsapp_inbox_lane
    WHERE class = $1 AND wake_at <= now() ORDER BY wake_at LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE whatsapp_inbox_lane l SET
    owner = uuid_send(gen_random_uuid()), held = true, claims = claims + 1, first_at = NULL,
    wake_at = now() + $3 * interval '1 millisecond'
FROM due WHERE l.lane = due.lane
RETURNING l.lane, l.owner, l.claims";

/// A statement of its own, after the claim: see DESIGN.md.
pub(super) const FETCH: &str = "
SELECT l.lane, e.event_key, e.app, e.conversation, e.attempts,
    (extract(epoch FROM now() - e.received_at) * 1000)::bigint AS age, e.body
FROM unnest($1::text[]) WITH ORDINALITY AS l (lane, position)
CROSS JOIN LATERAL (
    SELECT * FROM whatsapp_inbox_event
    WHERE lane = l.lane AND state = 0 ORDER BY event_time, seq LIMIT $2
) e
ORDER BY l.position, e.event_time, e.seq";

/// Without the columns that may be damaged: the body is stored apart.
pub(super) const FIRST: &str = "
SELECT event_key, attempts FROM whatsapp_inbox_event
WHERE lane = $1 AND state = 0 ORDER BY event_time, seq LIMIT 1";

/// Marks events as done and ends the lease. The lane decides on its own row whether it is empty.
pub(super) const COMPLETE: &str = "
WITH released AS (
    UPDATE whatsapp_inbox_lane SET
        pending = pending - cardinality($3::bytea[]), owner = NULL, held = false, claims = 0,
        first_at = CASE WHEN pending > cardinality($3::bytea[]) THEN coalesce(first_at, now()) END,
        wake_at = CASE
            WHEN pending <= cardinality($3::bytea[]) THEN 'infinity'
            WHEN first_at IS NULL THEN now()
            ELSE least(first_at + CASE WHEN class = 0 THEN $6 ELSE 0 END * interval '1 millisecond',
                last_at + CASE WHEN class = 0 THEN $5 ELSE 0 END * interval '1 millisecond') END
    WHERE lane = $1 AND owner = $2
    RETURNING pending
),
done AS (
    UPDATE whatsapp_inbox_event SET state = 1, body = NULL, last_error = NULL,
        finished_at = now(), expires_at = now() + $4 * interval '1 millisecond'
    WHERE event_key = ANY ($3) AND state = 0 AND EXISTS (SELECT 1 FROM released)
)
SELECT pending FROM released";

/// The same for several runs, each with its token. Those whose lane or events are locked are left
/// out, so that none waits for the transaction of another.
pub(super) const COMPLETE_ALL: &str = "
WITH pending AS MATERIALIZED (
    SELECT mine.owner, e.event_key
    FROM unnest($4::bytea[], $5::bytea[]) AS mine (event_key, owner)
    JOIN whatsapp_inbox_event e ON e.event_key = mine.event_key AND e.state = 0
),
unlocked AS MATERIALIZED (
    SELECT event_key FROM whatsapp_inbox_event
    WHERE event_key = ANY ($4) AND state = 0
    ORDER BY event_key FOR UPDATE SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT l.lane, mine.owner, l.pending - mine.count AS pending, l.first_at, l.last_at, l.class
    FROM whatsapp_inbox_lane l
    JOIN unnest($1::text[], $2::bytea[], $3::integer[]) AS mine (lane, owner, count)
        ON l.lane = mine.lane AND l.owner = mine.owner
    WHERE mine.owner NOT IN (
        SELECT owner FROM pending WHERE event_key NOT IN (SELECT event_key FROM unlocked))
    ORDER BY l.lane FOR UPDATE OF l SKIP LOCKED
),
released AS (
    UPDATE whatsapp_inbox_lane l SET
        pending = held.pending, owner = NULL, held = false, claims = 0,
        first_at = CASE WHEN held.pending > 0 THEN coalesce(held.first_at, now()) END,
        wake_at = CASE
            WHEN held.pending <= 0 THEN 'infinity'
            WHEN held.first_at IS NULL THEN now()
            ELSE least(
                held.first_at + CASE WHEN held.class = 0 THEN $8 ELSE 0 END
                    * interval '1 millisecond',
                held.last_at + CASE WHEN held.class = 0 THEN $7 ELSE 0 END
                    * interval '1 millisecond') END
    FROM held WHERE l.lane = held.lane
    RETURNING held.owner
),
done AS (
    UPDATE whatsapp_inbox_event e SET state = 1, body = NULL, last_error = NULL,
        finished_at = now(), expires_at = now() + $6 * interval '1 millisecond'
    FROM pending
    WHERE e.event_key = pending.event_key AND e.state = 0
        AND pending.owner IN (SELECT owner FROM released)
)
SELECT owner FROM released";

/// Renews leases without waiting for locked lanes. Returns the tokens that are still there, and
/// whether their leases were renewed. A lease is never shortened.
pub(super) const RENEW: &str = "
WITH mine AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::bytea[]) AS mine (lane, owner)
),
held AS MATERIALIZED (
    SELECT l.lane FROM whatsapp_inbox_lane l
    JOIN mine ON l.lane = mine.lane AND l.owner = mine.owner
    ORDER BY l.lane FOR UPDATE OF l SKIP LOCKED
),
renewed AS (
    UPDATE whatsapp_inbox_lane l
    SET wake_at = greatest(l.wake_at, now() + $3 * interval '1 millisecond')
    FROM held WHERE l.lane = held.lane
    RETURNING l.lane
)
SELECT l.owner, renewed.lane IS NOT NULL AS renewed
FROM whatsapp_inbox_lane l
JOIN mine ON l.lane = mine.lane AND l.owner = mine.owner
LEFT JOIN renewed ON renewed.lane = l.lane";

/// The same for one lease, with a wait for its lane.
pub(super) const RENEW_ONE: &str = "
UPDATE whatsapp_inbox_lane SET wake_at = greatest(wake_at, now() + $3 * interval '1 millisecond')
WHERE lane = $1 AND owner = $2";

pub(super) const LOCK: &str =
    "SELECT claims FROM whatsapp_inbox_lane WHERE lane = $1 AND owner = $2 FOR UPDATE";

/// Part of a transaction that has locked the lane. It waits for nobody: the lane would be locked
/// meanwhile, and its lease could not be renewed.
pub(super) const LOCK_EVENTS: &str = "
SELECT 1 FROM whatsapp_inbox_event WHERE event_key = ANY ($1) AND state = 0
ORDER BY event_key FOR UPDATE NOWAIT";

/// Part of a transaction that has locked the lane.
pub(super) const FAIL_EVENTS: &str = "
UPDATE whatsapp_inbox_event SET
    attempts = attempts + $2,
    last_error = coalesce($3, last_error),
    state = CASE WHEN $4 OR attempts + $2 >= $5 THEN 2 ELSE 0 END,
    finished_at = CASE WHEN $4 OR attempts + $2 >= $5 THEN now() END
WHERE event_key = ANY ($1) AND state = 0
RETURNING event_key, state, attempts";

pub(super) const OUTCOME: &str = "
SELECT event_key, state::bigint, attempts FROM whatsapp_inbox_event WHERE event_key = ANY ($1)";

/// Part of a transaction that has locked the lane. `$5`: nothing was handled, so the claim has not
/// been, and those before it have.
pub(super) const FAIL_LANE: &str = "
UPDATE whatsapp_inbox_lane SET
    pending = pending - $2, owner = NULL, held = $3,
    claims = CASE WHEN $5 THEN greatest(claims - 1, 0) ELSE 0 END,
    first_at = CASE WHEN pending > $2 THEN coalesce(first_at, now()) END,
    wake_at = CASE WHEN pending <= $2 THEN 'infinity'
        ELSE now() + $4 * interval '1 millisecond' END
WHERE lane = $1";

/// Part of a transaction that has locked the lane: its events do not change meanwhile.
pub(super) const RECOUNT: &str = "
UPDATE whatsapp_inbox_lane l SET
    pending = e.pending, owner = NULL, held = false, claims = 0,
    wake_at = CASE WHEN e.pending = 0 THEN 'infinity' ELSE now() END
FROM (SELECT count(*) AS pending FROM whatsapp_inbox_event WHERE lane = $1 AND state = 0) e
WHERE lane = $1";

/// Milliseconds until a lane is due.
pub(super) const NEXT: &str = "
SELECT (extract(epoch FROM wake_at - now()) * 1000)::bigint FROM whatsapp_inbox_lane
WHERE class = $1 AND wake_at < 'infinity' ORDER BY wake_at LIMIT 1";

/// In the order of the keys, like every other statement.
pub(super) const PURGE_EVENTS: &str = "
DELETE FROM whatsapp_inbox_event WHERE event_key IN (
    SELECT event_key FROM whatsapp_inbox_event
    WHERE event_key = ANY (ARRAY(
        SELECT event_key FROM whatsapp_inbox_event
        WHERE state = 1 AND expires_at < now() ORDER BY expires_at LIMIT $1))
        AND state = 1 AND expires_at < now()
    ORDER BY event_key FOR UPDATE SKIP LOCKED)";

pub(super) const PURGE_LANES: &str = "
DELETE FROM whatsapp_inbox_lane WHERE lane IN (
    SELECT lane FROM whatsapp_inbox_lane
    WHERE lane = ANY (ARRAY(
        SELECT lane FROM whatsapp_inbox_lane WHERE class = ANY ('{0,1}') AND wake_at = 'infinity'
            AND last_at < now() - interval '1 minute' LIMIT $1))
        AND pending = 0 AND owner IS NULL AND wake_at = 'infinity'
    ORDER BY lane FOR UPDATE SKIP LOCKED)";

pub(super) const PURGE_ALIASES: &str = "
DELETE FROM whatsapp_inbox_alias WHERE alias IN (
    SELECT alias FROM whatsapp_inbox_alias
    WHERE created_at < now() - interval '90 days' LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// Wakes lanes that sleep although the oldest events are theirs: somebody has changed rows by hand.
/// A count that is not exact is corrected by the worker that finds no event.
pub(super) const HEAL: &str = "
WITH stuck AS (
    SELECT DISTINCT e.lane, e.class
    FROM (SELECT lane, class FROM whatsapp_inbox_event
        WHERE state = 0 ORDER BY received_at LIMIT $1) e
    LEFT JOIN whatsapp_inbox_lane l ON l.lane = e.lane
    WHERE l.lane IS NULL OR l.wake_at = 'infinity'
)
INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
SELECT lane, class, (SELECT count(*) FROM whatsapp_inbox_event e
        WHERE e.lane = stuck.lane AND e.state = 0), now(), now(), now()
FROM stuck ORDER BY lane
ON CONFLICT (lane) DO UPDATE SET pending = excluded.pending, wake_at = now()
    WHERE l.wake_at = 'infinity'";

pub(super) const STATUS: &str = "
SELECT
    coalesce(sum(pending) FILTER (WHERE class = 0), 0)::bigint AS messages,
    coalesce(sum(pending) FILTER (WHERE class = 1), 0)::bigint AS bulk,
    count(*) FILTER (WHERE owner IS NOT NULL AND wake_at > now()) AS running,
    count(*) FILTER (WHERE held AND owner IS NULL) AS retrying,
    (SELECT count(*) FROM whatsapp_inbox_event WHERE state = 2) AS dead,
    (SELECT (extract(epoch FROM now() - min(received_at)) * 1000)::bigint
        FROM whatsapp_inbox_event WHERE state = 0) AS oldest
FROM whatsapp_inbox_lane WHERE pending > 0";

pub(super) const DEAD: &str = "
SELECT seq, event_key, app, kind, conversation, attempts, last_error,
    (extract(epoch FROM finished_at) * 1000)::bigint AS finished, body
FROM whatsapp_inbox_event WHERE state = 2 AND seq > $1 ORDER BY seq LIMIT $2";

/// The conversation may have got another name since. A lane is its name after a prefix.
pub(super) const REPLAY: &str = "
WITH again AS (
    UPDATE whatsapp_inbox_event e SET state = 0, attempts = 0, finished_at = NULL,
        conversation = c.name,
        lane = left(e.lane, length(e.lane) - length(e.conversation)) || c.name
    FROM (
        SELECT o.event_key, coalesce(a.conversation, o.conversation) AS name
        FROM whatsapp_inbox_event o
        LEFT JOIN whatsapp_inbox_alias a ON a.alias = o.conversation
        WHERE o.event_key = ANY ($1) AND o.state = 2
        ORDER BY o.event_key FOR UPDATE OF o) c
    WHERE e.event_key = c.event_key
    RETURNING e.lane, e.class
),
lanes AS (
    INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
    SELECT lane, class, count(*), now(), now(), now()
    FROM again GROUP BY lane, class ORDER BY lane
    ON CONFLICT (lane) DO UPDATE SET
        pending = l.pending + excluded.pending,
        first_at = coalesce(l.first_at, excluded.first_at),
        wake_at = CASE WHEN l.held THEN l.wake_at ELSE least(l.wake_at, excluded.wake_at) END
)
SELECT count(*) FROM again";

pub(super) const DISCARD: &str = "
WITH gone AS (
    UPDATE whatsapp_inbox_event SET state = 1, body = NULL, last_error = NULL,
        finished_at = now(), expires_at = now() + $2 * interval '1 millisecond'
    WHERE event_key IN (
        SELECT event_key FROM whatsapp_inbox_event WHERE event_key = ANY ($1) AND state = 2
        ORDER BY event_key FOR UPDATE)
    RETURNING 1
)
SELECT count(*) FROM gone";
