create table metadata_blob (
    source      text        primary key,
    number      integer     not null,
    next_update date        not null,
    body        bytea       not null,
    digest      bytea       not null,
    loaded_at   timestamptz not null default clock_timestamp()
);
comment on table metadata_blob is 'owner: attest/mds; the last good FIDO metadata BLOB of each source, whole and signed';
