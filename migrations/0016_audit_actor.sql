-- Who did it, when that is an administrator and not the person it is about. It
-- belongs to the personal part: the leaf commits to it, and it goes with the rest.
alter table audit_entry add column actor text not null default '';
create index audit_entry_by_actor on audit_entry (actor, at) where actor <> '';

create or replace function audit_entry_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        -- The one change: the personal part and its salt are taken out, and nothing else.
        if new.erased_at is not null and old.erased_at is null and new.salt is null and new.user_id = '' and new.actor = '' and new.credential = '' and new.session = '' and new.address = ''
            and (new.id, new.at, new.action, new.outcome, new.reason, new.client_id, new.grant_id, new.correlation, new.details)
                is not distinct from (old.id, old.at, old.action, old.outcome, old.reason, old.client_id, old.grant_id, old.correlation, old.details) then
            return new;
        end if;
    end if;
    raise exception 'audit entries are never changed or removed' using errcode = 'restrict_violation';
end $$;
