create table client (
    id                        text        primary key,
    name                      text        not null,
    kind                      text        not null constraint kind_is_known check (kind in ('public', 'confidential', 'workload')),
    origin                    text        not null constraint origin_is_known check (origin in ('trust_file', 'operator')),
    secret_digests            bytea[]     not null default '{}',
    redirect_uris             text[]      not null default '{}',
    post_logout_redirect_uris text[]      not null default '{}',
    grant_types               text[]      not null,
    scopes                    text[]      not null,
    audiences                 text[]      not null default '{}',
    created_at                timestamptz not null default clock_timestamp(),
    deleted_at                timestamptz
);
comment on table client is 'owner: grant; OAuth clients; secrets are 256-bit random and kept as their SHA-256';

create table authorization_request (
    digest          bytea       primary key,
    client_id       text        not null references client,
    redirect_uri    text        not null,
    response_mode   text        not null default 'query',
    scopes          text[]      not null,
    audience        text        not null,
    state           text        not null,
    nonce           text        not null,
    code_challenge  text        not null,
    prompt          text[]      not null default '{}',
    max_age         integer,
    login_hint      text        not null default '',
    browser         bytea       not null,
    opened_at       timestamptz not null default clock_timestamp(),
    expires_at      timestamptz not null,
    user_id         text        references account,
    session         text        references session deferrable initially deferred,
    authentication  jsonb,
    bound_at        timestamptz,
    code_digest     bytea       constraint code_is_unique unique,
    code_expires_at timestamptz,
    redeemed_at     timestamptz,
    grant_id        uuid,
    constraint a_code_follows_a_sign_in check (code_digest is null or bound_at is not null),
    constraint a_redemption_follows_a_code check (redeemed_at is null or code_digest is not null)
);
comment on table authorization_request is 'owner: grant; from the authorization endpoint to the redeemed code, one row; secrets by their SHA-256';
create index authorization_request_by_expiry on authorization_request (expires_at);

create table access_grant (
    id             uuid        primary key,
    client_id      text        not null references client,
    user_id        text        references account,
    credential     uuid        references credential,
    session        text        references session,
    scopes         text[]      not null,
    audience       text        not null,
    authentication jsonb,
    created_at     timestamptz not null default clock_timestamp(),
    expires_at     timestamptz not null,
    revoked_at     timestamptz,
    revoked_why    text        not null default ''
);
comment on table access_grant is 'owner: grant; what a person gave a client: the family of its refresh tokens; its id begins every jti';
create index access_grant_by_user on access_grant (user_id) where revoked_at is null;
create index access_grant_by_session on access_grant (session) where revoked_at is null;
create index access_grant_by_expiry on access_grant (expires_at);

create table refresh_token (
    digest     bytea       primary key,
    grant_id   uuid        not null references access_grant on delete cascade,
    issued_at  timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    spent_at   timestamptz
);
comment on table refresh_token is 'owner: grant; refresh tokens by their SHA-256; each is spent once';
create index refresh_token_by_grant on refresh_token (grant_id);
