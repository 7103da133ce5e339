create table signing_key (
    kid          text        primary key,
    algorithm    text        not null constraint algorithm_is_known check (algorithm in ('RS256', 'PS256', 'ES256')),
    public_jwk   jsonb       not null,
    sealed       bytea       not null,
    sealed_under text        not null,
    created_at   timestamptz not null default clock_timestamp(),
    activates_at timestamptz not null,
    honoured_at  timestamptz,
    retires_at   timestamptz,
    constraint retirement_follows_honour check (retires_at is null or (honoured_at is not null and retires_at >= honoured_at))
);
comment on table signing_key is 'owner: keyring; token-signing keys; the private part is sealed under a key that the database does not hold';
create index signing_key_by_algorithm on signing_key (algorithm, activates_at);
