-- The salt hides the personal part behind its commitment. It is made by the
-- database so that no act has to carry it.
alter table audit_entry add column salt bytea default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
alter table audit_entry add column erased_at timestamptz;

drop trigger audit_entry_is_append_only on audit_entry;
create or replace function audit_entry_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        -- The one change: the personal part and its salt are taken out, and nothing else.
        if new.erased_at is not null and old.erased_at is null and new.salt is null and new.user_id = '' and new.credential = '' and new.session = '' and new.address = ''
            and (new.id, new.at, new.action, new.outcome, new.reason, new.client_id, new.grant_id, new.correlation, new.details)
                is not distinct from (old.id, old.at, old.action, old.outcome, old.reason, old.client_id, old.grant_id, old.correlation, old.details) then
            return new;
        end if;
    end if;
    raise exception 'audit entries are never changed or removed' using errcode = 'restrict_violation';
end $$;
create trigger audit_entry_is_append_only before update or delete on audit_entry for each row execute function audit_entry_is_append_only();
create trigger audit_entry_is_not_truncated before truncate on audit_entry for each statement execute function audit_entry_is_append_only();

-- No foreign keys to audit_entry: its rows are never removed, and each check would lock the row it was inserted for.
create table audit_pending (entry_id uuid primary key);
comment on table audit_pending is 'owner: audit; entries that have no place in the log yet';
insert into audit_pending select id from audit_entry;

create table audit_leaf (
    index    bigint primary key constraint index_is_not_negative check (index >= 0),
    entry_id uuid   not null constraint an_entry_has_one_place unique,
    hash     bytea  not null constraint hash_has_32_bytes check (octet_length(hash) = 32),
    personal bytea  not null
);
comment on table audit_leaf is 'owner: audit; the place of each entry in the log, its leaf hash (RFC 6962 section 2.1) and the commitment to its personal part, which outlives that part';

create table audit_tile (
    level integer not null,
    n     bigint  not null,
    data  bytea   not null,
    primary key (level, n)
);
comment on table audit_tile is 'owner: audit; the tree''s hashes in tiles of height 8 (C2SP tlog-tiles)';

create table audit_checkpoint (
    size      bigint      primary key,
    root      bytea       not null constraint root_has_32_bytes check (octet_length(root) = 32),
    note      text        not null,
    signed_at timestamptz not null,
    anchored  jsonb       not null default '{}'
);
comment on table audit_checkpoint is 'owner: audit; signed checkpoints of the log (C2SP tlog-checkpoint) and where they were anchored';

create table audit_signer (
    one    boolean primary key default true constraint there_is_one_signer check (one),
    name   text    not null,
    public bytea   not null
);
comment on table audit_signer is 'owner: audit; the name and public key of the log; the private key is a sealed secret';

create table sealed_secret (
    name         text primary key,
    sealed       bytea not null,
    sealed_under text  not null
);
comment on table sealed_secret is 'owner: keyring; random secrets that outlive sealing keys, sealed under a key that the database does not hold';

create table audit_stream (
    sink text   primary key,
    next bigint not null
);
comment on table audit_stream is 'owner: audit; how far each sink of the stream has got';
