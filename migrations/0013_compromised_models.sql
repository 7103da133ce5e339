alter table judgement
    -- the models with an undesired status that this pass has met so far
    add column models      text[] not null default '{}',
    -- those that the last finished pass met
    add column compromised text[] not null default '{}';
