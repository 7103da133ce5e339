-- The schema after all migrations, written from the catalogue; go test ./pkg -update writes it anew.
table access_grant -- owner: grant; what a person gave a client: the family of its refresh tokens; its id begins every jti
  id uuid not null
  client_id text not null
  user_id text
  credential uuid
  session text
  scopes text[] not null
  audience text not null
  authentication jsonb
  created_at timestamp with time zone not null default clock_timestamp()
  expires_at timestamp with time zone not null
  revoked_at timestamp with time zone
  revoked_why text not null default ''::text
  audiences text[] not null default '{}'::text[]
  id_token_scopes text[] not null default '{}'::text[]
  acr_values text[] not null default '{}'::text[]
  constraint access_grant_client_id_fkey FOREIGN KEY (client_id) REFERENCES client(id)
  constraint access_grant_credential_fkey FOREIGN KEY (credential) REFERENCES credential(id)
  constraint access_grant_pkey PRIMARY KEY (id)
  constraint access_grant_session_fkey FOREIGN KEY (session) REFERENCES session(id)
  constraint access_grant_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  CREATE INDEX access_grant_by_expiry ON public.access_grant USING btree (expires_at)
  CREATE INDEX access_grant_by_session ON public.access_grant USING btree (session) WHERE (revoked_at IS NULL)
  CREATE INDEX access_grant_by_user ON public.access_grant USING btree (user_id) WHERE (revoked_at IS NULL)
  CREATE UNIQUE INDEX access_grant_pkey ON public.access_grant USING btree (id)
table account -- owner: account; the people who may sign in
  id text not null
  handle bytea not null
  name text not null
  display_name text not null
  status text not null default 'active'::text
  created_at timestamp with time zone not null default clock_timestamp()
  profile jsonb not null default '{}'::jsonb
  constraint account_pkey PRIMARY KEY (id)
  constraint handle_is_1_to_64_bytes CHECK (((octet_length(handle) >= 1) AND (octet_length(handle) <= 64)))
  constraint handle_is_unique UNIQUE (handle)
  constraint name_is_not_empty CHECK ((name <> ''::text))
  constraint status_is_known CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'deleted'::text])))
  CREATE UNIQUE INDEX account_pkey ON public.account USING btree (id)
  CREATE UNIQUE INDEX handle_is_unique ON public.account USING btree (handle)
  CREATE UNIQUE INDEX name_is_unique_ignoring_case ON public.account USING btree (lower(name)) WHERE (status <> 'deleted'::text)
table account_group -- owner: account; which groups a person is in
  user_id text not null
  group_name text not null
  constraint a_person_is_in_a_group_once PRIMARY KEY (user_id, group_name)
  constraint account_group_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  constraint group_name_is_not_empty CHECK ((group_name <> ''::text))
  CREATE UNIQUE INDEX a_person_is_in_a_group_once ON public.account_group USING btree (user_id, group_name)
table audit_checkpoint -- owner: audit; signed checkpoints of the log (C2SP tlog-checkpoint) and where they were anchored
  size bigint not null
  root bytea not null
  note text not null
  signed_at timestamp with time zone not null
  anchored jsonb not null default '{}'::jsonb
  constraint audit_checkpoint_pkey PRIMARY KEY (size)
  constraint root_has_32_bytes CHECK ((octet_length(root) = 32))
  CREATE UNIQUE INDEX audit_checkpoint_pkey ON public.audit_checkpoint USING btree (size)
table audit_entry -- owner: audit; what was done and what was refused after consuming something; append-only
  id uuid not null
  at timestamp with time zone not null default clock_timestamp()
  action text not null
  outcome text not null
  reason text not null default ''::text
  user_id text not null default ''::text
  client_id text not null default ''::text
  credential text not null default ''::text
  session text not null default ''::text
  grant_id text not null default ''::text
  address text not null default ''::text
  correlation text not null default ''::text
  details jsonb not null default '{}'::jsonb
  salt bytea default (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
  erased_at timestamp with time zone
  actor text not null default ''::text
  constraint a_refusal_names_its_reason CHECK (((outcome = 'refused'::text) = (reason <> ''::text)))
  constraint audit_entry_pkey PRIMARY KEY (id)
  constraint outcome_is_done_or_refused CHECK ((outcome = ANY (ARRAY['done'::text, 'refused'::text])))
  CREATE INDEX audit_entry_by_actor ON public.audit_entry USING btree (actor, at) WHERE (actor <> ''::text)
  CREATE INDEX audit_entry_by_time ON public.audit_entry USING btree (at, id)
  CREATE INDEX audit_entry_by_user ON public.audit_entry USING btree (user_id, at)
  CREATE UNIQUE INDEX audit_entry_pkey ON public.audit_entry USING btree (id)
  trigger audit_entry_is_append_only
  trigger audit_entry_is_not_truncated
table audit_leaf -- owner: audit; the place of each entry in the log, its leaf hash (RFC 6962 section 2.1) and the commitment to its personal part, which outlives that part
  index bigint not null
  entry_id uuid not null
  hash bytea not null
  personal bytea not null
  constraint an_entry_has_one_place UNIQUE (entry_id)
  constraint audit_leaf_pkey PRIMARY KEY (index)
  constraint hash_has_32_bytes CHECK ((octet_length(hash) = 32))
  constraint index_is_not_negative CHECK ((index >= 0))
  CREATE UNIQUE INDEX an_entry_has_one_place ON public.audit_leaf USING btree (entry_id)
  CREATE UNIQUE INDEX audit_leaf_pkey ON public.audit_leaf USING btree (index)
table audit_pending -- owner: audit; entries that have no place in the log yet
  entry_id uuid not null
table audit_signer -- owner: audit; the name and public key of the log; the private key is a sealed secret
  one boolean not null default true
  name text not null
  public bytea not null
  constraint audit_signer_pkey PRIMARY KEY (one)
  constraint there_is_one_signer CHECK (one)
  CREATE UNIQUE INDEX audit_signer_pkey ON public.audit_signer USING btree (one)
table audit_stream -- owner: audit; how far each sink of the stream has got
  sink text not null
  next bigint not null
  constraint audit_stream_pkey PRIMARY KEY (sink)
  CREATE UNIQUE INDEX audit_stream_pkey ON public.audit_stream USING btree (sink)
table audit_tile -- owner: audit; the tree's hashes in tiles of height 8 (C2SP tlog-tiles)
  level integer not null
  n bigint not null
  data bytea not null
  constraint audit_tile_pkey PRIMARY KEY (level, n)
  CREATE UNIQUE INDEX audit_tile_pkey ON public.audit_tile USING btree (level, n)
table authorization_request -- owner: grant; from the authorization endpoint to the redeemed code, one row; secrets by their SHA-256
  digest bytea not null
  client_id text not null
  redirect_uri text not null
  response_mode text not null default 'query'::text
  scopes text[] not null
  audience text not null
  state text not null
  nonce text not null
  code_challenge text not null
  prompt text[] not null default '{}'::text[]
  max_age integer
  login_hint text not null default ''::text
  browser bytea not null
  opened_at timestamp with time zone not null default clock_timestamp()
  expires_at timestamp with time zone not null
  user_id text
  session text
  authentication jsonb
  bound_at timestamp with time zone
  code_digest bytea
  code_expires_at timestamp with time zone
  redeemed_at timestamp with time zone
  grant_id uuid
  audiences text[] not null default '{}'::text[]
  acr_values text[] not null default '{}'::text[]
  consented_at timestamp with time zone
  declined_at timestamp with time zone
  subject text not null default ''::text
  id_token_scopes text[] not null default '{}'::text[]
  constraint a_code_follows_a_sign_in CHECK (((code_digest IS NULL) OR (bound_at IS NOT NULL)))
  constraint a_redemption_follows_a_code CHECK (((redeemed_at IS NULL) OR (code_digest IS NOT NULL)))
  constraint authorization_request_client_id_fkey FOREIGN KEY (client_id) REFERENCES client(id)
  constraint authorization_request_pkey PRIMARY KEY (digest)
  constraint authorization_request_session_fkey FOREIGN KEY (session) REFERENCES session(id) DEFERRABLE INITIALLY DEFERRED
  constraint authorization_request_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  constraint code_is_unique UNIQUE (code_digest)
  CREATE INDEX authorization_request_by_expiry ON public.authorization_request USING btree (expires_at)
  CREATE UNIQUE INDEX authorization_request_pkey ON public.authorization_request USING btree (digest)
  CREATE UNIQUE INDEX code_is_unique ON public.authorization_request USING btree (code_digest)
table ceremony -- owner: passkey; open WebAuthn ceremonies, by the SHA-256 of their secret; deleted by the attempt that uses them
  digest bytea not null
  kind text not null
  browser bytea not null
  user_id text
  session jsonb not null
  expires_at timestamp with time zone not null
  constraint ceremony_pkey PRIMARY KEY (digest)
  constraint ceremony_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['registration'::text, 'assertion'::text])))
  CREATE INDEX ceremony_by_expiry ON public.ceremony USING btree (expires_at)
  CREATE UNIQUE INDEX ceremony_pkey ON public.ceremony USING btree (digest)
table client -- owner: grant; OAuth clients; secrets are 256-bit random and kept as their SHA-256
  id text not null
  name text not null
  kind text not null
  origin text not null
  secret_digests bytea[] not null default '{}'::bytea[]
  redirect_uris text[] not null default '{}'::text[]
  post_logout_redirect_uris text[] not null default '{}'::text[]
  grant_types text[] not null
  scopes text[] not null
  audiences text[] not null default '{}'::text[]
  created_at timestamp with time zone not null default clock_timestamp()
  deleted_at timestamp with time zone
  settings jsonb not null default '{}'::jsonb
  constraint client_pkey PRIMARY KEY (id)
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['public'::text, 'confidential'::text, 'workload'::text])))
  constraint origin_is_known CHECK ((origin = ANY (ARRAY['trust_file'::text, 'operator'::text])))
  CREATE UNIQUE INDEX client_pkey ON public.client USING btree (id)
table client_assertion -- owner: grant; the jti of client assertions that were used, by SHA-256, until they expire
  digest bytea not null
  expires_at timestamp with time zone not null
  constraint client_assertion_pkey PRIMARY KEY (digest)
  CREATE INDEX client_assertion_by_expiry ON public.client_assertion USING btree (expires_at)
  CREATE UNIQUE INDEX client_assertion_pkey ON public.client_assertion USING btree (digest)
table consent -- owner: grant; what people agreed to give to clients that are not the operator's own
  user_id text not null
  client_id text not null
  scopes text[] not null
  audiences text[] not null
  granted_at timestamp with time zone not null
  constraint a_person_agrees_once_for_a_client PRIMARY KEY (user_id, client_id)
  constraint consent_client_id_fkey FOREIGN KEY (client_id) REFERENCES client(id)
  constraint consent_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  CREATE UNIQUE INDEX a_person_agrees_once_for_a_client ON public.consent USING btree (user_id, client_id)
table credential -- owner: passkey; public keys and the whole evidence of their registration
  id uuid not null
  user_id text not null
  rp_id text not null
  credential_id bytea not null
  public_key bytea not null
  algorithm integer not null
  authenticator_id text not null
  nickname text not null
  aaguid uuid not null
  format text not null
  attestation_type text not null
  attestation_object bytea not null
  client_data bytea not null
  chain bytea[] not null
  transports text[] not null
  attachment text not null
  flags smallint not null
  backup_eligible boolean not null
  backup_state boolean not null
  uv_initialised boolean not null
  sign_count bigint not null
  metadata_number integer
  facts text[] not null
  model text not null default ''::text
  created_at timestamp with time zone not null default clock_timestamp()
  last_used_at timestamp with time zone
  quarantined_at timestamp with time zone
  removed_at timestamp with time zone
  levels text[]
  quarantined_for text[] not null default '{}'::text[]
  pardoned text[] not null default '{}'::text[]
  quarantined_why text not null default ''::text
  constraint a_credential_is_registered_once UNIQUE (rp_id, credential_id)
  constraint a_quarantine_has_a_reason CHECK (((quarantined_at IS NULL) = (quarantined_why = ''::text)))
  constraint authenticator_id_is_unique UNIQUE (authenticator_id)
  constraint credential_pkey PRIMARY KEY (id)
  constraint credential_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  constraint quarantine_reason_is_known CHECK ((quarantined_why = ANY (ARRAY[''::text, 'clone'::text, 'metadata'::text])))
  CREATE UNIQUE INDEX a_credential_is_registered_once ON public.credential USING btree (rp_id, credential_id)
  CREATE UNIQUE INDEX authenticator_id_is_unique ON public.credential USING btree (authenticator_id)
  CREATE INDEX credential_by_user ON public.credential USING btree (user_id) WHERE (removed_at IS NULL)
  CREATE UNIQUE INDEX credential_pkey ON public.credential USING btree (id)
table device_authorization -- owner: grant; device flows (RFC 8628) from the request to the redeemed code; codes by their SHA-256
  device_digest bytea not null
  user_digest bytea not null
  client_id text not null
  scopes text[] not null
  audience text not null
  address text not null default ''::text
  opened_at timestamp with time zone not null
  expires_at timestamp with time zone not null
  authentication jsonb
  user_id text
  session text
  approved_at timestamp with time zone
  declined_at timestamp with time zone
  redeemed_at timestamp with time zone
  constraint device_authorization_client_id_fkey FOREIGN KEY (client_id) REFERENCES client(id)
  constraint device_authorization_pkey PRIMARY KEY (device_digest)
  constraint device_authorization_session_fkey FOREIGN KEY (session) REFERENCES session(id)
  constraint device_authorization_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  constraint user_code_is_unique UNIQUE (user_digest)
  CREATE INDEX device_authorization_by_expiry ON public.device_authorization USING btree (expires_at)
  CREATE UNIQUE INDEX device_authorization_pkey ON public.device_authorization USING btree (device_digest)
  CREATE UNIQUE INDEX user_code_is_unique ON public.device_authorization USING btree (user_digest)
table invitation -- owner: account; single-use enrolment links, by the SHA-256 of their secret
  digest bytea not null
  user_id text not null
  created_at timestamp with time zone not null default clock_timestamp()
  expires_at timestamp with time zone not null
  spent_at timestamp with time zone
  revoked_at timestamp with time zone
  constraint invitation_pkey PRIMARY KEY (digest)
  constraint invitation_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  CREATE INDEX invitation_by_user ON public.invitation USING btree (user_id)
  CREATE UNIQUE INDEX invitation_pkey ON public.invitation USING btree (digest)
table judgement -- owner: fleet; how far the credentials were judged on which metadata, trust file and day
  one boolean not null default true
  basis text not null
  after uuid not null
  judged bigint not null
  changed bigint not null
  started_at timestamp with time zone not null
  finished_at timestamp with time zone
  models text[] not null default '{}'::text[]
  compromised text[] not null default '{}'::text[]
  constraint judgement_pkey PRIMARY KEY (one)
  constraint there_is_one CHECK (one)
  CREATE UNIQUE INDEX judgement_pkey ON public.judgement USING btree (one)
table key_demand -- owner: keyring; rotations that were asked for, and when they were done
  id bigint not null
  algorithm text not null
  kind text not null
  cause text not null
  demanded_at timestamp with time zone not null
  done_at timestamp with time zone
  constraint key_demand_pkey PRIMARY KEY (id)
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['rotate'::text, 'emergency'::text])))
  CREATE UNIQUE INDEX key_demand_pkey ON public.key_demand USING btree (id)
  CREATE UNIQUE INDEX one_open_demand_of_each_kind ON public.key_demand USING btree (algorithm, kind) WHERE (done_at IS NULL)
table logout_delivery -- owner: grant; back-channel logouts to deliver, with what became of them
  id uuid not null
  client_id text not null
  uri text not null
  user_id text not null
  session text not null
  created_at timestamp with time zone not null
  attempts integer not null default 0
  next_at timestamp with time zone not null
  done_at timestamp with time zone
  failed_at timestamp with time zone
  last_error text not null default ''::text
  constraint logout_delivery_client_id_fkey FOREIGN KEY (client_id) REFERENCES client(id)
  constraint logout_delivery_pkey PRIMARY KEY (id)
  CREATE INDEX logout_delivery_due ON public.logout_delivery USING btree (next_at) WHERE ((done_at IS NULL) AND (failed_at IS NULL))
  CREATE UNIQUE INDEX logout_delivery_pkey ON public.logout_delivery USING btree (id)
table metadata_blob -- owner: attest/mds; the last good FIDO metadata BLOB of each source; number only grows
  source text not null
  number integer not null
  digest bytea not null
  blob bytea not null
  verified_at timestamp with time zone not null
  next_update timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone
  etag text not null default ''::text
  tried_at timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone
  failures integer not null default 0
  constraint metadata_blob_pkey PRIMARY KEY (source)
  constraint number_is_positive CHECK ((number > 0))
  CREATE UNIQUE INDEX metadata_blob_pkey ON public.metadata_blob USING btree (source)
table notice -- owner: account; what a person is told on their account page until they dismiss it
  id bigint not null
  user_id text not null
  kind text not null
  subject text not null
  explanation text not null default ''::text
  created_at timestamp with time zone not null
  dismissed_at timestamp with time zone
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['passkey_added'::text, 'passkey_lost_standing'::text, 'passkey_gained_standing'::text, 'passkey_suspended'::text, 'passkey_released'::text, 'clone_suspected'::text])))
  constraint notice_pkey PRIMARY KEY (id)
  constraint notice_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  CREATE INDEX notice_by_user ON public.notice USING btree (user_id) WHERE (dismissed_at IS NULL)
  CREATE UNIQUE INDEX notice_pkey ON public.notice USING btree (id)
table refresh_token -- owner: grant; refresh tokens by their SHA-256; each is spent once
  digest bytea not null
  grant_id uuid not null
  issued_at timestamp with time zone not null default clock_timestamp()
  expires_at timestamp with time zone not null
  spent_at timestamp with time zone
  constraint refresh_token_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id) ON DELETE CASCADE
  constraint refresh_token_pkey PRIMARY KEY (digest)
  CREATE INDEX refresh_token_by_grant ON public.refresh_token USING btree (grant_id)
  CREATE UNIQUE INDEX refresh_token_pkey ON public.refresh_token USING btree (digest)
table schema_version -- owner: postgres; the number of applied migrations
  version integer not null
table sealed_secret -- owner: keyring; random secrets that outlive sealing keys, sealed under a key that the database does not hold
  name text not null
  sealed bytea not null
  sealed_under text not null
  constraint sealed_secret_pkey PRIMARY KEY (name)
  CREATE UNIQUE INDEX sealed_secret_pkey ON public.sealed_secret USING btree (name)
table session -- owner: signin; signed-in browsers, by the SHA-256 of their cookie; id is the sid of tokens
  id text not null
  digest bytea not null
  user_id text not null
  credential uuid not null
  authentication jsonb not null
  browser bytea not null
  user_agent text not null default ''::text
  address text not null default ''::text
  created_at timestamp with time zone not null default clock_timestamp()
  seen_at timestamp with time zone not null default clock_timestamp()
  expires_at timestamp with time zone not null
  revoked_at timestamp with time zone
  assertion jsonb
  challenge text
  constraint session_credential_fkey FOREIGN KEY (credential) REFERENCES credential(id)
  constraint session_pkey PRIMARY KEY (id)
  constraint session_secret_is_unique UNIQUE (digest)
  constraint session_user_id_fkey FOREIGN KEY (user_id) REFERENCES account(id)
  CREATE INDEX session_by_expiry ON public.session USING btree (expires_at)
  CREATE INDEX session_by_user ON public.session USING btree (user_id) WHERE (revoked_at IS NULL)
  CREATE UNIQUE INDEX session_pkey ON public.session USING btree (id)
  CREATE UNIQUE INDEX session_secret_is_unique ON public.session USING btree (digest)
table signing_key -- owner: keyring; token-signing keys; the private part is sealed under a key that the database does not hold
  kid text not null
  algorithm text not null
  public_jwk jsonb not null
  sealed bytea not null
  sealed_under text not null
  created_at timestamp with time zone not null default clock_timestamp()
  activates_at timestamp with time zone
  honoured_at timestamp with time zone
  retires_at timestamp with time zone
  ready_at timestamp with time zone not null
  withdrawn_at timestamp with time zone
  destroyed_at timestamp with time zone
  cause text not null default ''::text
  constraint a_destroyed_key_is_retired CHECK (((destroyed_at IS NULL) OR ((retires_at IS NOT NULL) AND (sealed = '\x'::bytea))))
  constraint a_key_signs_only_when_ready CHECK (((activates_at IS NULL) OR (activates_at >= ready_at)))
  constraint a_withdrawn_key_is_retired CHECK (((withdrawn_at IS NULL) OR (retires_at = withdrawn_at)))
  constraint algorithm_is_known CHECK ((algorithm = ANY (ARRAY['RS256'::text, 'PS256'::text, 'ES256'::text, 'EdDSA'::text])))
  constraint retirement_follows_honour CHECK (((retires_at IS NULL) OR ((honoured_at IS NOT NULL) AND (retires_at >= honoured_at))))
  constraint signing_key_pkey PRIMARY KEY (kid)
  CREATE UNIQUE INDEX one_current_key_for_each_algorithm ON public.signing_key USING btree (algorithm) WHERE ((activates_at IS NOT NULL) AND (honoured_at IS NULL))
  CREATE UNIQUE INDEX one_standby_for_each_algorithm ON public.signing_key USING btree (algorithm) WHERE ((activates_at IS NULL) AND (retires_at IS NULL))
  CREATE INDEX signing_key_by_algorithm ON public.signing_key USING btree (algorithm, activates_at)
  CREATE UNIQUE INDEX signing_key_pkey ON public.signing_key USING btree (kid)
table signing_key_basis -- owner: keyring; which metadata and trust file were in force from when on while a key was active
  kid text not null
  since timestamp with time zone not null
  metadata text not null
  trust_version text not null
  constraint signing_key_basis_kid_fkey FOREIGN KEY (kid) REFERENCES signing_key(kid)
  constraint signing_key_basis_pkey PRIMARY KEY (kid, since)
  CREATE UNIQUE INDEX signing_key_basis_pkey ON public.signing_key_basis USING btree (kid, since)
table trust_file -- owner: fleet; every trust file that was in force, as it was written; the newest is in force
  id bigint not null
  version text not null
  content text not null
  applied_at timestamp with time zone not null
  applied_by text not null
  constraint trust_file_pkey PRIMARY KEY (id)
  CREATE UNIQUE INDEX trust_file_pkey ON public.trust_file USING btree (id)
