alter table signing_key
    -- null until the key is chosen to sign: a standby has no date
    alter column activates_at drop not null,
    -- the earliest instant at which it may sign: published long enough for every gateway to know it
    add column ready_at     timestamptz,
    -- the key left the key set at once, in an emergency
    add column withdrawn_at timestamptz,
    -- the private part was erased
    add column destroyed_at timestamptz,
    add column cause        text not null default '';
update signing_key set ready_at = activates_at;
alter table signing_key
    alter column ready_at set not null,
    add constraint a_key_signs_only_when_ready check (activates_at is null or activates_at >= ready_at),
    add constraint a_withdrawn_key_is_retired check (withdrawn_at is null or retires_at = withdrawn_at),
    add constraint a_destroyed_key_is_retired check (destroyed_at is null or (retires_at is not null and sealed = ''));
create unique index one_standby_for_each_algorithm on signing_key (algorithm) where activates_at is null and retires_at is null;
create unique index one_current_key_for_each_algorithm on signing_key (algorithm) where activates_at is not null and honoured_at is null;

create table signing_key_basis (
    kid           text        not null references signing_key,
    since         timestamptz not null,
    metadata      text        not null,
    trust_version text        not null,
    primary key (kid, since)
);
comment on table signing_key_basis is 'owner: keyring; which metadata and trust file were in force from when on while a key was active';

create table key_demand (
    id          bigint      generated always as identity primary key,
    algorithm   text        not null,
    kind        text        not null constraint kind_is_known check (kind in ('rotate', 'emergency')),
    cause       text        not null,
    demanded_at timestamptz not null,
    done_at     timestamptz
);
comment on table key_demand is 'owner: keyring; rotations that were asked for, and when they were done';
create unique index one_open_demand_of_each_kind on key_demand (algorithm, kind) where done_at is null;
