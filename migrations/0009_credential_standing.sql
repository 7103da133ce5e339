alter table credential
    -- null until the credential is judged for the first time by a version that knows levels
    add column levels          text[],
    -- the statuses that a suspension was for, and those that an operator has looked at and let pass
    add column quarantined_for text[] not null default '{}',
    add column pardoned        text[] not null default '{}',
    add column quarantined_why text not null default '' constraint quarantine_reason_is_known check (quarantined_why in ('', 'clone', 'metadata'));
update credential set quarantined_why = 'clone' where quarantined_at is not null;
alter table credential add constraint a_quarantine_has_a_reason check ((quarantined_at is null) = (quarantined_why = ''));
