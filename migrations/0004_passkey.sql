create table ceremony (
    digest     bytea       primary key,
    kind       text        not null constraint kind_is_known check (kind in ('registration', 'assertion')),
    browser    bytea       not null,
    user_id    text        references account,
    session    jsonb       not null,
    expires_at timestamptz not null
);
comment on table ceremony is 'owner: passkey; open WebAuthn ceremonies, by the SHA-256 of their secret; deleted by the attempt that uses them';
create index ceremony_by_expiry on ceremony (expires_at);

create table credential (
    id                 uuid        primary key,
    user_id            text        not null references account,
    rp_id              text        not null,
    credential_id      bytea       not null,
    public_key         bytea       not null,
    algorithm          integer     not null,
    authenticator_id   text        not null constraint authenticator_id_is_unique unique,
    nickname           text        not null,
    aaguid             uuid        not null,
    format             text        not null,
    attestation_type   text        not null,
    attestation_object bytea       not null,
    client_data        bytea       not null,
    chain              bytea[]     not null,
    transports         text[]      not null,
    attachment         text        not null,
    flags              smallint    not null,
    backup_eligible    boolean     not null,
    backup_state       boolean     not null,
    uv_initialised     boolean     not null,
    sign_count         bigint      not null,
    metadata_number    integer,
    facts              text[]      not null,
    model              text        not null default '',
    created_at         timestamptz not null default clock_timestamp(),
    last_used_at       timestamptz,
    quarantined_at     timestamptz,
    removed_at         timestamptz,
    constraint a_credential_is_registered_once unique (rp_id, credential_id)
);
comment on table credential is 'owner: passkey; public keys and the whole evidence of their registration';
create index credential_by_user on credential (user_id) where removed_at is null;
