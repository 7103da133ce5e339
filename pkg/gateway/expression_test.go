package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestExpressionsSeeTheMessage(t *testing.T) {
	for _, tt := range []struct{ name, sections, want string }{
		{"a statement block", `<inbound><set-header name="X-Out"><value>@{ var n = 0; foreach (var c in context.Request.Method) { n += c; } return n.ToString() + "/"; }</value></set-header></inbound>`, `326/{"a":"b"}`},
		{"the body, preserved", `<inbound><set-header name="X-Out"><value>@((string)context.Request.Body.As&lt;JObject&gt;(preserveContent: true)["a"] + "/")</value></set-header></inbound>`, `b/{"a":"b"}`},
		{"the body, raw", `<inbound><set-header name="X-Out"><value>@((string)context.Request.Body.As<JObject>(preserveContent: true)["a"] + "/")</value></set-header></inbound>`, `b/{"a":"b"}`},
		{"the body, consumed", `<inbound><set-header name="X-Out"><value>@(context.Request.Body.As&lt;string&gt;().Length + "/")</value></set-header></inbound>`, "9/"},
		{"the body, written anew", `<inbound><set-body>@{ var o = context.Request.Body.As&lt;JObject&gt;(); o["c"] = 1; return o.ToString(Formatting.None); }</set-body></inbound>`, `{"a":"b","c":1}`},
		{"two addresses", `<inbound><rewrite-uri template="/x/{id}"/><set-header name="X-Out"><value>@(context.Request.OriginalUrl.Path + " " + context.Request.Url.Path + " " + context.Request.MatchedParameters["id"])</value></set-header></inbound>`, `/a/7 /base/x/7 7{"a":"b"}`},
		{"surroundings", `<inbound><set-header name="X-Out"><value>@(context.Api.Name + context.Operation.Name + context.Deployment.Region)</value></set-header></inbound>`, `apostlocal{"a":"b"}`},
		{"variables", `<inbound><set-variable name="v" value="@(JObject.Parse(&quot;{}&quot;))"/><set-header name="X-Out"><value>@(((JObject)context.Variables["v"]).Count.ToString())</value></set-header></inbound>`, `0{"a":"b"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, tt.sections)
			w.send("POST", "/a/7", `{"a":"b"}`)
			if w.seen == nil {
				t.Fatalf("the backend was not called; %s", w.log.String())
			}
			if got := w.seen.Header.Get("X-Out") + w.body; got != tt.want {
				t.Errorf("the backend saw %q, want %q", got, tt.want)
			}
		})
	}
}

func TestExpressionsReadTheResponse(t *testing.T) {
	w := with(t, `<outbound><set-header name="X-Out"><value>@(context.Response.StatusCode + context.Response.Body.As&lt;string&gt;(preserveContent: true).ToUpper())</value></set-header></outbound>`)
	w.answer = func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusTeapot)
		io.WriteString(rw, "short")
	}
	rec := w.call("GET", "/a/7")
	if got := rec.Header().Get("X-Out"); got != "418SHORT" || rec.Body.String() != "short" {
		t.Errorf("header %q, body %q", got, rec.Body)
	}
}

func TestFailingExpressionsRunOnError(t *testing.T) {
	w := with(t, `<inbound><set-header name="X"><value>@(context.Request.Headers["None"][0])</value></set-header></inbound>
<on-error><set-header name="X-Error"><value>@(context.LastError.Source + " " + context.LastError.Reason + " " + context.LastError.Section)</value></set-header></on-error>`)
	rec := w.call("GET", "/a/7")
	if got := rec.Header().Get("X-Error"); rec.Code != 500 || got != "set-header ExpressionValueEvaluationFailure inbound" || w.seen != nil {
		t.Errorf("%d, %q", rec.Code, got)
	}
	w = with(t, `<inbound><set-variable name="x" value="@{ while (true) { } }"/></inbound>`)
	if rec := w.call("GET", "/a/7"); rec.Code != 500 || strings.Contains(rec.Body.String(), "Limit") {
		t.Errorf("an endless expression: %d %s", rec.Code, rec.Body)
	}
}
