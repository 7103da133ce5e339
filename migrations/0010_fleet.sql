create table trust_file (
    id         bigint      generated always as identity primary key,
    version    text        not null,
    content    text        not null,
    applied_at timestamptz not null,
    applied_by text        not null
);
comment on table trust_file is 'owner: fleet; every trust file that was in force, as it was written; the newest is in force';

create table judgement (
    one         boolean     primary key default true constraint there_is_one check (one),
    basis       text        not null,
    after       uuid        not null,
    judged      bigint      not null,
    changed     bigint      not null,
    started_at  timestamptz not null,
    finished_at timestamptz
);
comment on table judgement is 'owner: fleet; how far the credentials were judged on which metadata, trust file and day';

create table notice (
    id           bigint      generated always as identity primary key,
    user_id      text        not null references account,
    kind         text        not null constraint kind_is_known check (kind in ('passkey_lost_standing', 'passkey_gained_standing', 'passkey_suspended', 'passkey_released', 'clone_suspected')),
    subject      text        not null,
    explanation  text        not null default '',
    created_at   timestamptz not null,
    dismissed_at timestamptz
);
comment on table notice is 'owner: account; what a person is told on their account page until they dismiss it';
create index notice_by_user on notice (user_id) where dismissed_at is null;
