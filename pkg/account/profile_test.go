package account

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

const whole = `{"given_name":"Ada","family_name":"Lovelace","middle_name":"King","nickname":"Enchantress","profile":"https://people.example/ada",
	"picture":"https://people.example/ada.png","website":"https://ada.example","gender":"female","birthdate":"1815-12-10","zoneinfo":"Europe/London","locale":"en-GB",
	"email":"ada@example.com","email_verified":true,"phone_number":"+442071838750","phone_number_verified":false,
	"address":{"street_address":"12 St James's Square","locality":"London","country":"UK"}}`

func TestProfilesHoldStandardClaimsAlone(t *testing.T) {
	p, err := ParseProfile([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		scopes []string
		want   string
	}{
		{nil, ""},
		{[]string{"openid", "offline_access"}, ""},
		{[]string{"email"}, "email email_verified"},
		{[]string{"phone"}, "phone_number phone_number_verified"},
		{[]string{"address"}, "address"},
		{[]string{"profile"}, "birthdate family_name gender given_name locale middle_name nickname picture profile website zoneinfo"},
	} {
		if diff := cmp.Diff(tt.want, strings.Join(p.For(tt.scopes).Claims(), " ")); diff != "" {
			t.Errorf("%v:\n%s", tt.scopes, diff)
		}
	}
	unsaid, err := ParseProfile([]byte(`{"email":"a@b.example"}`))
	if v := unsaid.For([]string{"email"}).EmailVerified; err != nil || v == nil || *v {
		t.Errorf("an address that nobody verified: %v %v", v, err)
	}
	for _, bad := range []string{`{"sub":"x"}`, `{"name":"x"}`, `{"acr":"phrh"}`, `{"authenticator_attestation":["hardware"]}`, `{"email":"Ada <a@b.example>"}`, `{"email":"ada"}`,
		`{"picture":"javascript:alert(1)"}`, `{"website":"https://u@x.example"}`, `{"birthdate":"10.12.1815"}`, `{"birthdate":"1815-13-10"}`, `{"phone_number":"020 7183 8750"}`, `{"locale":"en_GB"}`,
		`{"zoneinfo":"../x"}`, `{"nickname":"a\u0000b"}`, `{"gender":"` + strings.Repeat("x", 600) + `"}`, `{"address":{"street":"x"}}`, `{"address":{"region":"` + strings.Repeat("x", 600) + `"}}`, `[]`, ``} {
		if _, err := ParseProfile([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestAProfileIsReplacedWhole(t *testing.T) {
	pool := pgtest.New(t)
	u, _ := invited(t, pool, "ada")
	p, err := ParseProfile([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	set := func(id ID, p Profile) error {
		_, err := do(t, pool, func(tx pgx.Tx) (any, error) { return nil, SetProfile(t.Context(), tx, at, id, p) })
		return err
	}
	if err := set(u.ID, p); err != nil {
		t.Fatal(err)
	}
	got, err := ProfileOf(t.Context(), pool, u.ID)
	p.UpdatedAt = at.Unix()
	if diff := cmp.Diff(p, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := set(u.ID, Profile{}); err != nil {
		t.Fatal(err)
	}
	got, err = ProfileOf(t.Context(), pool, u.ID)
	if text, _ := json.Marshal(got); err != nil || string(text) != `{"updated_at":1800000000}` {
		t.Errorf("%s %v", text, err)
	}
	if err := set("nobody", Profile{}); !denial.Is(err, denial.UserUnknown) {
		t.Errorf("nobody: %v", err)
	}
}
