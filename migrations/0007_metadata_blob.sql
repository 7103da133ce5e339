create table metadata_blob (
    source      text        primary key,
    number      integer     not null constraint number_is_positive check (number > 0),
    digest      bytea       not null,
    blob        bytea       not null,
    verified_at timestamptz not null
);
comment on table metadata_blob is 'owner: attest/mds; the last good FIDO metadata BLOB of each source; number only grows';
