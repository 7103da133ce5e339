package passkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

func TestOptionsAskForEverythingThatIsChecked(t *testing.T) {
	w := newWorld(t)
	w.enrolled()
	var o struct {
		RP          struct{ ID string }
		User        struct{ ID string }
		Timeout     int
		Attestation string
		Parameters  []struct{ Alg int }                            `json:"pubKeyCredParams"`
		Selection   struct{ ResidentKey, UserVerification string } `json:"authenticatorSelection"`
		Exclude     []struct{ ID string }                          `json:"excludeCredentials"`
		Extensions  struct{ CredProps bool }
	}
	if err := json.Unmarshal(w.offerRegistration().Options, &o); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", o)
	for _, want := range []string{"RP:{ID:idp.test}", "User:{ID:" + base64.RawURLEncoding.EncodeToString(w.user.Handle) + "}", "Timeout:300000", "Attestation:direct",
		"Parameters:[{Alg:-7} {Alg:-8} {Alg:-257}]", "Selection:{ResidentKey:required UserVerification:required}", "CredProps:true"} {
		if !strings.Contains(got, want) {
			t.Errorf("options %s, want %s", got, want)
		}
	}
	if len(o.Exclude) != 1 {
		t.Errorf("%d excluded, want 1", len(o.Exclude))
	}
}

func TestFactsFollowTheEvidence(t *testing.T) {
	proved := []claim.Fact{"attested", "device_bound", "fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "hardware", "metadata_current", "secure_element", "uv"}
	hardware := []string{"pop", "user", "hwk", "mfa"}
	unknown := []string{"pop", "user", "mfa"}
	w := newWorld(t)
	middle, err := w.vendor.Intermediate("Vendor middle")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		authenticator *passkeytest.Authenticator
		status        string // of the model in the metadata; empty for no metadata
		want          []claim.Fact
		amr           []string
	}{
		{"no attestation, certified AAGUID claimed", &passkeytest.Authenticator{AAGUID: model}, "UPDATE_AVAILABLE", []claim.Fact{"device_bound", "uv"}, unknown},
		{"self attestation, certified AAGUID claimed", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestSelf}, "UPDATE_AVAILABLE", []claim.Fact{"device_bound", "uv"}, unknown},
		{"U2F statement, certified AAGUID and UV claimed", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestU2F, CA: w.vendor}, "UPDATE_AVAILABLE", []claim.Fact{"device_bound", "uv"}, unknown},
		{"attested, hardware, certified", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested through an intermediate", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: middle}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested by a TPM", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestTPM, CA: w.vendor, Attachment: "platform", Transports: []string{"internal"}}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested by one part of a compound statement", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestCompound, CA: w.vendor}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested, Ed25519 key", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor, Algorithm: passkeytest.EdDSA}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested, RSA key", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor, Algorithm: passkeytest.RS256}, "UPDATE_AVAILABLE", proved, hardware},
		{"attested by another CA of the same name", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.ca("Vendor root")}, "UPDATE_AVAILABLE", []claim.Fact{"device_bound", "uv"}, unknown},
		{"attested, model unlisted", &passkeytest.Authenticator{AAGUID: [16]byte{9}, Attestation: passkeytest.AttestPacked, CA: w.vendor}, "UPDATE_AVAILABLE", []claim.Fact{"device_bound", "uv"}, unknown},
		{"attested, model revoked", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}, "REVOKED", []claim.Fact{"attested", "device_bound", "hardware", "secure_element", "uv"}, hardware},
		{"attested, no metadata", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}, "", []claim.Fact{"device_bound", "uv"}, unknown},
		{"synced", &passkeytest.Authenticator{Synced: true}, "", []claim.Fact{"uv"}, []string{"pop", "user", "swk", "mfa"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorldLike(t, w)
			if tt.status != "" {
				w.trustModel(tt.status, w.vendor.Certificate)
			}
			c, err := w.register(tt.authenticator)
			if err != nil {
				t.Fatal(err)
			}
			p, err := w.login(tt.authenticator)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal([]claim.Fact(p.Facts), tt.want) || !slices.Equal(p.AMR, tt.amr) {
				t.Errorf("facts %v, amr %v; want %v, %v", p.Facts, p.AMR, tt.want, tt.amr)
			}
			if stored := append(slices.Clone(c.Facts), claim.FactUV); !slices.Equal([]claim.Fact(stored), tt.want) {
				t.Errorf("facts at registration %v, want all but uv of %v", c.Facts, tt.want)
			}
			if attested := p.Facts.Has(claim.FactAttested); attested != (p.AAGUID != "") || attested != (p.Model == "Acme Key") || p.Model != c.Model {
				t.Errorf("attested %v but AAGUID %q, model %q, then %q", attested, p.AAGUID, p.Model, c.Model)
			}
			if p.User.ID != w.user.ID || p.Credential.ID != c.ID {
				t.Errorf("proved %s of %s, want %s of %s", p.Credential.ID, p.User.ID, c.ID, w.user.ID)
			}
		})
	}
}

func TestDishonestRegistrations(t *testing.T) {
	w := newWorld(t)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	type lie = passkeytest.Lie
	for _, tt := range []struct {
		name string
		kind passkeytest.Attestation
		lie  lie
		want denial.Reason
	}{
		{"longer host", passkeytest.AttestPacked, lie{Origin: "https://idp.test.evil.test"}, denial.OriginMismatch},
		{"host with our suffix", passkeytest.AttestPacked, lie{Origin: "https://evilidp.test"}, denial.OriginMismatch},
		{"subdomain", passkeytest.AttestPacked, lie{Origin: "https://sub.idp.test"}, denial.OriginMismatch},
		{"other port", passkeytest.AttestPacked, lie{Origin: "https://idp.test:8443"}, denial.OriginMismatch},
		{"plain http", passkeytest.AttestPacked, lie{Origin: "http://idp.test"}, denial.OriginMismatch},
		{"user information", passkeytest.AttestPacked, lie{Origin: "https://idp.test@evil.test"}, denial.OriginMismatch},
		{"null origin", passkeytest.AttestPacked, lie{Origin: "null"}, denial.OriginMismatch},
		{"cross-origin frame", passkeytest.AttestPacked, lie{CrossOrigin: true}, denial.OriginMismatch},
		{"top origin alone", passkeytest.AttestPacked, lie{TopOrigin: origin}, denial.OriginMismatch},
		{"other RP", passkeytest.AttestPacked, lie{RPID: "evil.test"}, denial.ResponseInvalid},
		{"other challenge", passkeytest.AttestPacked, lie{Challenge: strings.Repeat("A", 43)}, denial.ResponseInvalid},
		{"assertion's client data", passkeytest.AttestPacked, lie{Type: "webauthn.get"}, denial.ResponseInvalid},
		{"person not present", passkeytest.AttestPacked, lie{NoUP: true}, denial.ResponseInvalid},
		{"person not verified", passkeytest.AttestPacked, lie{NoUV: true}, denial.UserVerificationMissing},
		{"backed up without being eligible", passkeytest.AttestPacked, lie{ImpossibleBackup: true}, denial.ResponseInvalid},
		{"not discoverable", passkeytest.AttestPacked, lie{NoResidentKey: true}, denial.NotDiscoverable},
		{"broken packed statement", passkeytest.AttestPacked, lie{BreakSignature: true}, denial.AttestationInvalid},
		{"broken self attestation", passkeytest.AttestSelf, lie{BreakSignature: true}, denial.AttestationInvalid},
		{"broken U2F statement", passkeytest.AttestU2F, lie{BreakSignature: true}, denial.AttestationInvalid},
		{"broken TPM statement", passkeytest.AttestTPM, lie{BreakSignature: true}, denial.AttestationInvalid},
		{"broken compound statement", passkeytest.AttestCompound, lie{BreakSignature: true}, denial.AttestationInvalid},
		{"AAGUID differs from the certificate", passkeytest.AttestPacked, lie{CertifiedAAGUID: make([]byte, 16)}, denial.AttestationInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.on(t)
			c, err := w.register(&passkeytest.Authenticator{AAGUID: model, Attestation: tt.kind, CA: w.vendor, Lie: tt.lie})
			w.wantReason(err, tt.want)
			if !Consumed(err) || c.UserID != w.user.ID {
				t.Errorf("the refusal would be recorded: %v, of %q", Consumed(err), c.UserID)
			}
			if n := len(w.passkeys()); n != 0 {
				t.Errorf("stored %d passkeys", n)
			}
		})
	}
}

func TestOnlyOfferedAlgorithmsAreAccepted(t *testing.T) {
	w := newWorld(t)
	_, err := w.register(&passkeytest.Authenticator{Algorithm: passkeytest.ES384})
	w.wantReason(err, denial.AlgorithmNotOffered)
}

func TestRSAKeysHaveAReasonableSize(t *testing.T) {
	for _, tt := range []struct {
		bits int
		want denial.Reason
	}{{1024, denial.AlgorithmNotOffered}, {2040, denial.AlgorithmNotOffered}, {2048, ""}, {4096, ""}, {4104, denial.AlgorithmNotOffered}, {16384, denial.AlgorithmNotOffered}} {
		t.Run(fmt.Sprint(tt.bits), func(t *testing.T) {
			padded := append([]byte{0, 0}, bytes.Repeat([]byte{0xff}, tt.bits/8)...) // leading zeros are not size
			cose, err := cbor.Marshal(map[int]any{1: 3, 3: -257, -1: padded, -2: []byte{1, 0, 1}})
			if err != nil {
				t.Fatal(err)
			}
			algorithm, err := checkKey(cose)
			if reason, _ := denial.ReasonOf(err); reason != tt.want || err == nil && algorithm != -257 {
				t.Errorf("algorithm %d, %v, want %q", algorithm, err, tt.want)
			}
		})
	}
}

func TestTamperedAnswersAreMalformed(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		edit func(response []byte) []byte
	}{
		{"nothing", func([]byte) []byte { return nil }},
		{"null", func([]byte) []byte { return []byte("null") }},
		{"a list", func([]byte) []byte { return []byte("[]") }},
		{"cut", func(r []byte) []byte { return r[:len(r)/2] }},
		{"more than a document", func(r []byte) []byte { return append(r, r...) }},
		{"too long", func(r []byte) []byte { return append(r, bytes.Repeat([]byte(" "), MaxResponse)...) }},
		{"very deep", func([]byte) []byte {
			return []byte(`{"id":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`)
		}},
		{"no attestation object", func(r []byte) []byte { return bytes.Replace(r, []byte("attestationObject"), []byte("other"), 1) }},
		{"rawId differs", func(r []byte) []byte { return bytes.Replace(r, []byte(`"rawId":"`), []byte(`"rawId":"AAAA`), 1) }},
		{"another type", func(r []byte) []byte { return bytes.Replace(r, []byte("public-key"), []byte("password"), 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.on(t)
			p := w.answerRegistration(&passkeytest.Authenticator{})
			p.Response = tt.edit(p.Response)
			_, err := w.accept(p)
			w.wantReason(err, denial.ResponseMalformed)
		})
	}
	if n := len(w.passkeys()); n != 0 {
		t.Errorf("stored %d passkeys", n)
	}
}

func TestHostileTransportsAreDropped(t *testing.T) {
	w := newWorld(t)
	many := slices.Repeat([]string{"usb", "\x00", "Ü", strings.Repeat("a", 33), "a-new-one"}, 20)
	c, err := w.register(&passkeytest.Authenticator{Transports: many, Attachment: "\x00"})
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Repeat([]string{"usb", "a-new-one"}, 4); !slices.Equal(c.Transports, want) || c.Attachment != "" {
		t.Errorf("kept %q, attachment %q, want %q", c.Transports, c.Attachment, want)
	}
}

func TestCredentialIDsAreRegisteredOnce(t *testing.T) {
	w := newWorld(t)
	a, first := w.enrolled()
	if _, err := a.Create(w.offerRegistration().Options, origin); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("an honest second registration = %v, want it excluded", err)
	}
	var id []byte
	if err := w.pool.QueryRow(context.Background(), `select credential_id from credential where id = $1`, first.ID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	// A browser that ignores the exclusion list, and somebody who claims another person's credential.
	for _, user := range []string{"ada", "eve"} {
		if user == "eve" {
			w.user = w.person("eve")
		}
		_, err := w.register(&passkeytest.Authenticator{Lie: passkeytest.Lie{CredentialID: id}})
		w.wantReason(err, denial.CredentialRegistered)
	}
	if p, err := w.login(a); err != nil || p.User.Name != "ada" {
		t.Errorf("the first credential signs in %q, %v", p.User.Name, err)
	}
}

func TestSuspendedPeopleRegisterNothing(t *testing.T) {
	w := newWorld(t)
	p := w.answerRegistration(&passkeytest.Authenticator{})
	w.suspend()
	_, err := w.accept(p)
	w.wantReason(err, denial.UserSuspended)
}

func TestEvidenceIsStoredWhole(t *testing.T) {
	w := newWorld(t)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	a := &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	p := w.answerRegistration(a)
	var sent struct {
		ID       string
		Response struct{ ClientDataJSON, AttestationObject string }
	}
	if err := json.Unmarshal(p.Response, &sent); err != nil {
		t.Fatal(err)
	}
	c, err := w.accept(p)
	if err != nil {
		t.Fatal(err)
	}
	var object, client, id []byte
	var chain [][]byte
	var algorithm, flags, number int
	var kind, handle string
	err = w.pool.QueryRow(context.Background(), `
		select attestation_object, client_data, credential_id, chain, algorithm, flags, metadata_number, attestation_type, authenticator_id from credential where id = $1`, c.ID).
		Scan(&object, &client, &id, &chain, &algorithm, &flags, &number, &kind, &handle)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	if b64(object) != sent.Response.AttestationObject || b64(client) != sent.Response.ClientDataJSON || b64(id) != sent.ID {
		t.Error("the evidence is not stored byte for byte")
	}
	if len(chain) != 1 || algorithm != passkeytest.ES256 || flags != 0x45 || number != 7 || kind != "basic_full" {
		t.Errorf("%d certificates, algorithm %d, flags %#x, metadata %d, type %s", len(chain), algorithm, flags, number, kind)
	}
	if handle != c.AuthenticatorID || strings.Contains(handle, sent.ID) || len(handle) < 22 {
		t.Errorf("authenticator id %q of credential %q", handle, sent.ID)
	}
}

func TestNicknames(t *testing.T) {
	const chromium = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	for _, tt := range []struct {
		name       string
		credential Credential
		userAgent  string
		taken      []string
		want       string
	}{
		{"proven model", Credential{Model: "Acme Key", Transports: []string{"usb"}}, chromium, nil, "Acme Key"},
		{"second of a model", Credential{Model: "Acme Key"}, "", []string{"Acme Key", "Acme Key 2"}, "Acme Key 3"},
		{"removable", Credential{Transports: []string{"nfc"}}, chromium, nil, "Security key"},
		{"removable, transports unknown", Credential{Attachment: "cross-platform"}, chromium, nil, "Security key"},
		{"phone beside the computer", Credential{Attachment: "cross-platform", Transports: []string{"hybrid", "internal"}}, chromium, nil, "Passkey on Chrome, Linux"},
		{"Edge", Credential{}, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", nil, "Passkey on Edge, Windows"},
		{"Safari", Credential{}, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1", nil, "Passkey on Safari, iPhone"},
		{"unknown browser", Credential{}, "curl/8.0", nil, "Passkey"},
		{"unknown browser again", Credential{}, "", []string{"Passkey"}, "Passkey 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := distinct(nickname(tt.credential, tt.userAgent), tt.taken); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSecondPasskeyOfAKindGetsAnotherName(t *testing.T) {
	w := newWorld(t)
	_, first := w.enrolled()
	_, second := w.enrolled()
	if first.Nickname != "Security key" || second.Nickname != "Security key 2" {
		t.Errorf("nicknames %q and %q", first.Nickname, second.Nickname)
	}
}
