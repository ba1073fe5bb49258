//! The statements. Those that write run within `BEGIN IMMEDIATE`, so there is one writer at a time.
//!
//! Times are Unix milliseconds of SQLite's own clock. An idle lane wakes at the largest integer.

/// The time of the statement.
macro_rules! now {
    () => {
        "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)"
    };
}

pub(super) const HAS_SCHEMA: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'whatsapp_inbox_schema')";

pub(super) const VERSION: &str = "SELECT version, oldest_code FROM whatsapp_inbox_schema
    ORDER BY version DESC LIMIT 1";

pub(super) const ADD_VERSION: &str =
    "INSERT INTO whatsapp_inbox_schema (version, oldest_code) VALUES (?1, ?2)";

/// In the transaction of a handler: it is there as long as the transaction is.
pub(super) const SAVEPOINT: &str = "SAVEPOINT whatsapp_inbox";

pub(super) const RELEASE_SAVEPOINT: &str = "RELEASE whatsapp_inbox";

pub(super) const PLACE: &str = "SELECT conversation FROM whatsapp_inbox_alias WHERE alias = ?1";

pub(super) const ALIAS: &str = concat!(
    "INSERT INTO whatsapp_inbox_alias (alias, conversation, created_at) VALUES (?1, ?2, ",
    now!(),
    ") ON CONFLICT (alias) DO NOTHING"
);

/// Names that led to `?1` lead to `?2`.
pub(super) const REPOINT: &str =
    "UPDATE whatsapp_inbox_alias SET conversation = ?2 WHERE conversation = ?1";

/// Moves what waits under a new name, unless a worker or a back-off has it.
pub(super) const MOVE: &str = "
    UPDATE whatsapp_inbox_event SET lane = ?2, conversation = ?2
    WHERE lane = ?1 AND state = 0 AND EXISTS (
        SELECT 1 FROM whatsapp_inbox_lane WHERE lane = ?1 AND NOT held)";

pub(super) const EMPTY_LANE: &str = "
    UPDATE whatsapp_inbox_lane SET pending = 0, first_at = NULL, wake_at = 9223372036854775807
    WHERE lane = ?1";

pub(super) const HAS_ALIASES: &str = "SELECT EXISTS (SELECT 1 FROM whatsapp_inbox_alias)";

pub(super) const STORE_EVENT: &str = concat!(
    "INSERT INTO whatsapp_inbox_event (event_key, app, kind, number, conversation, lane, class,
        event_time, received_at, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, ",
    now!(),
    "), ",
    now!(),
    ", ?9) ON CONFLICT (event_key) DO NOTHING"
);

/// `?4`: quiet time, `?5`: longest time of gathering, 0 for lanes that do not gather.
pub(super) const STORE_LANE: &str = concat!(
    "INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
    SELECT ?1, ?2, ?3, now, now, now + ?4 FROM (SELECT ",
    now!(),
    " AS now) WHERE true
    ON CONFLICT (lane) DO UPDATE SET
        pending = l.pending + excluded.pending,
        first_at = coalesce(l.first_at, excluded.first_at),
        last_at = excluded.last_at,
        wake_at = CASE WHEN l.held THEN l.wake_at
            ELSE min(coalesce(l.first_at, excluded.first_at) + ?5, excluded.wake_at) END"
);

pub(super) const CLAIM: &str = concat!(
    "UPDATE whatsapp_inbox_lane SET
        owner = randomblob(16), held = 1, claims = claims + 1, first_at = NULL,
        wake_at = ",
    now!(),
    " + ?3
    WHERE lane IN (
        SELECT lane FROM whatsapp_inbox_lane WHERE class = ?1 AND wake_at <= ",
    now!(),
    " ORDER BY wake_at LIMIT ?2)
    RETURNING lane, owner, claims"
);

pub(super) const FETCH: &str = concat!(
    "SELECT event_key, app, conversation, attempts, ",
    now!(),
    " - received_at AS age, body
    FROM whatsapp_inbox_event WHERE lane = ?1 AND state = 0 ORDER BY event_time, seq LIMIT ?2"
);

/// Without the column that may be damaged: the end of a long body is stored apart.
pub(super) const FIRST: &str = "
    SELECT event_key, attempts FROM whatsapp_inbox_event
    WHERE lane = ?1 AND state = 0 ORDER BY event_time, seq LIMIT 1";

/// `?3`: events that are done, `?4` and `?5`: quiet and longest time of gathering.
pub(super) const RELEASE: &str = concat!(
    "UPDATE whatsapp_inbox_lane SET
        pending = pending - ?3, owner = NULL, held = 0, claims = 0,
        first_at = CASE WHEN pending > ?3 THEN coalesce(first_at, ",
    now!(),
    ") END,
        wake_at = CASE
            WHEN pending <= ?3 THEN 9223372036854775807
            WHEN first_at IS NULL THEN ",
    now!(),
    "
            ELSE min(first_at + iif(class = 0, ?5, 0), last_at + iif(class = 0, ?4, 0)) END
    WHERE lane = ?1 AND owner = ?2
    RETURNING pending"
);

pub(super) const DONE: &str = concat!(
    "UPDATE whatsapp_inbox_event SET state = 1, body = NULL, last_error = NULL, finished_at = ",
    now!(),
    ", expires_at = ",
    now!(),
    " + ?2 WHERE event_key = ?1 AND state = ?3"
);

/// Never shortens a lease.
pub(super) const RENEW: &str = concat!(
    "UPDATE whatsapp_inbox_lane SET wake_at = max(wake_at, ",
    now!(),
    " + ?3) WHERE lane = ?1 AND owner = ?2"
);

pub(super) const CLAIMS: &str =
    "SELECT claims FROM whatsapp_inbox_lane WHERE lane = ?1 AND owner = ?2";

pub(super) const FAIL_EVENT: &str = concat!(
    "UPDATE whatsapp_inbox_event SET
        attempts = attempts + ?2,
        last_error = coalesce(?3, last_error),
        state = iif(?4 OR attempts + ?2 >= ?5, 2, 0),
        finished_at = iif(?4 OR attempts + ?2 >= ?5, ",
    now!(),
    ", NULL)
    WHERE event_key = ?1 AND state = 0
    RETURNING state, attempts"
);

pub(super) const OUTCOME: &str =
    "SELECT state, attempts FROM whatsapp_inbox_event WHERE event_key = ?1";

/// `?5`: nothing was handled, so the claim has not been, and those before it have.
pub(super) const FAIL_LANE: &str = concat!(
    "UPDATE whatsapp_inbox_lane SET
        pending = pending - ?2, owner = NULL, held = ?3, claims = iif(?5, max(claims - 1, 0), 0),
        first_at = CASE WHEN pending > ?2 THEN coalesce(first_at, ",
    now!(),
    ") END,
        wake_at = CASE WHEN pending <= ?2 THEN 9223372036854775807 ELSE ",
    now!(),
    " + ?4 END
    WHERE lane = ?1"
);

pub(super) const RECOUNT: &str = concat!(
    "UPDATE whatsapp_inbox_lane SET
        pending = e.pending, owner = NULL, held = 0, claims = 0,
        wake_at = iif(e.pending = 0, 9223372036854775807, ",
    now!(),
    ")
    FROM (SELECT count(*) AS pending FROM whatsapp_inbox_event WHERE lane = ?1 AND state = 0) e
    WHERE lane = ?1 AND owner = ?2"
);

pub(super) const NEXT: &str = concat!(
    "SELECT wake_at - ",
    now!(),
    " FROM whatsapp_inbox_lane WHERE class = ?1 AND wake_at < 9223372036854775807
    ORDER BY wake_at LIMIT 1"
);

pub(super) const PURGE_EVENTS: &str = concat!(
    "DELETE FROM whatsapp_inbox_event WHERE seq IN (
        SELECT seq FROM whatsapp_inbox_event WHERE state = 1 AND expires_at < ",
    now!(),
    " ORDER BY expires_at LIMIT ?1)"
);

pub(super) const PURGE_LANES: &str = concat!(
    "DELETE FROM whatsapp_inbox_lane WHERE lane IN (
        SELECT lane FROM whatsapp_inbox_lane WHERE class IN (0, 1)
            AND wake_at = 9223372036854775807 AND pending = 0 AND owner IS NULL AND last_at < ",
    now!(),
    " - 60000 LIMIT ?1)"
);

pub(super) const PURGE_ALIASES: &str = concat!(
    "DELETE FROM whatsapp_inbox_alias WHERE alias IN (
        SELECT alias FROM whatsapp_inbox_alias WHERE created_at < ",
    now!(),
    " - 7776000000 LIMIT ?1)"
);

/// Wakes lanes that sleep although the oldest events are theirs: somebody has changed rows by hand.
pub(super) const HEAL: &str = concat!(
    "INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
    SELECT e.lane, e.class, (SELECT count(*) FROM whatsapp_inbox_event o
            WHERE o.lane = e.lane AND o.state = 0), now, now, now
    FROM (SELECT DISTINCT lane, class FROM (SELECT lane, class FROM whatsapp_inbox_event
        WHERE state = 0 ORDER BY received_at LIMIT ?1)) e
    JOIN (SELECT ",
    now!(),
    " AS now)
    LEFT JOIN whatsapp_inbox_lane l ON l.lane = e.lane
    WHERE l.lane IS NULL OR l.wake_at = 9223372036854775807
    ON CONFLICT (lane) DO UPDATE SET pending = excluded.pending, wake_at = excluded.wake_at"
);

pub(super) const STATUS: &str = concat!(
    "SELECT
        coalesce(sum(pending) FILTER (WHERE class = 0), 0) AS messages,
        coalesce(sum(pending) FILTER (WHERE class = 1), 0) AS bulk,
        count(*) FILTER (WHERE owner IS NOT NULL AND wake_at > ",
    now!(),
    ") AS running,
        count(*) FILTER (WHERE held AND owner IS NULL) AS retrying,
        (SELECT count(*) FROM whatsapp_inbox_event WHERE state = 2) AS dead,
        (SELECT ",
    now!(),
    " - min(received_at) FROM whatsapp_inbox_event WHERE state = 0) AS oldest
    FROM whatsapp_inbox_lane WHERE pending > 0"
);

pub(super) const DEAD: &str = "
    SELECT seq, event_key, app, kind, conversation, attempts, last_error,
        finished_at AS finished, body
    FROM whatsapp_inbox_event WHERE state = 2 AND seq > ?1 ORDER BY seq LIMIT ?2";

/// The conversation may have got another name since. A lane is its name after a prefix.
pub(super) const REPLAY_EVENT: &str = "
    UPDATE whatsapp_inbox_event SET state = 0, attempts = 0, finished_at = NULL,
        conversation = c.name,
        lane = substr(lane, 1, length(lane) - length(conversation)) || c.name
    FROM (
        SELECT coalesce(a.conversation, o.conversation) AS name
        FROM whatsapp_inbox_event o
        LEFT JOIN whatsapp_inbox_alias a ON a.alias = o.conversation
        WHERE o.event_key = ?1) c
    WHERE event_key = ?1 AND state = 2
    RETURNING lane, class";

pub(super) const JOIN_LANE: &str = concat!(
    "INSERT INTO whatsapp_inbox_lane AS l (lane, class, pending, first_at, last_at, wake_at)
    SELECT ?1, ?2, ?3, now, now, now FROM (SELECT ",
    now!(),
    " AS now) WHERE true
    ON CONFLICT (lane) DO UPDATE SET
        pending = l.pending + excluded.pending,
        first_at = coalesce(l.first_at, excluded.first_at),
        wake_at = CASE WHEN l.held THEN l.wake_at ELSE min(l.wake_at, excluded.wake_at) END"
);
