create table session (
    id             text        primary key,
    digest         bytea       not null constraint session_secret_is_unique unique,
    user_id        text        not null references account,
    credential     uuid        not null references credential,
    authentication jsonb       not null,
    browser        bytea       not null,
    user_agent     text        not null default '',
    address        text        not null default '',
    created_at     timestamptz not null default clock_timestamp(),
    seen_at        timestamptz not null default clock_timestamp(),
    expires_at     timestamptz not null,
    revoked_at     timestamptz
);
comment on table session is 'owner: signin; signed-in browsers, by the SHA-256 of their cookie; id is the sid of tokens';
create index session_by_user on session (user_id) where revoked_at is null;
create index session_by_expiry on session (expires_at);
