package audit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// maxCheckpoint bounds a checkpoint that an object store gives back, in bytes.
const maxCheckpoint = 64 << 10

// ObjectLockAnchor puts each checkpoint under a name of its own into an
// S3-compatible object store, locked in compliance mode: until its time has come
// nobody can change or remove that version, the owner of the bucket included. The
// bucket must have object lock. What is there is read back, with its lock: a
// store that only ignored the wish would be no anchor.
type ObjectLockAnchor struct {
	// URL is the bucket's, in path style, with a prefix when there is one, such as
	// https://s3.eu-central-1.amazonaws.com/bucket/record.
	URL, Region string
	// KeyID, Secret and Session are the credentials; Session may be empty.
	KeyID           string
	Secret, Session secret.Value
	// Keep is how long a checkpoint is locked.
	Keep   time.Duration
	Client *http.Client
	Now    func() time.Time
}

var _ Anchor = ObjectLockAnchor{}

// Name is the bucket's address.
func (a ObjectLockAnchor) Name() string { return "s3 " + a.URL }

// Put stores the checkpoint under the size of its log, unless something is there,
// and compares what is there then. Another checkpoint of the same size is a fork.
func (a ObjectLockAnchor) Put(ctx context.Context, size int64, signed string) (string, error) {
	at := fmt.Sprintf("%s/checkpoint-%012d", strings.TrimSuffix(a.URL, "/"), size)
	sum := sha256.Sum256([]byte(signed))
	answer, err := a.send(ctx, http.MethodPut, at, signed, map[string]string{
		"If-None-Match":                       "*",
		"Content-Type":                        "text/plain; charset=utf-8",
		"X-Amz-Checksum-Sha256":               base64.StdEncoding.EncodeToString(sum[:]),
		"X-Amz-Object-Lock-Mode":              "COMPLIANCE",
		"X-Amz-Object-Lock-Retain-Until-Date": a.Now().Add(a.Keep).UTC().Format(time.RFC3339),
	})
	if err != nil {
		return "", err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPreconditionFailed {
		return "", fmt.Errorf("the object store answered %d", answer.StatusCode)
	}
	return "", a.confirm(ctx, at, signed)
}

// confirm reads a checkpoint back: it must be the same, and locked.
func (a ObjectLockAnchor) confirm(ctx context.Context, at, signed string) error {
	answer, err := a.send(ctx, http.MethodGet, at, "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	kept, err := io.ReadAll(io.LimitReader(answer.Body, maxCheckpoint))
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("what was stored cannot be read back: status %d", answer.StatusCode)
	}
	// Cosignatures may have come in between; the text that is signed is what counts.
	want, _, _ := strings.Cut(signed, "\n\n")
	if got, _, _ := strings.Cut(string(kept), "\n\n"); got != want {
		return errors.New("another checkpoint of the same size is there: the record was forked")
	}
	return a.locked(ctx, at+"?versionId="+url.QueryEscape(answer.Header.Get("X-Amz-Version-Id")))
}

// locked asks about one version's lock.
func (a ObjectLockAnchor) locked(ctx context.Context, version string) error {
	answer, err := a.send(ctx, http.MethodHead, version, "", nil)
	if err != nil {
		return err
	}
	answer.Body.Close()
	until, err := time.Parse(time.RFC3339, answer.Header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if mode := answer.Header.Get("X-Amz-Object-Lock-Mode"); err != nil || mode != "COMPLIANCE" || !until.After(a.Now()) {
		return fmt.Errorf("the object is not locked (mode %.20q): does the bucket have object lock, and may these credentials read it?", mode)
	}
	return nil
}

// send signs a request (AWS Signature Version 4) and sends it.
func (a ObjectLockAnchor) send(ctx context.Context, method, at, body string, header map[string]string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	credentials := aws.Credentials{AccessKeyID: a.KeyID, SecretAccessKey: a.Secret.Reveal(), SessionToken: a.Session.Reveal()}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hash, "s3", a.Region, a.Now()); err != nil {
		return nil, errors.New("the request cannot be signed")
	}
	answer, err := a.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s failed", method, a.URL)
	}
	return answer, nil
}
