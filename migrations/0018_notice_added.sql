-- A person with a passkey is told when another is added.
alter table notice drop constraint kind_is_known;
alter table notice add constraint kind_is_known check (kind in ('passkey_added', 'passkey_lost_standing', 'passkey_gained_standing', 'passkey_suspended', 'passkey_released', 'clone_suspected'));
