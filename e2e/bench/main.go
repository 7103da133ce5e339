// Command bench drives a running server over HTTP and prints what each flow
// costs beside the floor measured in the same run: RSA-2048 and P-256
// signatures and one Postgres commit.
//
// It starts its own server process in the working directory's bin, enrols one
// software authenticator per client and bounds every phase in time.
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

const (
	// phase bounds each measurement.
	phase  = 3 * time.Second
	port   = 18080
	issuer = "http://localhost:18080"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	state, err := os.MkdirTemp("", "tsb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	if err := os.Chmod(state, 0o755); err != nil {
		return err
	}
	binary, err := os.Stat("../bin/touchstone")
	if err != nil {
		return fmt.Errorf("build first: %w", err)
	}
	first, err := start(state) // creates the cluster
	if err != nil {
		return err
	}
	if err := first.stop(); err != nil {
		return err
	}
	s, err := start(state)
	if err != nil {
		return err
	}
	defer s.stop()
	url, err := os.ReadFile(state + "/database-url")
	if err != nil {
		return err
	}
	floor, err := measureFloor(strings.TrimSpace(string(url)))
	if err != nil {
		return err
	}
	secret, err := exec.Command("../bin/touchstone", "client", "rotate-secret", "night-batch", "--state-dir="+state).Output()
	if err != nil {
		return fmt.Errorf("make a workload's secret: %w", err)
	}
	if _, err := exec.Command("../bin/touchstone", "client", "create", "bench-tv", "--first-party", "--grant-type=urn:ietf:params:oauth:grant-type:device_code", "--scope=openid", "--state-dir="+state).Output(); err != nil {
		return fmt.Errorf("make a device's client: %w", err)
	}
	time.Sleep(time.Second) // the secret and the client reach the server by notification
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintf(w, "floor: RSA-2048 sign %.3f ms, P-256 sign %.3f ms, RSA-2048 verify %.3f ms, one commit %.3f ms, one read %.3f ms\n",
		ms(floor.rsa), ms(floor.ecdsa), ms(floor.verify), ms(floor.commit), ms(floor.read))
	fmt.Fprintf(w, "binary %.1f MB, start with Postgres to first 200 %.0f ms, resident idle %.1f MB\n", float64(binary.Size())/1e6, ms(s.ready), s.resident())
	fmt.Fprintln(w, "flow\tclients\ta second\tp50 ms\tp99 ms\tCPU s per 1000\tfloor ms\tratio p50\t")
	for _, clients := range []int{1, 8, 64} {
		people, err := enrol(s, min(clients, 8))
		if err != nil {
			return err
		}
		for _, f := range []flow{
			{"discovery", 0, func(p *person) error { return p.get("/.well-known/openid-configuration") }},
			{"jwks", 0, func(p *person) error { return p.get("/jwks") }},
			{"sign-in to code", floor.ecdsa + 2*floor.commit, func(p *person) error { _, err := p.code(true); return err }},
			{"code exchange", 2*floor.rsa + floor.commit, (*person).exchange},
			{"refresh", 2*floor.rsa + floor.commit, (*person).refresh},
			{"introspection", floor.verify + floor.read, func(p *person) error { return p.introspect(secret) }},
			{"userinfo", floor.verify + floor.read, (*person).userinfo},
			{"device poll, undecided", floor.read, (*person).poll},
			{"client credentials", floor.rsa + floor.commit, func(p *person) error { return p.workload(secret) }},
		} {
			report(w, s, f, clients, people)
		}
	}
	fmt.Fprintf(w, "resident loaded %.1f MB\n", s.resident())
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// floors are what the flows cannot cost less than.
type floors struct{ rsa, ecdsa, verify, commit, read time.Duration }

func measureFloor(url string) (floors, error) {
	ctx := context.Background()
	digest := sha256.Sum256(nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return floors{}, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return floors{}, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return floors{}, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `create unlogged table if not exists bench_floor (n int); alter table bench_floor set logged`); err != nil {
		return floors{}, err
	}
	defer conn.Exec(ctx, `drop table bench_floor`)
	signature, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		return floors{}, err
	}
	var f floors
	for _, m := range []struct {
		into *time.Duration
		do   func() error
	}{
		{&f.rsa, func() error { _, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:]); return err }},
		{&f.ecdsa, func() error { _, err := ecdsa.SignASN1(rand.Reader, ecKey, digest[:]); return err }},
		{&f.verify, func() error { return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], signature) }},
		{&f.read, func() error {
			return conn.QueryRow(ctx, `select count(*) from bench_floor where n = $1`, -1).Scan(new(int))
		}},
		{&f.commit, func() error { _, err := conn.Exec(ctx, `insert into bench_floor values (1)`); return err }},
	} {
		times := make([]time.Duration, 300)
		for i := range times {
			began := time.Now()
			if err := m.do(); err != nil {
				return floors{}, err
			}
			times[i] = time.Since(began)
		}
		slices.Sort(times)
		*m.into = times[len(times)/2]
	}
	return f, nil
}

// flow is one thing to measure; its own preparation is not counted.
type flow struct {
	name  string
	floor time.Duration
	do    func(*person) error
}

// report runs a flow with many clients and prints a line.
func report(w io.Writer, s *server, f flow, clients int, people []*person) {
	var mu sync.Mutex
	var times []time.Duration
	var failure error
	cpu := s.cpu()
	began := time.Now()
	var group sync.WaitGroup
	for i := range clients {
		p := people[i%len(people)].clone()
		group.Go(func() {
			for time.Since(began) < phase {
				p.spent = 0
				start := time.Now()
				err := f.do(p)
				took := time.Since(start) - p.spent
				mu.Lock()
				if err != nil {
					failure = err
				} else {
					times = append(times, took)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	if failure != nil || len(times) == 0 {
		fmt.Fprintf(w, "%s\t%d\tfailed: %v\t\n", f.name, clients, failure)
		return
	}
	slices.Sort(times)
	p50 := times[len(times)/2]
	ratio := "-"
	if f.floor > 0 {
		ratio = fmt.Sprintf("%.2f", float64(p50)/float64(f.floor))
	}
	fmt.Fprintf(w, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t\n", f.name, clients, float64(len(times))/elapsed.Seconds(), ms(p50), ms(times[len(times)*99/100]),
		(s.cpu()-cpu).Seconds()*1000/float64(len(times)), ms(f.floor), ratio)
}

// server is the process under load.
type server struct {
	cmd   *exec.Cmd
	state string
	ready time.Duration
}

func start(state string) (*server, error) {
	s := &server{state: state}
	s.cmd = exec.Command("../bin/touchstone", "dev", "--port="+strconv.Itoa(port), "--gateway-port=18081", "--state-dir="+state)
	var out bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 30*time.Second {
		if answer, err := http.Get(issuer + "/healthz"); err == nil {
			answer.Body.Close()
			s.ready = time.Since(began)
			return s, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.cmd.Process.Kill()
	return nil, fmt.Errorf("the server did not start: %s", out.String())
}

func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGINT)
	return s.cmd.Wait()
}

// cpu is the processor time of the server so far.
func (s *server) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return time.Duration(user+system) * 10 * time.Millisecond // a clock tick is 10 ms on Linux
}

// resident is the server's memory in MB.
func (s *server) resident() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1000
}

// person is a client with a passkey of its own.
type person struct {
	http                         *http.Client
	key                          *passkeytest.Authenticator
	token                        string
	access, identity, automation string
	// spent is time that belongs to preparation.
	spent time.Duration
}

var transport = &http.Transport{MaxIdleConnsPerHost: 128}

func newPerson(key *passkeytest.Authenticator) *person {
	jar, _ := cookiejar.New(nil)
	return &person{http: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, key: key}
}

// clone is the same person in another browser.
func (p *person) clone() *person { return newPerson(p.key) }

// enrol invites and enrols people.
func enrol(s *server, n int) ([]*person, error) {
	var people []*person
	for i := range n {
		out, err := exec.Command("../bin/touchstone", "user", "invite", fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), i), "--issuer="+issuer, "--state-dir="+s.state).Output()
		if err != nil {
			return nil, fmt.Errorf("invite: %w", err)
		}
		_, link, _ := strings.Cut(strings.TrimSpace(string(out)), "#")
		p := newPerson(&passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true})
		var offer struct {
			Ceremony string          `json:"ceremony"`
			Options  json.RawMessage `json:"options"`
		}
		if err := p.post("/enrol/options", map[string]any{"link": link}, &offer); err != nil {
			return nil, err
		}
		credential, err := p.key.Create(offer.Options, issuer)
		if err != nil {
			return nil, err
		}
		if err := p.post("/enrol/finish", map[string]any{"link": link, "ceremony": offer.Ceremony, "credential": json.RawMessage(credential)}, nil); err != nil {
			return nil, err
		}
		people = append(people, p)
	}
	return people, nil
}

func (p *person) get(path string) error {
	answer, err := p.http.Get(issuer + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func (p *person) post(path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := p.http.Post(issuer+path, "application/json", bytes.NewReader(body))
	return decode(answer, err, path, out)
}

func decode(answer *http.Response, err error, path string, out any) error {
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", path, answer.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-0123456789"

// code gets a code, by a passkey when fresh, otherwise by the session.
func (p *person) code(fresh bool) (string, error) {
	sum := sha256.Sum256([]byte(verifier))
	params := url.Values{"client_id": {"playground"}, "redirect_uri": {issuer + "/playground/callback"}, "response_type": {"code"}, "scope": {"openid offline_access orders.read"},
		"resource": {"http://localhost:18081/orders"}, "state": {"s"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	if fresh {
		params.Set("prompt", "login")
	}
	to, err := p.follow(issuer + "/authorize?" + params.Encode())
	if err != nil {
		return "", err
	}
	if to.Path == "/signin" {
		var offer struct {
			Ceremony string          `json:"ceremony"`
			Options  json.RawMessage `json:"options"`
		}
		if err := p.post("/signin/options", map[string]any{}, &offer); err != nil {
			return "", err
		}
		credential, err := p.key.Get(offer.Options, issuer)
		if err != nil {
			return "", err
		}
		var done struct{ Location string }
		if err := p.post("/signin/finish", map[string]any{"request": to.Query().Get("request"), "ceremony": offer.Ceremony, "credential": json.RawMessage(credential)}, &done); err != nil {
			return "", err
		}
		if to, err = url.Parse(done.Location); err != nil {
			return "", err
		}
	}
	to, err = p.follow(issuer + to.RequestURI())
	if err != nil {
		return "", err
	}
	return to.Query().Get("code"), nil
}

func (p *person) follow(at string) (*url.URL, error) {
	answer, err := p.http.Get(at)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("no redirect but %d", answer.StatusCode)
	}
	return url.Parse(answer.Header.Get("Location"))
}

// exchange redeems a code; getting the code is preparation.
func (p *person) exchange() error {
	began := time.Now()
	code, err := p.code(false)
	if err != nil {
		return err
	}
	p.spent = time.Since(began)
	return p.tokens(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {issuer + "/playground/callback"}, "code_verifier": {verifier}})
}

// refresh spends the refresh token; getting the first one is preparation.
func (p *person) refresh() error {
	if p.token == "" {
		began := time.Now()
		if err := p.exchange(); err != nil {
			return err
		}
		p.spent = time.Since(began)
	}
	return p.tokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.token}})
}

// workload asks for an automation token.
func (p *person) workload(secret []byte) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"night-batch"}, "client_secret": {strings.TrimSpace(string(secret))}}
	answer, err := p.http.PostForm(issuer+"/token", form)
	return decode(answer, err, "/token", nil)
}

// introspect asks about an automation token; getting it is preparation.
func (p *person) introspect(secret []byte) error {
	own := url.Values{"client_id": {"night-batch"}, "client_secret": {strings.TrimSpace(string(secret))}}
	if p.automation == "" {
		began := time.Now()
		var out struct {
			Access string `json:"access_token"`
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": own["client_id"], "client_secret": own["client_secret"]}
		answer, err := p.http.PostForm(issuer+"/token", form)
		if err := decode(answer, err, "/token", &out); err != nil {
			return err
		}
		p.automation, p.spent = out.Access, time.Since(began)
	}
	own.Set("token", p.automation)
	var out struct{ Active bool }
	answer, err := p.http.PostForm(issuer+"/introspect", own)
	if err := decode(answer, err, "/introspect", &out); err != nil {
		return err
	}
	if !out.Active {
		p.automation = ""
		return fmt.Errorf("the token is not active")
	}
	return nil
}

// userinfo reads a person's claims; getting the token is preparation.
func (p *person) userinfo() error {
	if p.identity == "" {
		began := time.Now()
		if p.token == "" {
			if err := p.exchange(); err != nil {
				return err
			}
		}
		if err := p.tokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.token}, "resource": {issuer + "/userinfo"}}); err != nil {
			return err
		}
		p.identity, p.spent = p.access, time.Since(began)
	}
	r, err := http.NewRequest(http.MethodGet, issuer+"/userinfo", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.identity)
	answer, err := p.http.Do(r)
	return decode(answer, err, "/userinfo", nil)
}

// poll asks for the tokens of a device that nobody has approved; starting the
// flow is preparation.
func (p *person) poll() error {
	began := time.Now()
	var device struct {
		Code string `json:"device_code"`
	}
	answer, err := p.http.PostForm(issuer+"/device_authorization", url.Values{"client_id": {"bench-tv"}, "scope": {"openid"}})
	if err := decode(answer, err, "/device_authorization", &device); err != nil {
		return err
	}
	p.spent = time.Since(began)
	answer, err = p.http.PostForm(issuer+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"bench-tv"}, "device_code": {device.Code}})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Contains(text, []byte("authorization_pending")) {
		return fmt.Errorf("polled: %s %w", text, err)
	}
	return nil
}

func (p *person) tokens(form url.Values) error {
	form.Set("client_id", "playground")
	var out struct {
		Refresh string `json:"refresh_token"`
		Access  string `json:"access_token"`
	}
	answer, err := p.http.PostForm(issuer+"/token", form)
	if err := decode(answer, err, "/token", &out); err != nil {
		return err
	}
	p.token, p.access = out.Refresh, out.Access
	return nil
}
