create table audit_entry (
    id          uuid primary key,
    at          timestamptz not null default clock_timestamp(),
    action      text        not null,
    outcome     text        not null constraint outcome_is_done_or_refused check (outcome in ('done', 'refused')),
    reason      text        not null default '',
    user_id     text        not null default '',
    client_id   text        not null default '',
    credential  text        not null default '',
    session     text        not null default '',
    grant_id    text        not null default '',
    address     text        not null default '',
    correlation text        not null default '',
    details     jsonb       not null default '{}',
    constraint a_refusal_names_its_reason check ((outcome = 'refused') = (reason <> ''))
);
comment on table audit_entry is 'owner: audit; what was done and what was refused after consuming something; append-only';
create index audit_entry_by_time on audit_entry (at, id);
create index audit_entry_by_user on audit_entry (user_id, at);

create function audit_entry_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit entries are never changed or removed' using errcode = 'restrict_violation';
end $$;
create trigger audit_entry_is_append_only before update or delete or truncate on audit_entry
    for each statement execute function audit_entry_is_append_only();
