package passkey

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

func TestCeremonyIsUsedOnceByItsBrowserInTime(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	l := w.answerLogin(a)
	stolen := l
	stolen.Browser = secret.Of("other").Digest()
	_, err := w.verify(stolen)
	w.wantReason(err, denial.CeremonyOtherBrowser)
	if Consumed(err) {
		t.Error("an attempt from another browser consumed the ceremony")
	}
	if _, err := w.verify(l); err != nil {
		t.Errorf("the right browser after a wrong one: %v", err)
	}
	_, err = w.verify(l)
	w.wantReason(err, denial.CeremonyUnknown)
	if Consumed(err) {
		t.Error("a used ceremony was consumed again")
	}
	guessed := w.answerLogin(a)
	guessed.Ceremony = secret.New()
	_, err = w.verify(guessed)
	w.wantReason(err, denial.CeremonyUnknown)
}

func TestCeremonyExpires(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	late, lateRegistration := w.answerLogin(a), w.answerRegistration(&passkeytest.Authenticator{})
	w.now = w.now.Add(CeremonyLife)
	_, err := w.verify(late)
	w.wantReason(err, denial.CeremonyExpired)
	_, err = w.verify(late)
	w.wantReason(err, denial.CeremonyUnknown)
	_, err = w.accept(lateRegistration)
	w.wantReason(err, denial.CeremonyExpired)
	if _, err := w.login(a); err != nil {
		t.Error(err)
	}
}

func TestOneKindOfCeremonyDoesNotServeTheOther(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	login, registration := w.answerLogin(a), w.answerRegistration(&passkeytest.Authenticator{})
	_, err := w.verify(Login{Ceremony: registration.Ceremony, Browser: w.browser, Response: login.Response})
	w.wantReason(err, denial.CeremonyUnknown)
	_, err = w.accept(Registration{Ceremony: login.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: registration.Response})
	w.wantReason(err, denial.CeremonyUnknown)
	// Each is still there for what it is for; one kind of answer does not serve as the other.
	_, err = w.verify(Login{Ceremony: login.Ceremony, Browser: w.browser, Response: registration.Response})
	w.wantReason(err, denial.ResponseMalformed)
	_, err = w.accept(Registration{Ceremony: registration.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: login.Response})
	w.wantReason(err, denial.ResponseMalformed)
}

func TestFailedAttemptSpendsTheCeremony(t *testing.T) {
	w := newWorld(t)
	p := w.answerRegistration(&passkeytest.Authenticator{})
	wrong := p
	wrong.Response = []byte("{}")
	_, err := w.accept(wrong)
	w.wantReason(err, denial.ResponseMalformed)
	if !Consumed(err) {
		t.Error("a malformed answer is not worth a record")
	}
	_, err = w.accept(p)
	w.wantReason(err, denial.CeremonyUnknown)
}

func TestCeremonyOfAnotherPersonInTheSameBrowser(t *testing.T) {
	w := newWorld(t)
	p := w.answerRegistration(&passkeytest.Authenticator{})
	p.UserID = w.person("eve").ID
	_, err := w.accept(p)
	w.wantReason(err, denial.ResponseInvalid)
	if !Consumed(err) || len(w.passkeys()) != 0 {
		t.Error("a ceremony of another person stays open or stores a passkey")
	}
}

// fifty runs fn fifty times at once and counts successes and the denials of a reason.
func fifty(w *world, reason denial.Reason, fn func(pgx.Tx) error) (wins, refused int) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			denied, fault := attempt(w.pool, fn)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case fault != nil:
				w.Error(fault)
			case denied == nil:
				wins++
			case denial.Is(denied, reason):
				refused++
			}
		})
	}
	group.Wait()
	return wins, refused
}

func TestFiftyAnswersToOneCeremony(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	l := w.answerLogin(a)
	wins, refused := fifty(w, denial.CeremonyUnknown, func(tx pgx.Tx) error {
		_, err := w.rp.VerifyLogin(context.Background(), tx, w.now, l)
		return err
	})
	if wins != 1 || refused != 49 {
		t.Errorf("logins: %d won and %d were refused, want 1 and 49", wins, refused)
	}
	p := w.answerRegistration(&passkeytest.Authenticator{})
	wins, refused = fifty(w, denial.CeremonyUnknown, func(tx pgx.Tx) error {
		_, err := w.rp.AcceptRegistration(context.Background(), tx, w.now, p)
		return err
	})
	if wins != 1 || refused != 49 || len(w.passkeys()) != 2 {
		t.Errorf("registrations: %d won and %d were refused, want 1 and 49; %d passkeys", wins, refused, len(w.passkeys()))
	}
}

func TestSweepLeavesOpenCeremonies(t *testing.T) {
	w := newWorld(t)
	w.offerLogin()
	w.now = w.now.Add(CeremonyLife)
	w.offerLogin()
	if n, err := Sweep(context.Background(), w.pool, w.now.Add(time.Second)); err != nil || n != 1 {
		t.Errorf("swept %d, %v, want 1", n, err)
	}
}

func TestRelyingPartyIsItsOrigin(t *testing.T) {
	for _, tt := range []struct {
		name, id, origin string
		ok               bool
	}{
		{"host", "idp.test", "https://idp.test", true},
		{"port", "localhost", "http://localhost:8080", true},
		{"domain above", "idp.test", "https://login.idp.test", true},
		{"suffix that is no domain", "idp.test", "https://badidp.test", false},
		{"other host", "idp.test", "https://evil.test", false},
		{"path", "idp.test", "https://idp.test/", false},
		{"capitals", "idp.test", "https://IDP.test", false},
		{"no scheme", "idp.test", "idp.test", false},
		{"IP address", "127.0.0.1", "http://127.0.0.1:8080", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Options{ID: tt.id, Name: "Test", Origin: tt.origin, Metadata: attest.NoMetadata})
			if (err == nil) != tt.ok {
				t.Errorf("New = %v", err)
			}
		})
	}
}
