create table account (
    id           text        primary key,
    handle       bytea       not null constraint handle_is_unique unique,
    name         text        not null,
    display_name text        not null,
    status       text        not null default 'active' constraint status_is_known check (status in ('active', 'suspended', 'deleted')),
    created_at   timestamptz not null default clock_timestamp(),
    constraint handle_is_1_to_64_bytes check (octet_length(handle) between 1 and 64),
    constraint name_is_not_empty check (name <> '')
);
comment on table account is 'owner: account; the people who may sign in';
create unique index name_is_unique_ignoring_case on account (lower(name)) where status <> 'deleted';

create table account_group (
    user_id    text not null references account,
    group_name text not null constraint group_name_is_not_empty check (group_name <> ''),
    constraint a_person_is_in_a_group_once primary key (user_id, group_name)
);
comment on table account_group is 'owner: account; which groups a person is in';

create table invitation (
    digest     bytea       primary key,
    user_id    text        not null references account,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    spent_at   timestamptz,
    revoked_at timestamptz
);
comment on table invitation is 'owner: account; single-use enrolment links, by the SHA-256 of their secret';
create index invitation_by_user on invitation (user_id);
