package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// meeting is a service whose calls to /meet are answered when as many are there
// as it expects, /hang when the caller gives up, and /fail with an error.
type meeting struct {
	*httptest.Server
	there sync.WaitGroup
}

func meet(t *testing.T, expected int) *meeting {
	m := &meeting{}
	m.there.Add(expected)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/meet"):
			m.there.Done()
			m.there.Wait()
		case r.URL.Path == "/hang":
			<-r.Context().Done() // the service cannot close before
		case r.URL.Path == "/fail":
			w.WriteHeader(http.StatusBadGateway)
		}
		io.WriteString(w, r.URL.Path)
	}))
	t.Cleanup(m.Close)
	return m
}

func TestWaitRunsItsBranchesAtOnce(t *testing.T) {
	const branches = 20
	m := meet(t, branches)
	text, sum := "", []string{}
	for i := range branches {
		text += fmt.Sprintf(`<choose><when condition="@(true)"><send-request response-variable-name="r%d" timeout="20"><set-url>%s/meet/%d</set-url></send-request>
<set-variable name="v%d" value="@(((IResponse)context.Variables[&quot;r%d&quot;]).Body.As&lt;string&gt;())" /><set-header name="X-Count" exists-action="append"><value>%d</value></set-header></when></choose>`, i, m.URL, i, i, i, i)
		sum = append(sum, fmt.Sprintf(`(string)context.Variables["v%d"]`, i))
	}
	w := with(t, `<inbound><wait for="all">`+text+`</wait><set-header name="X-Out"><value>@(`+strings.Join(sum, ` + `)+`)</value></set-header></inbound>`)
	rec := w.call("GET", "/a/1")
	want := ""
	for i := range branches {
		want += fmt.Sprintf("/meet/%d", i)
	}
	if w.seen == nil || w.seen.Header.Get("X-Out") != want || strings.Count(w.seen.Header.Get("X-Count"), ",") != branches-1 {
		t.Fatalf("%d %s; the backend saw %v", rec.Code, w.log.String(), w.seen)
	}
}

func TestWaitBreaksOffWhatItDoesNotNeed(t *testing.T) {
	hang := `<send-request response-variable-name="h" ignore-error="true" timeout="60"><set-url>SERVICE/hang</set-url></send-request>`
	for _, tt := range []struct {
		name, policy string
		status       int
		out          string
	}{
		{"any, one answers", `<wait for="any">` + hang + `<send-request response-variable-name="r"><set-url>SERVICE/ok</set-url></send-request></wait>`, 200, "True False"},
		{"all, one fails", `<wait for="all">` + hang + `<send-request response-variable-name="r" fail-on-error-status-code="true"><set-url>SERVICE/fail</set-url></send-request></wait>`, 500, ""},
		{"all, one answers for good", `<wait for="all">` + hang + `<choose><when condition="@(true)"><return-response><set-status code="418" reason="x" /></return-response></when></choose></wait>`, 418, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := meet(t, 0)
			started := `<set-header name="X-Out"><value>@(context.Variables.ContainsKey("r") + " " + context.Variables.ContainsKey("h"))</value></set-header>`
			w := with(t, `<inbound>`+strings.ReplaceAll(tt.policy, "SERVICE", m.URL)+started+`</inbound>`)
			rec := w.call("GET", "/a/1")
			if rec.Code != tt.status || tt.out != "" && (w.seen == nil || w.seen.Header.Get("X-Out") != tt.out) {
				t.Fatalf("%d, the backend saw %v", rec.Code, w.seen)
			}
		})
	}
}

func TestAWaitForAnyThatNobodyAnswers(t *testing.T) {
	m := meet(t, 0)
	fail := `<send-request response-variable-name="r" fail-on-error-status-code="true"><set-url>` + m.URL + `/fail</set-url></send-request>`
	if rec := with(t, `<inbound><wait for="any">`+fail+fail+`</wait></inbound>`).call("GET", "/a/1"); rec.Code != 500 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
