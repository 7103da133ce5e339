-- What a client wished for in its authorization request (OpenID Connect Core
-- sections 3.1.2.1 and 5.5). subject is the person whom it expects to answer, as
-- it knows them (sub); id_token_scopes are the scopes whose claims the ID token
-- carries; acr_values are the levels of which the ID token names one.
alter table authorization_request
	add column subject text not null default '',
	add column id_token_scopes text[] not null default '{}';
update authorization_request set id_token_scopes = scopes;
alter table access_grant
	add column id_token_scopes text[] not null default '{}',
	add column acr_values text[] not null default '{}';
update access_grant set id_token_scopes = scopes;
-- What an operator wrote about a person: standard claims (OpenID Connect Core section 5.1).
alter table account add column profile jsonb not null default '{}';
