package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConformance holds what the reference says of API Management, case by
// case. The mark says how sure that is: D documentation, O observed on a real
// gateway, S a sample of Microsoft's, I inferred.
func TestConformance(t *testing.T) {
	key := `<issuer-signing-keys><key>a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=</key></issuer-signing-keys>`
	fails := func(attributes string) string {
		return `<validate-jwt header-name="Authorization" clock-skew="0" ` + attributes + `>` + key + `<audiences><audience>a</audience></audiences></validate-jwt>`
	}
	lastError := `<on-error><set-header name="X-Error"><value>@(context.LastError.Source + "/" + context.LastError.Reason + "/" + context.LastError.Section + "/" + context.LastError.Scope + "/" + context.LastError.PolicyId)</value></set-header></on-error>`
	header := func(name, value string) []string { return []string{name, value} }
	for _, tt := range []struct {
		name, mark, policy string
		method, target     string
		header             []string
		status             int
		// body is the message of a refusal, or what the backend saw as
		// "METHOD path?query X-Out".
		body string
		// answer are headers of the answer, name and value.
		answer []string
	}{
		{"no token", "O", `<inbound>` + fails("") + `</inbound>`, "GET", "/a/1", nil, 401, "JWT not present.", nil},
		{"no token, own status and text", "D", `<inbound>` + fails(`failed-validation-httpcode="403" failed-validation-error-message="No &amp; no"`) + `</inbound>`, "GET", "/a/1", nil, 403, "No & no", nil},
		{"rubbish token", "O", `<inbound>` + fails("") + `</inbound>`, "GET", "/a/1", header("Authorization", "Bearer x.y.z"), 401, "Invalid JWT.", nil},
		{"no challenge of its own", "I", `<inbound>` + fails("") + `</inbound>`, "GET", "/a/1", nil, 401, "JWT not present.", header("WWW-Authenticate", "")},
		{"last error of no token", "D", `<inbound>` + fails(`id="p"`) + `</inbound>` + lastError, "GET", "/a/1", nil, 401, "JWT not present.", header("X-Error", "validate-jwt/TokenNotPresent/inbound/api/p")},
		{"on-error replaces the answer", "D", `<inbound>` + fails("") + `</inbound><on-error><return-response><set-status code="418"/><set-header name="Content-Type"><value>application/json</value></set-header><set-body>{"statusCode":418,"message":"own"}</set-body></return-response></on-error>`, "GET", "/a/1", nil, 418, "own", nil},
		{"on-error changes the status only", "D", `<inbound>` + fails("") + `</inbound><on-error><choose><when condition="@(context.Response.StatusCode == 401)"><set-header name="X-Was"><value>@(context.Response.StatusCode.ToString())</value></set-header></when></choose></on-error>`, "GET", "/a/1", nil, 401, "JWT not present.", header("X-Was", "401")},
		{"a failed expression is 500", "D", `<inbound><set-header name="X"><value>@(int.Parse("x").ToString())</value></set-header></inbound>` + lastError, "GET", "/a/1", nil, 500, "Internal server error", header("X-Error", "set-header/ExpressionValueEvaluationFailure/inbound/api/")},
		{"no such operation", "O", `<inbound/>`, "GET", "/a/1/2", nil, 404, "Resource not found", nil},
		{"no such method", "D", `<inbound/>`, "DELETE", "/a/1", nil, 404, "Resource not found", nil},

		{"no such operation, told to on-error", "D", `<inbound/>` + lastError, "GET", "/a/1/2", nil, 404, "Resource not found", header("X-Error", "configuration/OperationNotFound/inbound//")},
		{"no such operation, answered in on-error", "S", `<inbound/><on-error><choose><when condition='@(context.LastError.Source == "configuration")'><return-response><set-status code="405"/><set-header name="Content-Type"><value>application/json</value></set-header><set-body>{"statusCode":405,"message":"no"}</set-body></return-response></when></choose></on-error>`, "GET", "/a/1/2", nil, 405, "no", nil},
		{"check-header, absent", "D", `<inbound><check-header name="X-A" failed-check-httpcode="400" failed-check-error-message="want it" ignore-case="false"/></inbound>` + lastError, "GET", "/a/1", nil, 400, "want it", header("X-Error", "check-header/HeaderNotFound/inbound/api/")},
		{"check-header, another value", "D", `<inbound><check-header name="X-A" failed-check-httpcode="403" failed-check-error-message="no" ignore-case="false"><value>one</value><value>two</value></check-header></inbound>` + lastError, "GET", "/a/1", header("X-A", "ONE"), 403, "no", header("X-Error", "check-header/HeaderValueNotAllowed/inbound/api/")},
		{"check-header, ignoring case", "D", `<inbound><check-header name="x-a" failed-check-httpcode="403" failed-check-error-message="no" ignore-case="true"><value>one</value></check-header></inbound>`, "GET", "/a/1", header("X-A", "ONE"), 200, "GET /base/1 ", nil},
		{"check-header, present is enough", "I", `<inbound><check-header name="X-A" failed-check-httpcode="403" failed-check-error-message="no" ignore-case="false"/></inbound>`, "GET", "/a/1", header("X-A", "any"), 200, "GET /base/1 ", nil},
		{"ip-filter, allowed range", "D", `<inbound><ip-filter action="allow"><address-range from="192.0.2.0" to="192.0.2.255"/></ip-filter></inbound>`, "GET", "/a/1", nil, 200, "GET /base/1 ", nil},
		{"ip-filter, not allowed", "D", `<inbound><ip-filter action="allow"><address>192.0.2.2</address></ip-filter></inbound>` + lastError, "GET", "/a/1", nil, 403, "Caller IP address 192.0.2.1 is not allowed. Access denied.", header("X-Error", "ip-filter/CallerIpNotAllowed/inbound/api/")},
		{"ip-filter, forbidden", "D", `<inbound><ip-filter action="forbid"><address>192.0.2.1</address></ip-filter></inbound>` + lastError, "GET", "/a/1", nil, 403, "Caller IP address is blocked. Access denied.", header("X-Error", "ip-filter/CallerIpBlocked/inbound/api/")},
		{"a forged address does not help", "I", `<inbound><ip-filter action="forbid"><address>192.0.2.1</address></ip-filter></inbound>`, "GET", "/a/1", header("X-Forwarded-For", "10.0.0.1"), 403, "Caller IP address is blocked. Access denied.", nil},

		{"the first branch that holds", "D", `<inbound><choose><when condition="false"><set-header name="X-Out"><value>1</value></set-header></when><when condition="true"><set-header name="X-Out"><value>2</value></set-header></when><when condition="true"><set-header name="X-Out"><value>3</value></set-header></when><otherwise><set-header name="X-Out"><value>4</value></set-header></otherwise></choose></inbound>`, "GET", "/a/1", nil, 200, "GET /base/1 2", nil},
		{"otherwise", "D", `<inbound><choose><when condition="@(1 == 2)"/><otherwise><set-header name="X-Out"><value>4</value></set-header></otherwise></choose></inbound>`, "GET", "/a/1", nil, 200, "GET /base/1 4", nil},
		{"set-header, append", "D", `<inbound><set-header name="X-Out" exists-action="append"><value>b</value><value>c</value></set-header></inbound>`, "GET", "/a/1", header("X-Out", "a"), 200, "GET /base/1 a,b,c", nil},
		{"set-header, skip", "D", `<inbound><set-header name="X-Out" exists-action="skip"><value>b</value></set-header></inbound>`, "GET", "/a/1", header("X-Out", "a"), 200, "GET /base/1 a", nil},
		{"set-header, override by default", "D", `<inbound><set-header name="X-Out"><value>b</value></set-header></inbound>`, "GET", "/a/1", header("X-Out", "a"), 200, "GET /base/1 b", nil},
		{"set-header, delete", "D", `<inbound><set-header name="X-Out" exists-action="delete"/></inbound>`, "GET", "/a/1", header("X-Out", "a"), 200, "GET /base/1 ", nil},
		{"set-query-parameter", "D", `<inbound><set-query-parameter name="q" exists-action="append"><value>2</value></set-query-parameter><set-query-parameter name="k" exists-action="delete"/></inbound>`, "GET", "/a/1?k=1&q=1", nil, 200, "GET /base/1?q=1&q=2 ", nil},
		{"set-method", "D", `<inbound><set-method>PATCH</set-method></inbound>`, "GET", "/a/1", nil, 200, "PATCH /base/1 ", nil},
		{"rewrite-uri with a parameter", "D", `<inbound><rewrite-uri template="/v2/{id}/x"/></inbound>`, "GET", "/a/7?k=1", nil, 200, "GET /base/v2/7/x?k=1 ", nil},
		{"rewrite-uri drops the query", "D", `<inbound><rewrite-uri template="/v2" copy-unmatched-params="false"/></inbound>`, "GET", "/a/7?k=1", nil, 200, "GET /base/v2 ", nil},
		{"a named value inside an expression", "D", `<inbound><set-header name="X-Out"><value>@("{{word}}" + {{number}})</value></set-header></inbound>`, "GET", "/a/1", nil, 200, "GET /base/1 named7", nil},
		{"a fragment in its place", "D", `<inbound><include-fragment fragment-id="f"/></inbound>`, "GET", "/a/1", nil, 200, "GET /base/1 fragment", nil},
		{"return-response, empty 200 by default", "D", `<inbound><return-response/></inbound>`, "GET", "/a/1", nil, 0, "", nil},
		{"a section without base drops the wider scope", "D", `<inbound/><backend/>`, "GET", "/a/1", nil, 0, "", nil},
		{"the body of backend is the global forward-request", "D", `<inbound/><backend><base/></backend>`, "GET", "/a/1", nil, 200, "GET /base/1 ", nil},

		{"preflight, only cors runs", "D", `<inbound><cors><allowed-origins><origin>https://p.test</origin></allowed-origins><allowed-methods preflight-result-max-age="60"><method>GET</method></allowed-methods><allowed-headers><header>authorization</header></allowed-headers></cors>` + fails("") + `</inbound>`, "OPTIONS", "/a/1", []string{"Origin", "https://p.test", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "Authorization"}, 0, "", []string{"Access-Control-Allow-Origin", "https://p.test", "Access-Control-Max-Age", "60"}},
		{"preflight of a stranger", "D", `<inbound><cors><allowed-origins><origin>https://p.test</origin></allowed-origins></cors></inbound>`, "OPTIONS", "/a/1", []string{"Origin", "https://evil.test", "Access-Control-Request-Method", "GET"}, 0, "", header("Access-Control-Allow-Origin", "")},
		{"a refusal can be read by its page", "D", `<inbound><cors><allowed-origins><origin>https://p.test</origin></allowed-origins></cors>` + fails("") + `</inbound>`, "GET", "/a/1", header("Origin", "https://p.test"), 401, "JWT not present.", header("Access-Control-Allow-Origin", "https://p.test")},
	} {
		t.Run(tt.name+", "+tt.mark, func(t *testing.T) {
			w := emptyWorld(t)
			c := w.config(tt.policy)
			c.NamedValues = map[string]string{"word": "named", "number": "7"}
			c.Fragments = map[string]string{"f": w.file("f.xml", `<fragment><set-header name="X-Out"><value>fragment</value></set-header></fragment>`)}
			w.start(c)
			rec := w.call(tt.method, tt.target, tt.header...)
			if tt.status == 0 && w.seen != nil {
				t.Error("the backend was called")
			}
			if tt.status != 0 && rec.Code != tt.status {
				t.Fatalf("got %d %s, want %d; %s", rec.Code, rec.Body, tt.status, w.log.String())
			}
			switch {
			case tt.status == 0:
			case tt.status == 200:
				if w.seen == nil {
					t.Fatal("the backend was not called")
				}
				if got := w.seen.Method + " " + w.seen.URL.RequestURI() + " " + strings.Join(w.seen.Header.Values("X-Out"), ","); got != tt.body {
					t.Errorf("the backend saw %q, want %q", got, tt.body)
				}
			default:
				if got := message(t, rec); got != tt.body {
					t.Errorf("message %q, want %q", got, tt.body)
				}
			}
			for pair := range slices.Chunk(tt.answer, 2) {
				if got := rec.Header().Get(pair[0]); got != pair[1] {
					t.Errorf("%s is %q, want %q", pair[0], got, pair[1])
				}
			}
		})
	}
}

func TestRateLimitByKey(t *testing.T) {
	w := with(t, `<inbound><rate-limit-by-key calls="2" renewal-period="60" counter-key="@(context.Request.Headers.GetValueOrDefault("K", ""))" remaining-calls-header-name="X-Left" total-calls-header-name="X-All" retry-after-variable-name="after"/></inbound>
<on-error><set-header name="X-Error"><value>@(context.LastError.Reason + (string)context.Variables["after"])</value></set-header></on-error>`)
	for i, want := range []string{"1", "0"} {
		if rec := w.call("GET", "/a/1", "K", "one"); rec.Code != 200 || rec.Header().Get("X-Left") != want || rec.Header().Get("X-All") != "2" {
			t.Errorf("call %d: %d %v", i, rec.Code, rec.Header())
		}
		w.wait(10 * time.Second)
	}
	rec := w.call("GET", "/a/1", "K", "one")
	if got := message(t, rec); rec.Code != http.StatusTooManyRequests || got != "Rate limit is exceeded. Try again in 40 seconds." || rec.Header().Get("Retry-After") != "40" || rec.Header().Get("X-Error") != "RateLimitExceeded40" {
		t.Errorf("%d %q %v", rec.Code, got, rec.Header())
	}
	if rec := w.call("GET", "/a/1", "K", "two"); rec.Code != 200 {
		t.Error("another key is held back")
	}
	w.wait(40 * time.Second)
	if rec := w.call("GET", "/a/1", "K", "one"); rec.Code != 200 || rec.Header().Get("X-Left") != "0" {
		t.Errorf("the window slides: %d %v", rec.Code, rec.Header())
	}
}

func TestIncrementsThatWaitForTheResponse(t *testing.T) {
	w := with(t, `<inbound><rate-limit-by-key calls="1" renewal-period="60" counter-key="k" increment-condition="@(context.Response.StatusCode == 401)"/></inbound>`)
	status := 200
	w.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }
	for _, tt := range []struct{ backend, want int }{{200, 200}, {200, 200}, {401, 401}, {200, 429}} {
		status = tt.backend
		if rec := w.call("GET", "/a/1"); rec.Code != tt.want {
			t.Errorf("the backend said %d, the gateway %d, want %d", tt.backend, rec.Code, tt.want)
		}
	}
}

func TestSectionsRunInOrderAndBaseMarksThePlace(t *testing.T) {
	w := emptyWorld(t)
	add := func(v string) string {
		return `<set-header name="X-Out" exists-action="append"><value>` + v + `</value></set-header>`
	}
	c := w.config(`<inbound>` + add("a1") + `<base/>` + add("a2") + `</inbound><outbound><base/>` + add("a3") + `</outbound>`)
	c.GlobalPolicy = w.file("global.xml", `<policies><inbound>`+add("g1")+`</inbound><backend><forward-request/></backend><outbound>`+add("g2")+`</outbound></policies>`)
	c.APIs[0].Operations[0].Policy = w.file("op.xml", `<policies><inbound><base/>`+add("o1")+`</inbound><outbound>`+add("o2")+`</outbound></policies>`)
	w.start(c)
	rec := w.call("GET", "/a/1")
	if got := w.seen.Header.Get("X-Out"); got != "a1,g1,a2,o1" {
		t.Errorf("the backend saw %q", got)
	}
	if got := rec.Header().Get("X-Out"); got != "o2" {
		t.Errorf("the client saw %q: a section without base keeps the wider scopes' policies", got)
	}
	rec = w.send("POST", "/a/1", "")
	if got := rec.Header().Get("X-Out"); got != "g2,a3" {
		t.Errorf("the client saw %q", got)
	}
}
