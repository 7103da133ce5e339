package audit_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

func TestEntriesReachASIEMAtLeastOnce(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var got []int
	down := true
	siem := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Splunk x" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			var e struct {
				Index  int    `json:"index"`
				Action string `json:"action"`
				UserID string `json:"user_id"`
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Action != "session.signed_in" || e.UserID != "ada" {
				t.Errorf("line %q: %v", lines.Text(), err)
			}
			got = append(got, e.Index)
		}
		if down {
			rw.WriteHeader(http.StatusServiceUnavailable) // taken, and the answer says not
		}
	}))
	defer siem.Close()
	hook := audit.Webhook{URL: siem.URL + "/in?token=secret", Authorization: "Splunk x", Client: siem.Client()}
	if strings.Contains(hook.Name(), "secret") {
		t.Error("a credential stands in the name")
	}
	stream := func() error {
		_, err := audit.NewStream(w.pool, zerolog.Nop(), hook).Step(context.Background()) // each time another process
		return err
	}
	w.act(3, "ada")
	w.step()
	if err := stream(); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an outage: %v", err)
	}
	down = false
	w.must(stream())
	w.must(stream())
	w.act(2, "ada")
	w.step()
	w.must(stream())
	if fmt.Sprint(got) != "[0 1 2 0 1 2 3 4]" {
		t.Errorf("received %v", got)
	}
}

func TestSyslogCarriesCEF(t *testing.T) {
	w := newWorld(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	defer listener.Close()
	received := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(conn)
		received <- string(text)
	}()
	w.act(1, "ada|=\n")
	w.step()
	_, err = audit.NewStream(w.pool, zerolog.Nop(), audit.Syslog{Address: listener.Addr().String()}).Step(context.Background())
	w.must(err)
	text := <-received
	length, message, _ := strings.Cut(text, " ")
	if length != fmt.Sprint(len(message)) {
		t.Errorf("frame of %s bytes for %d", length, len(message))
	}
	for _, want := range []string{"<110>1 ", " touchstone - 0 - CEF:0|Touchstone|Touchstone|1|session.signed_in|", `suid=ada|\=\n `, "src=192.0.2.1", "cs1Label=authenticator cs1=c", "msg=acr: 1; facts: <2>"} {
		if !strings.Contains(message, want) {
			t.Errorf("%q lacks %q", message, want)
		}
	}
}

func TestSyslogOverTLSKnowsItsReceiver(t *testing.T) {
	w := newWorld(t)
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", certified.TLS)
	w.must(err)
	defer listener.Close()
	received := make(chan string)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			text, _ := io.ReadAll(conn)
			conn.Close()
			received <- string(text)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	w.act(1, "ada")
	w.step()
	send := func(config *tls.Config) error {
		_, err := audit.NewStream(w.pool, zerolog.Nop(), audit.Syslog{Address: listener.Addr().String(), TLS: config}).Step(context.Background())
		return err
	}
	if err := send(&tls.Config{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown receiver: %v", err)
	}
	if text := <-received; text != "" {
		t.Errorf("an unknown receiver read %q", text)
	}
	done := make(chan error, 1)
	go func() { done <- send(&tls.Config{RootCAs: roots}) }()
	if text := <-received; !strings.Contains(text, "CEF:0|Touchstone|Touchstone|1|session.signed_in|") {
		t.Errorf("received %q", text)
	}
	w.must(<-done)
}
