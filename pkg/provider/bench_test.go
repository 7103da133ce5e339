package provider_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// BenchmarkCodeExchange is a whole exchange over HTTP on one connection: the
// client authenticated, the code redeemed in one act, two tokens signed.
func BenchmarkCodeExchange(b *testing.B) {
	w := newWorld(b)
	client := w.browser()
	for b.Loop() {
		b.StopTimer()
		form := w.exchange(client.code("ada", params()))
		b.StartTimer()
		client.tokens(form)
	}
}

// BenchmarkFloor is what no implementation can go below on this machine: two
// RS256 signatures over claims of the same size, one committed row, one HTTP
// round trip.
func BenchmarkFloor(b *testing.B) {
	w := newWorld(b)
	client := w.browser()
	_, access := w.decode(client.obtain("ada", params()).access, claim.TypeAccessToken)
	if _, err := w.pool.Exec(b.Context(), `create table floor (at timestamptz)`); err != nil {
		b.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := w.pool.Exec(r.Context(), `insert into floor values (now())`)
		w.must(err)
		for range 2 {
			token, err := w.ring.Sign(keyring.RS256, claim.TypeAccessToken, access)
			w.must(err)
			rw.Write([]byte(token))
		}
	}))
	defer w.server.Close()
	form := w.exchange("x")
	for b.Loop() {
		client.post("/token", form)
	}
}
