package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// service is another service that policies call: it answers with what it was
// sent, and with what its path says: a status.
func service(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := http.StatusOK
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"method": r.Method, "path": r.URL.Path, "body": string(body), "x": r.Header.Get("X")})
	}))
	t.Cleanup(s.Close)
	return s
}

func TestSendRequest(t *testing.T) {
	out := `<set-header name="X-Out"><value>@{ var r = (IResponse)context.Variables["r"]; if (r == null) { return "null"; } var o = r.Body.As&lt;JObject&gt;(); return r.StatusCode + " " + o["method"] + " " + o["path"] + " " + o["body"] + " " + o["x"]; }</value></set-header>`
	for _, tt := range []struct{ name, policy, want string }{
		{"a new request", `<send-request mode="new" response-variable-name="r"><set-url>SERVICE/check</set-url><set-method>POST</set-method><set-header name="X"><value>@("v" + 1)</value></set-header><set-body>@("b")</set-body></send-request>`, "200 POST /check b v1"},
		{"a copy", `<set-header name="X"><value>own</value></set-header><send-request mode="copy" response-variable-name="r"><set-url>SERVICE/copy</set-url></send-request>`, "200 POST /copy sent own"},
		{"an error status is an answer", `<send-request response-variable-name="r"><set-url>SERVICE/503</set-url></send-request>`, "503 GET /503"},
		{"nobody there, ignored", `<send-request response-variable-name="r" ignore-error="true"><set-url>http://127.0.0.1:1/</set-url></send-request>`, "null"},
		{"nobody there", `<send-request response-variable-name="r"><set-url>http://127.0.0.1:1/</set-url></send-request>`, ""},
		{"no URL of http", `<send-request response-variable-name="r"><set-url>@("file:///etc/passwd")</set-url></send-request>`, ""},
		{"in wait", `<wait for="all"><send-request response-variable-name="r"><set-url>SERVICE/w</set-url></send-request></wait>`, "200 GET /w"},
		{"in wait, the first that succeeds", `<wait for="any"><send-request response-variable-name="r"><set-url>http://127.0.0.1:1/</set-url></send-request><send-request response-variable-name="r"><set-url>SERVICE/second</set-url></send-request></wait>`, "200 GET /second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, `<inbound>`+strings.ReplaceAll(tt.policy, "SERVICE", service(t).URL)+out+`</inbound>`)
			rec := w.send("POST", "/a/1", "sent")
			if tt.want == "" {
				if rec.Code != 500 || w.seen != nil {
					t.Errorf("%d; the backend was called: %t", rec.Code, w.seen != nil)
				}
				return
			}
			if w.seen == nil || w.seen.Header.Get("X-Out") != tt.want {
				t.Fatalf("%d %s; the backend saw %v", rec.Code, w.log.String(), w.seen)
			}
			if w.body != "sent" {
				t.Errorf("the backend got %q", w.body)
			}
		})
	}
}

func TestReturnResponseOfAnotherService(t *testing.T) {
	w := with(t, `<inbound><send-request response-variable-name="r"><set-url>`+service(t).URL+`/404</set-url></send-request><return-response response-variable-name="r"><set-header name="X-Own"><value>1</value></set-header></return-response></inbound>`)
	rec := w.call("GET", "/a/1")
	if rec.Code != 404 || rec.Header().Get("X-Own") != "1" || !strings.Contains(rec.Body.String(), `"path":"/404"`) || w.seen != nil {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}

func TestCachedValues(t *testing.T) {
	w := with(t, `<inbound><cache-lookup-value key="@("k" + context.Request.Method)" variable-name="v" default-value="none"/>
<set-header name="X-Out"><value>@((string)context.Variables["v"])</value></set-header>
<choose><when condition="@(context.Request.Headers.ContainsKey("Store"))"><cache-store-value key="@("k" + context.Request.Method)" value="@(context.Request.Headers["Store"][0])" duration="60"/></when>
<when condition="@(context.Request.Headers.ContainsKey("Drop"))"><cache-remove-value key="kGET"/></when></choose></inbound>`)
	see := func(want string, header ...string) {
		t.Helper()
		w.call("GET", "/a/1", header...)
		if w.seen == nil || w.seen.Header.Get("X-Out") != want {
			t.Errorf("the backend saw %v, want %q; %s", w.seen, want, w.log.String())
		}
	}
	see("none", "Store", "one")
	see("one")
	w.wait(59 * time.Second)
	see("one", "Drop", "1")
	see("none", "Store", "two")
	w.wait(60 * time.Second)
	see("none")
}

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name, attributes string
		statuses         []int
		calls, status    int
		waits            string
	}{
		{"until it works", `count="3" interval="1"`, []int{503, 503, 200}, 3, 200, "[1s 1s]"},
		{"until it is enough", `count="2" interval="1"`, []int{503, 503, 503, 200}, 3, 503, "[1s 1s]"},
		{"linear", `count="3" interval="1" delta="2"`, []int{503, 503, 503, 200}, 4, 200, "[1s 3s 5s]"},
		{"exponential, bounded, first at once", `count="4" interval="1" delta="2" max-interval="6" first-fast-retry="true"`, []int{503, 503, 503, 503, 200}, 5, 200, "[0s 3s 6s 6s]"},
		{"not needed", `count="3" interval="1"`, []int{200}, 1, 200, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := emptyWorld(t)
			calls := 0
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				if w.body != "sent" {
					t.Errorf("attempt %d sent %q", calls, w.body)
				}
				rw.WriteHeader(tt.statuses[min(calls, len(tt.statuses)-1)])
				calls++
			}
			waits := []time.Duration{}
			g, err := New(w.config(`<inbound/><backend><retry condition="@(context.Response.StatusCode >= 500)" `+tt.attributes+`><forward-request buffer-request-body="true"/></retry></backend>`),
				Options{Log: zerolog.Nop(), Now: w.now, Wait: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }})
			if err != nil {
				t.Fatal(err)
			}
			w.gateway = g
			rec := w.send("POST", "/a/1", "sent")
			if rec.Code != tt.status || calls != tt.calls || fmt.Sprint(waits) != tt.waits {
				t.Errorf("status %d after %d calls, waited %v", rec.Code, calls, waits)
			}
		})
	}
}

func TestQuotaRacedBy50(t *testing.T) {
	w := emptyWorld(t)
	w.backend.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	w.start(w.config(`<inbound><quota-by-key calls="10" renewal-period="3600" counter-key="k"/></inbound>`))
	race := func() (passed int32) {
		var wg sync.WaitGroup
		var n atomic.Int32
		for range 50 {
			wg.Go(func() {
				rec := httptest.NewRecorder()
				w.gateway.ServeHTTP(rec, httptest.NewRequest("GET", "/a/1", nil))
				if rec.Code == 200 {
					n.Add(1)
				} else if rec.Code != 403 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "Out of call volume quota. Quota will be replenished in ") {
					t.Errorf("%d %s %v", rec.Code, rec.Body, rec.Header())
				}
			})
		}
		wg.Wait()
		return n.Load()
	}
	if n := race(); n != 10 {
		t.Errorf("%d calls passed a quota of 10", n)
	}
	w.wait(time.Hour)
	if n := race(); n != 10 {
		t.Errorf("%d calls passed the renewed quota", n)
	}
}

func TestLimitConcurrency(t *testing.T) {
	w := emptyWorld(t)
	entered, leave := make(chan bool), make(chan bool)
	w.backend.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- true; <-leave })
	w.start(w.config(`<inbound/><backend><limit-concurrency key="k" max-count="1"><forward-request/></limit-concurrency></backend>`))
	done := make(chan int)
	call := func() {
		rec := httptest.NewRecorder()
		w.gateway.ServeHTTP(rec, httptest.NewRequest("GET", "/a/1", nil))
		done <- rec.Code
	}
	go call()
	<-entered
	go call()
	if code := <-done; code != http.StatusTooManyRequests {
		t.Errorf("a second call at once got %d", code)
	}
	leave <- true
	if code := <-done; code != 200 {
		t.Errorf("the first call got %d", code)
	}
	go call()
	<-entered
	leave <- true
	if code := <-done; code != 200 {
		t.Errorf("a later call got %d", code)
	}
}

func TestFindAndReplace(t *testing.T) {
	w := with(t, `<inbound><find-and-replace from="secret" to="***"/></inbound><outbound><find-and-replace from="backend" to="outside"/></outbound>`)
	rec := w.send("POST", "/a/1", "a secret, a secret")
	if w.body != "a ***, a ***" || rec.Body.String() != "from the outside" {
		t.Errorf("the backend got %q, the client %q", w.body, rec.Body)
	}
}

func TestProductsAndSubscriptions(t *testing.T) {
	w := emptyWorld(t)
	header := func(v string) string {
		return `<policies><inbound><base/><set-header name="X-Scope" exists-action="append"><value>` + v + `</value></set-header></inbound></policies>`
	}
	api := func(name string, required bool) API {
		return API{Name: name, Path: "/" + name, Backend: w.backend.URL, SubscriptionRequired: required,
			Policy:     w.file(name+".xml", header(`@("api:" + (context.Product?.Name ?? "-") + ":" + (context.Subscription?.Name ?? "-"))`)),
			Operations: []Operation{{Name: "get", Method: "GET", URLTemplate: "/"}}}
	}
	w.start(Config{
		APIs: []API{api("closed", true), api("free", false), api("opened", true)},
		Products: []Product{{Name: "gold", APIs: []string{"closed", "free"}, Policy: w.file("gold.xml", header("gold"))},
			{Name: "trial", APIs: []string{"opened"}, Open: true, Policy: w.file("trial.xml", header("trial"))}},
		Subscriptions: []Subscription{{Name: "ada", Keys: []secret.Value{secret.Of("g1"), secret.Of("g2")}, Product: "gold"}, {Name: "bob", Keys: []secret.Value{secret.Of("f")}, API: "free"}, {Name: "root", Keys: []secret.Value{secret.Of("r")}}},
	})
	for _, tt := range []struct {
		name, target, key string
		status            int
		scopes            string
	}{
		{"no key", "/closed", "", 401, ""},
		{"wrong key", "/closed", "x", 401, ""},
		{"product key", "/closed", "g1", 200, "gold,api:gold:ada"},
		{"second key", "/closed", "g2", 200, "gold,api:gold:ada"},
		{"key in the query", "/closed?subscription-key=g1", "", 200, "gold,api:gold:ada"},
		{"the header goes before the query", "/closed?subscription-key=g1", "x", 401, ""},
		{"key of another API", "/closed", "f", 401, ""},
		{"key for all skips the product's policy", "/closed", "r", 200, "api:-:root"},
		{"API key", "/free", "f", 200, "api:-:bob"},
		{"none needed", "/free", "", 200, "api:-:-"},
		{"none needed, a wrong one is refused all the same", "/free", "x", 401, ""},
		{"none needed, through the product", "/free", "g1", 200, "gold,api:gold:ada"},
		{"open product", "/opened", "", 200, "trial,api:trial:-"},
		{"open product, key of another", "/opened", "g1", 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := []string{"Ocp-Apim-Subscription-Key", tt.key}
			if tt.key == "" {
				head = nil
			}
			rec := w.call("GET", tt.target, head...)
			if rec.Code != tt.status {
				t.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			if tt.status == 200 && w.seen.Header.Get("X-Scope") != tt.scopes {
				t.Errorf("scopes %q, want %q", w.seen.Header.Get("X-Scope"), tt.scopes)
			}
			if tt.status == 401 && !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "AzureApiManagementKey realm=") {
				t.Errorf("challenge %q", rec.Header().Get("WWW-Authenticate"))
			}
		})
	}
}
