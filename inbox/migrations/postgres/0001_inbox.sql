-- Names are compared byte by byte: an index that follows the rules of a language is damaged when a
-- new version of the operating system changes them.

-- One row per event that waits, was handled within the window, or is a dead letter.
CREATE TABLE whatsapp_inbox_event (
    -- `Event::key_in` the app, 16 bytes. Random for events that are not distinguishable.
    event_key bytea PRIMARY KEY CHECK (octet_length(event_key) = 16),
    -- Arrival: events of one delivery are numbered in the order of its body.
    seq bigint NOT NULL,
    -- Label of the app whose secret signed the delivery.
    app text NOT NULL,
    -- `Event::kind`: message, status, account_update, ….
    kind text NOT NULL,
    -- Id of the business phone number (`phone_number_id`).
    number text,
    -- App, number and person or group. PERSONAL DATA: contains user ids and phone numbers.
    conversation text COLLATE "C" NOT NULL,
    -- Events of one lane are handled one at a time, in the order of (event_time, seq).
    lane text COLLATE "C" NOT NULL,
    -- 0: messages and what belongs with them, 1: bulk (statuses, history).
    class smallint NOT NULL,
    -- Meta's time of the event; the time of arrival if it has none.
    event_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    -- 0 pending, 1 done, 2 dead letter.
    state smallint NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
    -- Failed attempts, and runs that ended with their process.
    attempts integer NOT NULL DEFAULT 0,
    -- What the handler said of its last failure, at most 500 characters.
    last_error text,
    -- When the event was done or became a dead letter.
    finished_at timestamptz,
    -- Done events are forgotten then.
    expires_at timestamptz,
    -- `Event::to_queue`. PERSONAL DATA. Removed when the event is done.
    body bytea
);

CREATE SEQUENCE whatsapp_inbox_seq OWNED BY whatsapp_inbox_event.seq;

CREATE INDEX whatsapp_inbox_event_pending
    ON whatsapp_inbox_event (lane, event_time, seq) WHERE state = 0;
CREATE INDEX whatsapp_inbox_event_oldest ON whatsapp_inbox_event (received_at) WHERE state = 0;
CREATE INDEX whatsapp_inbox_event_done ON whatsapp_inbox_event (expires_at) WHERE state = 1;
CREATE INDEX whatsapp_inbox_event_dead ON whatsapp_inbox_event (seq) WHERE state = 2;

-- One row per lane with pending events, and for a while after.
CREATE TABLE whatsapp_inbox_lane (
    lane text COLLATE "C" PRIMARY KEY,
    class smallint NOT NULL,
    -- Pending events of the lane.
    pending integer NOT NULL,
    -- Leased, or in back-off: new events do not change `wake_at`.
    held boolean NOT NULL DEFAULT false,
    -- Token of the lease. NULL while nobody has one.
    owner bytea,
    -- Claims since a run last ended. More than 1: a process died while it had the lane.
    claims integer NOT NULL DEFAULT 0,
    -- First and last arrival since the last claim, for gathering.
    first_at timestamptz,
    last_at timestamptz NOT NULL,
    -- When the lane may be claimed: end of the lease, of the back-off or of the gathering.
    wake_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX whatsapp_inbox_lane_wake ON whatsapp_inbox_lane (class, wake_at);

-- Conversations whose user id or number has changed. PERSONAL DATA.
CREATE TABLE whatsapp_inbox_alias (
    alias text COLLATE "C" PRIMARY KEY,
    conversation text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX whatsapp_inbox_alias_conversation ON whatsapp_inbox_alias (conversation);
CREATE INDEX whatsapp_inbox_alias_created ON whatsapp_inbox_alias (created_at);
