alter table client add column settings jsonb not null default '{}';

alter table authorization_request
    add column audiences    text[]      not null default '{}',
    add column acr_values   text[]      not null default '{}',
    add column consented_at timestamptz,
    add column declined_at  timestamptz;
update authorization_request set audiences = array[audience];

alter table access_grant add column audiences text[] not null default '{}';
update access_grant set audiences = array[audience];

create table consent (
    user_id    text        not null references account,
    client_id  text        not null references client,
    scopes     text[]      not null,
    audiences  text[]      not null,
    granted_at timestamptz not null,
    constraint a_person_agrees_once_for_a_client primary key (user_id, client_id)
);
comment on table consent is 'owner: grant; what people agreed to give to clients that are not the operator''s own';

create table client_assertion (
    digest     bytea       primary key,
    expires_at timestamptz not null
);
comment on table client_assertion is 'owner: grant; the jti of client assertions that were used, by SHA-256, until they expire';
create index client_assertion_by_expiry on client_assertion (expires_at);

create table device_authorization (
    device_digest  bytea       primary key,
    user_digest    bytea       not null constraint user_code_is_unique unique,
    client_id      text        not null references client,
    scopes         text[]      not null,
    audience       text        not null,
    address        text        not null default '',
    opened_at      timestamptz not null,
    expires_at     timestamptz not null,
    authentication jsonb,
    user_id        text        references account,
    session        text        references session,
    approved_at    timestamptz,
    declined_at    timestamptz,
    redeemed_at    timestamptz
);
comment on table device_authorization is 'owner: grant; device flows (RFC 8628) from the request to the redeemed code; codes by their SHA-256';
create index device_authorization_by_expiry on device_authorization (expires_at);

create table logout_delivery (
    id         uuid        primary key,
    client_id  text        not null references client,
    uri        text        not null,
    user_id    text        not null,
    session    text        not null,
    created_at timestamptz not null,
    attempts   integer     not null default 0,
    next_at    timestamptz not null,
    done_at    timestamptz,
    failed_at  timestamptz,
    last_error text        not null default ''
);
comment on table logout_delivery is 'owner: grant; back-channel logouts to deliver, with what became of them';
create index logout_delivery_due on logout_delivery (next_at) where done_at is null and failed_at is null;
