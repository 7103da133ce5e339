alter table metadata_blob
    add column next_update timestamptz not null default 'epoch',
    add column etag        text        not null default '',
    add column tried_at    timestamptz not null default 'epoch',
    add column failures    integer     not null default 0;
