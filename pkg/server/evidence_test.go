package server

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/evidence"
)

// rewrite returns an archive in which one file was changed.
func rewrite(t *testing.T, archive []byte, name string, change func(string) string) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	found := false
	for _, f := range r.File {
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f.Name, name) {
			changed := change(string(text))
			found = found || changed != string(text)
			text = []byte(changed)
		}
		if len(text) == 0 {
			continue
		}
		to, err := w.Create(f.Name)
		if err == nil {
			_, err = to.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || !found {
		t.Fatalf("nothing changed in %s: %v", name, err)
	}
	return out.Bytes()
}

func TestOneTokenIsProvedYearsLater(t *testing.T) {
	w := newWatched(t, trustFile)
	b := w.keyed()
	_, got := b.token(redemption(b.code(request())))
	access := decode(t, got["access_token"].(string), 1)
	if _, err := w.server.sequencer.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	key, err := audit.Key(context.Background(), w.server.Pool)
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]string{"test": string(w.service.PEM())}
	collect := func(id string) ([]byte, error) {
		var archive bytes.Buffer
		err := evidence.Collect(context.Background(), w.server.Pool, &archive, w.http.URL, id, roots, time.Now())
		return archive.Bytes(), err
	}
	for _, id := range []string{access["jti"].(string), access["sid"].(string)} {
		archive, err := collect(id)
		if err != nil {
			t.Fatal(err)
		}
		var story bytes.Buffer
		if err := evidence.Verify(archive, key, &story); err != nil {
			t.Fatalf("%v\n%s", err, story.String())
		}
		for _, want := range []string{"Its model, Acme Key", "proved by metadata no. 1", "the level phrh", "session.signed_in, done", "credential.registered, done"} {
			if !strings.Contains(story.String(), want) {
				t.Errorf("the story lacks %q:\n%s", want, story.String())
			}
		}
	}
	archive, err := collect(access["jti"].(string))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(from, to string) func(string) string {
		return func(text string) string { return strings.Replace(text, from, to, 1) }
	}
	shift := func(member string) func(string) string {
		return func(text string) string {
			before, rest, _ := strings.Cut(text, `"`+member+`": "`)
			at, rest, _ := strings.Cut(rest, `"`)
			instant, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				t.Fatal(err)
			}
			return before + `"` + member + `": "` + instant.Add(-2*time.Minute).Format(time.RFC3339Nano) + `"` + rest
		}
	}
	for _, tt := range []struct {
		name, file string
		change     func(string) string
		want       string
	}{
		{"another trust file", "trust.yaml", swap("path: /other", "path: /others"), "has version"},
		{"no trust file", "trust.yaml", func(string) string { return "" }, "trust file"},
		{"an altered BLOB", "metadata/", func(text string) string { return text[:len(text)-12] + "AAAAAAAAAAAA" }, "metadata of test"},
		{"a fact more", "manifest.json", swap(`"authenticator_attestation": [`, `"authenticator_attestation": ["fips140_l1",`), "the facts come out as"},
		{"another level", "manifest.json", swap(`"acr": "phrh"`, `"acr": "phr"`), "come out"},
		{"another challenge", "manifest.json", swap(`"challenge": "`, `"challenge": "A`), "do not verify"},
		{"another issuer", "manifest.json", swap(w.http.URL, "http://localhost:1"), "do not verify"},
		{"another time of sign-in", "manifest.json", swap(`"auth_time": "20`, `"auth_time": "19`), ""},
		{"an altered signature", "manifest.json", swap(`"signature": "`, `"signature": "AAAA`), "do not verify"},
		{"another attestation", "manifest.json", swap(`"attestation_object": "`, `"attestation_object": "AAAA`), "do not verify"},
		{"another client data", "manifest.json", swap(`"client_data": "`, `"client_data": "AAAA`), "do not verify"},
		{"another credential", "manifest.json", swap(`"credential_id": "`, `"credential_id": "AAAA`), "do not verify"},
		{"another person", "manifest.json", swap(`"user_handle": "`, `"user_handle": "AAAA`), "do not verify"},
		{"another time of registration", "manifest.json", shift("registered_at"), "proves the registration"},
		{"another minute of sign-in", "manifest.json", shift("auth_time"), "proves the sign-in"},
		{"minutes off in both", "manifest.json", func(text string) string { return shift("auth_time")(shift("registered_at")(text)) }, "no entry of the record proves"},
		{"another session", "manifest.json", swap(`"session": "`, `"session": "x`), "no entry of the record proves"},
		{"another metadata number", "manifest.json", swap(`"metadata": "1"`, `"metadata": "2"`), "metadata no. 1"},
		{"another root", "manifest.json", swap(`"roots": "-----BEGIN`, `"roots": "-----BEGAN`), "metadata of test"},
		{"another checkpoint", "entries/", swap(`/audit\n`, `/audit\n1`), "checkpoint"},
		{"another place", "entries/", swap(`"index":`, `"index":1`), "not in the log"},
		{"another person in an entry", "entries/", swap(`"personal":{"user_id":"`, `"personal":{"user_id":"x`), "personal part"},
		{"an altered entry", "entries/", swap(`"outcome":"done"`, `"outcome":"refused"`), "not the one that was logged"},
		{"no entries", "entries/", func(string) string { return "" }, "no entry of the record proves"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := evidence.Verify(rewrite(t, archive, tt.file, tt.change), key, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := evidence.Verify(archive, strings.Replace(key, "localhost", "elsewhere", 1), io.Discard); err == nil {
		t.Error("another log's key verifies")
	}
	if err := evidence.Verify([]byte("rubbish"), key, io.Discard); err == nil {
		t.Error("rubbish verifies")
	}
	if _, err := collect("nothing"); err != evidence.ErrUnknown {
		t.Errorf("unknown id: %v", err)
	}
	var manifest map[string]json.RawMessage
	r, _ := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	for _, f := range r.File {
		if f.Name == "manifest.json" {
			body, _ := f.Open()
			if json.NewDecoder(body).Decode(&manifest) != nil || strings.Contains(string(manifest["authentication"]), got["refresh_token"].(string)) {
				t.Error("the manifest cannot be read, or holds a secret")
			}
		}
	}
}
