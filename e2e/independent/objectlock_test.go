package independent

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// The store's owner, who is the one to be kept from changing what is locked.
const (
	ownerID     = "owner"
	ownerSecret = "the owner of the store"
	region      = "us-east-1"
)

// store is a gateway that speaks S3 over a folder.
type store struct {
	testing.TB
	at string
}

// home is the store's folder, address where it listens. There is one store for
// all tests: the gateway allows no more in a process.
var (
	home    string
	address = sync.OnceValues(serve)
)

func TestMain(m *testing.M) {
	code := m.Run()
	if home != "" {
		os.RemoveAll(home)
	}
	os.Exit(code)
}

// serve starts the gateway, for as long as the process lives. It goes to its
// folder, so whatever looks where the process is must have done so before.
func serve() (string, error) {
	var err error
	if home, err = os.MkdirTemp("", "touchstone-store-"); err != nil {
		return "", err
	}
	for _, dir := range []string{"root", "versions", "attributes"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			return "", err
		}
	}
	attributes, err := meta.NewSideCar(filepath.Join(home, "attributes"))
	if err != nil {
		return "", err
	}
	back, err := posix.New(filepath.Join(home, "root"), attributes, posix.PosixOpts{VersioningDir: filepath.Join(home, "versions"), SideCarDir: filepath.Join(home, "attributes")})
	if err != nil {
		return "", err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	at := free.Addr().String()
	free.Close()
	stopped := make(chan error, 1)
	go func() {
		stopped <- embedgw.RunVersityGW(context.Background(), back, &embedgw.Config{RootUserAccess: ownerID, RootUserSecret: ownerSecret, Region: region, Ports: []string{at}, Quiet: true, MaxConnections: 64, MaxRequests: 64, MultipartMaxParts: 1000})
	}()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			return "http://" + at, conn.Close()
		}
		select {
		case err := <-stopped:
			return "", fmt.Errorf("the store stopped at its start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return "", errors.New("the store does not answer")
}

func newStore(t testing.TB) store {
	t.Helper()
	at, err := address()
	if err != nil {
		t.Fatal(err)
	}
	return store{t, at}
}

// ask sends a request as the store's owner.
func (s store) ask(method, path, body string, header ...string) (int, string, http.Header) {
	s.Helper()
	r, err := http.NewRequest(method, s.at+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sum, check := sha256.Sum256([]byte(body)), md5.Sum([]byte(body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	r.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(check[:]))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: ownerID, SecretAccessKey: ownerSecret}, r, hex.EncodeToString(sum[:]), "s3", region, time.Now()); err != nil {
		s.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// bucket makes a bucket and returns it as an anchor.
func (s store) bucket(name string, header ...string) audit.ObjectLockAnchor {
	s.Helper()
	if status, text, _ := s.ask(http.MethodPut, "/"+name, "", header...); status != http.StatusOK {
		s.Fatalf("make bucket: %d %s", status, text)
	}
	return audit.ObjectLockAnchor{URL: s.at + "/" + name + "/record", Region: region, KeyID: ownerID, Secret: secret.Of(ownerSecret), Keep: 24 * time.Hour, Client: http.DefaultClient, Now: time.Now}
}

func TestALockedCheckpointOutlivesTheStoresOwner(t *testing.T) {
	w := newWorld(t)
	s := newStore(t)
	locked := s.bucket("locked", "X-Amz-Bucket-Object-Lock-Enabled", "true")
	first := w.grow(10)
	w.must(w.anchor(locked))
	second := w.grow(5)
	w.must(w.anchor(locked))
	_, err := locked.Put(t.Context(), 15, second) // as after a crash before it was noted
	w.must(err)

	// Whoever owns log, database and store tries to take the newest back.
	path := "/locked/record/checkpoint-000000000015"
	status, text, header := s.ask(http.MethodGet, path, "")
	if status != http.StatusOK || text != second {
		t.Fatalf("stored: %d %q", status, text)
	}
	version := header.Get("X-Amz-Version-Id")
	if version == "" {
		t.Fatal("the store gives no version")
	}
	shorter := fmt.Sprintf(`<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	weaker := strings.Replace(shorter, "COMPLIANCE", "GOVERNANCE", 1)
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
	}{
		{"removed", http.MethodDelete, path + "?versionId=" + version, "", nil},
		{"removed by force", http.MethodDelete, path + "?versionId=" + version, "", []string{"X-Amz-Bypass-Governance-Retention", "true"}},
		{"kept for less time", http.MethodPut, path + "?retention=&versionId=" + version, shorter, nil},
		{"kept in a weaker way", http.MethodPut, path + "?retention=&versionId=" + version, weaker, []string{"X-Amz-Bypass-Governance-Retention", "true"}},
		{"the bucket removed", http.MethodDelete, "/locked", "", nil},
	} {
		if status, text, _ := s.ask(tt.method, tt.path, tt.body, tt.header...); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", tt.name, status, text)
		}
	}
	// A marker or another object may cover it; the version itself stays.
	s.ask(http.MethodDelete, path, "")
	s.ask(http.MethodPut, path, first)
	status, kept, _ := s.ask(http.MethodGet, path+"?versionId="+version, "")
	if status != http.StatusOK || kept != second {
		t.Fatalf("the locked version: %d %q", status, kept)
	}

	// The record is cut and made anew over the rest, whole in itself.
	w.rewrite(5)
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 10 {
		t.Fatalf("the cut record is not whole, so the anchor proves nothing: %d, %v", n, err)
	}
	verifier, err := record.NewVerifier(w.key())
	w.must(err)
	c, err := record.OpenCheckpoint([]byte(kept), verifier)
	w.must(err)
	var export bytes.Buffer
	w.must(audit.Export(t.Context(), w.pool, &export, true))
	if _, err := record.VerifyExport(&export, []record.Checkpoint{c}); err == nil || !strings.Contains(err.Error(), "leaves 10 to 14: missing") {
		t.Errorf("a cut record: %v", err)
	}
}

func TestAnAnchorThatDoesNotHoldIsSaidToBeNone(t *testing.T) {
	w := newWorld(t)
	s := newStore(t)
	signed := w.grow(3)
	locked := s.bucket("again", "X-Amz-Bucket-Object-Lock-Enabled", "true")
	w.must(w.anchor(locked))
	w.rewrite(1)
	fork := w.grow(1) // three entries again
	stranger := locked
	stranger.Secret = secret.New()
	expired := locked
	expired.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	for _, tt := range []struct {
		name   string
		anchor audit.ObjectLockAnchor
		signed string
		want   string
	}{
		{"a fork", locked, fork, "the record was forked"},
		{"a bucket without lock", s.bucket("open"), signed, "object"},
		{"no such bucket", audit.ObjectLockAnchor{URL: s.at + "/missing", Region: region, KeyID: ownerID, Secret: secret.Of(ownerSecret), Keep: time.Hour, Client: http.DefaultClient, Now: time.Now}, signed, "answered 404"},
		{"another's credentials", stranger, signed, "answered 403"},
		{"a clock that is two days off", expired, signed, "answered 403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.anchor.Put(t.Context(), 3, tt.signed)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), ownerSecret) {
				t.Error("a secret stands in the error")
			}
		})
	}
}
