-- One row per event that is being handled or was handled.
CREATE TABLE IF NOT EXISTS whatsapp_event (
    -- `EventKey::to_bytes`: 16 bytes.
    key bytea PRIMARY KEY,
    -- The `Token` of the holder while the event is pending, NULL when it is done.
    token bytea,
    -- End of the lease while the event is pending, end of the window when it is done. From then on
    -- the row means nothing, and `purge` removes it.
    until timestamptz NOT NULL
);

-- For `purge`. Without it each batch reads the whole table.
CREATE INDEX IF NOT EXISTS whatsapp_event_until ON whatsapp_event (until);
