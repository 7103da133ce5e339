//go:build cgo

package hsm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

// softHSM makes a token in a directory of its own and returns its URI without
// the object. The module reads its configuration from the environment once, so
// that one test binary has one directory.
func softHSM(t *testing.T) string {
	t.Helper()
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	dir := t.TempDir()
	tokens, config, pin := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	for _, err := range []error{os.Mkdir(tokens, 0o700), os.WriteFile(config, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600), os.WriteFile(pin, []byte("87654321\n"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "touchstone", "--pin", "87654321", "--so-pin", "12345678").CombinedOutput()
	if err != nil {
		t.Fatalf("this test needs SoftHSM (Debian package softhsm2): %v\n%s", err, out)
	}
	return Scheme + "token=touchstone;object=%?module-path=" + module + "&pin-source=file:" + pin
}

func TestSealingInAModule(t *testing.T) {
	address := softHSM(t)
	first, second := strings.Replace(address, "%", "first", 1), strings.Replace(address, "%", "second", 1)
	// First, because a module logs a process in once.
	path := address[strings.LastIndex(address, "file:")+len("file:"):]
	write := func(pin string) {
		if err := os.WriteFile(path, []byte(pin), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("00000000")
	if _, err := Open(first); err == nil || strings.Contains(err.Error(), "00000000") {
		t.Fatalf("a wrong PIN: %v", err)
	}
	write("87654321")
	if _, err := Open(first); err == nil || !strings.Contains(err.Error(), "holds 0 secret keys") {
		t.Fatalf("a key that is not there: %v", err)
	}
	for _, uri := range []string{first, second} {
		if err := Create(uri); err != nil {
			t.Fatal(err)
		}
	}
	if err := Create(first); err == nil || !strings.Contains(err.Error(), "already") {
		t.Error("a key was made in place of another")
	}
	one, two := opened(t, first), opened(t, second)
	t.Run("seal and open", func(t *testing.T) { sealAndOpen(t, one, two) })
	t.Run("many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				sealed, err := one.Seal([]byte("secret"), "kid")
				if plain, err2 := one.Open(sealed, "kid"); err != nil || err2 != nil || string(plain) != "secret" {
					t.Errorf("%q %v %v", plain, err, err2)
				}
			})
		}
		all.Wait()
	})
	t.Run("a ring", func(t *testing.T) { ring(t, one, two) })
}

func opened(t *testing.T, uri string) *Sealer {
	t.Helper()
	s, err := Open(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sealAndOpen(t *testing.T, one, two *Sealer) {
	plain := bytes.Repeat([]byte("private key "), 100)
	sealed, err := one.Seal(plain, "kid")
	if err != nil || bytes.Contains(sealed, []byte("private key")) {
		t.Fatalf("sealed %v", err)
	}
	if again, _ := one.Seal(plain, "kid"); bytes.Equal(again, sealed) {
		t.Error("the same nonce twice")
	}
	if got, err := one.Open(sealed, "kid"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened %q, %v", got, err)
	}
	bent := bytes.Clone(sealed)
	bent[len(bent)/2] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"for another context": func() ([]byte, error) { return one.Open(sealed, "other") },
		"with another key":    func() ([]byte, error) { return two.Open(sealed, "kid") },
		"altered":             func() ([]byte, error) { return one.Open(bent, "kid") },
		"cut":                 func() ([]byte, error) { return one.Open(sealed[:len(sealed)-1], "kid") },
		"nearly nothing":      func() ([]byte, error) { return one.Open(sealed[:5], "kid") },
		"nothing":             func() ([]byte, error) { return one.Open(nil, "kid") },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opened %q", name, got)
		}
	}
}

// ring moves a ring of signing keys from a local sealing key into the module,
// and from there to another key of it.
func ring(t *testing.T, one, two *Sealer) {
	pool := pgtest.New(t)
	local, err := keyring.NewLocalSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	var token string
	before := keyring.Sealer(local)
	for i, sealer := range []keyring.Sealer{local, one, two} {
		r, err := keyring.Open(t.Context(), keyring.Options{Pool: pool, Log: audit.New(pool), Sealer: sealer, Previous: []keyring.Sealer{before}, Algorithms: []keyring.Algorithm{keyring.ES256}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if token, err = r.Sign(keyring.ES256, "at+jwt", "mine"); err != nil {
				t.Fatal(err)
			}
		} else if n, err := r.Reseal(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d keys were resealed, %v", n, err)
		}
		if _, err := r.Verify(token, "at+jwt"); err != nil {
			t.Errorf("under %s: %v", sealer.Name(), err)
		}
		before = sealer
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Pool: pool, Log: audit.New(pool), Sealer: one}); err == nil || !strings.Contains(err.Error(), "sealed under") {
		t.Errorf("with the sealing key before: %v", err)
	}
}

func TestURI(t *testing.T) {
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, wrong string }{
		{"whole", "pkcs11:token=my%20token;object=o?module-path=/m.so&pin-source=file:" + pin, ""},
		{"PIN source without scheme", "pkcs11:token=t;object=o?module-path=/m.so&pin-source=" + pin, ""},
		{"another scheme", "file:token=t", "not a PKCS #11 URI"},
		{"PIN on the command line", "pkcs11:token=t;object=o?module-path=/m.so&pin-value=1234", "use pin-source"},
		{"no token", "pkcs11:object=o?module-path=/m.so&pin-source=" + pin, "token is required"},
		{"unknown attribute", "pkcs11:token=t;object=o;slot-id=1?module-path=/m.so&pin-source=" + pin, "unknown attribute"},
		{"bad escape", "pkcs11:token=%zz;object=o?module-path=/m.so&pin-source=" + pin, "percent-encoded"},
		{"no PIN file", "pkcs11:token=t;object=o?module-path=/m.so&pin-source=file:/nowhere", "PIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := parse(tt.text)
			if tt.wrong == "" && (err != nil || u.pin.Reveal() != "1234" || strings.Contains(u.name(), "1234")) {
				t.Errorf("%+v %v", u, err)
			}
			if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), "1234")) {
				t.Errorf("%v, want %q", err, tt.wrong)
			}
		})
	}
}
