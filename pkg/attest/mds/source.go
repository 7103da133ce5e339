package mds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxBLOBSize bounds what is read, in bytes; the service's BLOB has about 4 MB.
	maxBLOBSize = 64 << 20
	// fetchBound is how long one download may take.
	fetchBound = 2 * time.Minute
	// maxRedirects bounds how often a service may send us elsewhere.
	maxRedirects = 3
)

// ServiceURL is where the FIDO Alliance publishes its BLOB.
const ServiceURL = "https://mds3.fidoalliance.org/"

// Source is where BLOBs come from: a file, a directory or a URL.
type Source struct {
	// Name tells sources apart in reports and in the database. A source that
	// moves to other roots needs another name, for its numbers begin anew.
	Name string
	// Path is a file with the BLOB, a JWT in compact form, or a directory of
	// such files (*.jwt), of which the newest that verifies counts.
	Path string
	// URL is fetched when Path is empty: https, or http on a loopback address.
	URL string
	// Roots replace the pinned GlobalSign roots for a private service; nil keeps them.
	Roots []*x509.Certificate
	// SignerName is the DNS name that the signer's certificate must carry. It
	// is ignored without Roots, where it is that of the FIDO Alliance's service;
	// with Roots, empty means that the chain alone decides.
	SignerName string
}

// place names where the source reads, for errors.
func (s Source) place() string {
	if s.Path == "" {
		return s.URL
	}
	return s.Path
}

// reading is what came of reading a source once.
type reading struct {
	blob []byte
	set  *Set
	etag string
	// unchanged says that the service has nothing newer than the copy with this etag.
	unchanged bool
}

// errNothing is returned for a directory without BLOBs.
var errNothing = errors.New("no *.jwt file in the directory")

// read reads the source and verifies what it finds at an instant.
func (s Source) read(ctx context.Context, client *http.Client, etag string, now time.Time) (reading, error) {
	if s.Path == "" {
		return s.fetch(ctx, client, etag, now)
	}
	info, err := os.Stat(s.Path)
	if err != nil {
		return reading{}, fmt.Errorf("metadata: %w", err)
	}
	if !info.IsDir() {
		return s.readFile(s.Path, now)
	}
	files, err := filepath.Glob(filepath.Join(s.Path, "*.jwt"))
	if err != nil || len(files) == 0 {
		return reading{}, errors.Join(errNothing, err)
	}
	var newest reading
	var faults []error
	for _, file := range files {
		r, err := s.readFile(file, now)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if newest.set == nil || r.set.number > newest.set.number {
			newest = r
		}
	}
	if newest.set == nil {
		return reading{}, errors.Join(faults...)
	}
	return newest, nil
}

// readFile reads and verifies one file.
func (s Source) readFile(path string, now time.Time) (reading, error) {
	f, err := os.Open(path)
	if err != nil {
		return reading{}, fmt.Errorf("metadata: %w", err)
	}
	defer f.Close()
	return s.readFrom(f, path, now)
}

// readFrom reads and verifies one BLOB from a stream.
func (s Source) readFrom(from io.Reader, place string, now time.Time) (reading, error) {
	blob, err := io.ReadAll(io.LimitReader(from, maxBLOBSize+1))
	if err != nil {
		return reading{}, fmt.Errorf("metadata %s: %w", place, err)
	}
	if len(blob) > maxBLOBSize {
		return reading{}, fmt.Errorf("metadata %s: larger than %d bytes", place, maxBLOBSize)
	}
	set, err := s.parse(blob, now)
	if err != nil {
		return reading{}, fmt.Errorf("metadata %s: %w", place, err)
	}
	return reading{blob: blob, set: set}, nil
}

// fetch downloads the BLOB unless the service still has the one with this etag
// (RFC 9110 section 13.1.2).
func (s Source) fetch(ctx context.Context, client *http.Client, etag string, now time.Time) (reading, error) {
	if err := checkFetchURL(s.URL); err != nil {
		return reading{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return reading{}, fmt.Errorf("metadata %s: %w", s.URL, err)
	}
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	answer, err := client.Do(request)
	if err != nil {
		return reading{}, fmt.Errorf("metadata: %w", err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified && etag != "":
		return reading{etag: etag, unchanged: true}, nil
	case answer.StatusCode != http.StatusOK:
		return reading{}, fmt.Errorf("metadata %s: status %d", s.URL, answer.StatusCode)
	}
	r, err := s.readFrom(answer.Body, s.URL, now)
	r.etag = answer.Header.Get("ETag")
	return r, err
}

// checkFetchURL accepts https, and http on a loopback address. BLOBs are signed; this
// keeps others from seeing and withholding them.
func checkFetchURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("metadata: %q is not a URL", text)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("metadata %s: must be https", text)
}

// newClient returns the client for downloads: its redirects obey checkFetchURL.
func newClient() *http.Client {
	return &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return errors.New("too many redirects")
		}
		return checkFetchURL(r.URL.String())
	}}
}

// LoadFile reads one BLOB from a file, verified at an instant. Nil roots mean
// the FIDO Alliance's service.
func LoadFile(path string, roots []*x509.Certificate, now time.Time) (*Set, error) {
	r, err := Source{Name: path, Path: path, Roots: roots}.readFile(path, now)
	return r.set, err
}

// LoadHistoric reads one BLOB from a file that may be older than its signer's
// certificate: it is verified at an instant inside the signer's validity, which
// is returned. Such a BLOB tells what was once said, not what is so.
func LoadHistoric(path string, roots []*x509.Certificate) (*Set, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("metadata: %w", err)
	}
	defer f.Close()
	blob, err := io.ReadAll(io.LimitReader(f, maxBLOBSize))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("metadata %s: %w", path, err)
	}
	chain, err := chainOf(string(blob))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("metadata %s: %w", path, err)
	}
	at := chain[0].NotAfter.Add(-time.Second)
	s := Source{Name: path, Roots: roots}
	set, err := s.parse(blob, at)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("metadata %s: %w", path, err)
	}
	return set, at, nil
}

// stamp changes whenever the file or directory does.
func (s Source) stamp() string {
	var text string
	filepath.WalkDir(s.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			text += path + "?" // it is read again, and the reading reports why
			return nil
		}
		if info, err := d.Info(); err == nil {
			text += fmt.Sprintf("%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return text
}
