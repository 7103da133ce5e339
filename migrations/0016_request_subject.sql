-- The person whom a client expects to answer, as it knows them (sub): by an
-- id_token_hint, or by a claims parameter that asks for one sub.
alter table authorization_request add column subject text not null default '';
