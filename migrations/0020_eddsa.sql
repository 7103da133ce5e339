-- EdDSA signs ID tokens of clients that ask for it (RFC 8037 section 3.1).
alter table signing_key drop constraint algorithm_is_known;
alter table signing_key add constraint algorithm_is_known check (algorithm in ('RS256', 'PS256', 'ES256', 'EdDSA'));
