package fleet

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/passkey"
)

// real returns one of the FIDO Alliance's BLOBs, as believed at an instant.
func real(t *testing.T, number int, at time.Time) *mds.Set {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("../attest/mds/testdata/mds3-no%d.jwt.gz", number))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	set, err := mds.Parse(blob, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestAFleetFromOneRealBLOBToTheNext has one passkey of every model that the
// BLOB of December 2023 lists, proved by the model's own anchor, and brings the
// BLOB of December 2024 into force.
func TestAFleetFromOneRealBLOBToTheNext(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)
	old, ctx := real(t, 50, w.now), context.Background()
	w.trust("metadata: {consequences: {REVOKED: suspend}}\n")
	w.basis.Metadata, w.basis.MetadataVersion = old, "no. 50"
	template := w.enrolAny()
	batch := &pgx.Batch{}
	for i, e := range old.Entries() {
		if len(e.Roots) == 0 {
			continue
		}
		batch.Queue(`
			insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type, attestation_object, client_data,
				chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, facts, model, created_at)
			select gen_random_uuid(), user_id, rp_id, $2, public_key, algorithm, $3, $4, $5, 'packed', 'basic_full', attestation_object, client_data,
				$6, transports, attachment, flags, false, false, true, 0, '{}', '', $7 from credential where id = $1`,
			template.ID, []byte(e.AAGUID), e.AAGUID, fmt.Sprint("key ", i), e.AAGUID, [][]byte{e.Roots[0].Raw}, w.now.AddDate(0, 0, -1))
	}
	w.must(w.pool.SendBatch(ctx, batch).Close())
	w.pass()
	before := w.fleet()

	w.now = time.Date(2024, 12, 21, 0, 0, 0, 0, time.UTC)
	w.basis.Metadata, w.basis.MetadataVersion = real(t, 122, w.now), "no. 122"
	w.pass()
	after := w.fleet()

	var suspended, certified, anchorless []string
	for id, was := range before {
		is := after[id]
		if is.Quarantined {
			suspended = append(suspended, was.Model)
		}
		if !slices.Contains(was.Facts, "fido_certified") && slices.Contains(is.Facts, "fido_certified") {
			certified = append(certified, is.Model)
		}
		if slices.Contains(was.Facts, "attested") && !slices.Contains(is.Facts, "attested") {
			anchorless = append(anchorless, was.Model)
		}
	}
	for _, tt := range []struct {
		name string
		got  []string
		want []string
	}{
		{"revoked in between, and suspended by the trust file", suspended, wantSuspended},
		{"certified since", certified, wantCertified},
		{"no longer proved, for the vendor replaced the anchor", anchorless, wantAnchorless},
	} {
		slices.Sort(tt.got)
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, tt.got, tt.want)
		}
	}
	// The plan had said so.
	impact, err := Plan(ctx, w.pool, Basis{old, "no. 50", w.basis.Trust}, w.basis, w.now)
	w.must(err)
	var planned []string
	for _, c := range impact.Changes {
		if slices.Contains(c.Lost, "attested") {
			planned = append(planned, before[c.AuthenticatorID].Model)
		}
	}
	if !slices.Equal(planned, wantAnchorless) {
		t.Errorf("planned %q", planned)
	}
}

// enrolAny gives somebody a passkey whose row others are modelled on.
func (w *world) enrolAny() passkey.Credential {
	now, basis := w.now, w.basis
	w.now = time.Now()
	defer func() { w.now, w.basis = now, basis }()
	return w.enrol("collector", w.key(acme))
}

// fleet returns every passkey by its handle.
func (w *world) fleet() map[string]passkey.Kept {
	w.Helper()
	all := map[string]passkey.Kept{}
	for from := passkey.First; ; {
		kept, err := passkey.Stored(context.Background(), w.pool, from, batch)
		w.must(err)
		if len(kept) == 0 {
			return all
		}
		from = kept[len(kept)-1].ID
		for _, k := range kept {
			all[k.AuthenticatorID] = k
		}
	}
}

// What happened to models between the two BLOBs, as touchstone mds diff tells it.
var (
	wantSuspended  = []string{"TruU Windows Authenticator"}
	wantCertified  = []string{"OpenSK authenticator", "Swissbit iShield Key FIDO2", "TOKEN2 PIN Plus Security Key Series "}
	wantAnchorless = []string{"Allthenticator App: roaming BLE FIDO2 Allthenticator for Windows, Mac, Linux, and Allthenticate door readers"}
)
