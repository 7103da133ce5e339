package expr

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func sample() *Context {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada","roles":["a","b"],"auth_time":1000,"idtyp":"user","obj":{"x":1}}`))
	jwt, err := ParseJwt("h." + payload + ".s")
	if err != nil {
		panic(err)
	}
	return &Context{Method: "GET", Header: http.Header{"X-A": {"1", "2"}}, Variables: map[string]any{"jwt": jwt},
		LastError: &LastError{Reason: "TokenNotPresent"}, Now: time.Unix(1300, 0)}
}

func TestEval(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"subject", `@(((Jwt)context.Variables["jwt"]).Subject)`, "ada"},
		{"array claim joined", `@(((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("roles", ""))`, "a,b"},
		{"missing claim", `@(((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("nope", "-"))`, "-"},
		{"object claim is JSON", `@(((Jwt)context.Variables["jwt"]).Claims["obj"].Contains("{\"x\":1}"))`, "True"},
		{"array contains a value, not a part of one", `@(((Jwt)context.Variables["jwt"]).Claims["roles"].Contains("a,b"))`, "False"},
		{"age", `@(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - Convert.ToInt64(((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("auth_time", "0")) > 299)`, "True"},
		{"conditional", `@(context.LastError.Reason == "TokenNotPresent" ? "no" : "yes")`, "no"},
		{"nested conditional", `@(false ? 1 : true ? 2 : 3)`, "2"},
		{"and binds tighter than or", `@(true || false && false)`, "True"},
		{"short circuit", `@(false && Convert.ToInt64("x") > 0)`, "False"},
		{"coalesce", `@(null ?? "x")`, "x"},
		{"concatenation", `@("a" + 1 + 2)`, "a12"},
		{"addition", `@(1 + 2 + "a")`, "3a"},
		{"ordinal", `@("A" == "a")`, "False"},
		{"different types", `@("1" == 1)`, "False"},
		{"headers joined", `@(context.Request.Headers.GetValueOrDefault("X-A", ""))`, "1,2"},
		{"not", `@(!context.Variables.ContainsKey("none"))`, "True"},
		{"unvalidated token", `@("rubbish".AsJwt()?.Subject)`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.Eval(sample())
			if err != nil {
				t.Fatal(err)
			}
			if got := Text(v); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestExceptions(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"missing variable", `@(context.Variables["none"])`, "System.Collections.Generic.KeyNotFoundException"},
		{"null", `@("rubbish".AsJwt().Subject)`, "System.NullReferenceException"},
		{"cast", `@((string)context.Variables["jwt"])`, "System.InvalidCastException"},
		{"format", `@(Convert.ToInt64("x"))`, "System.FormatException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Eval(sample())
			var e *Exception
			if !errors.As(err, &e) || e.Type != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestCompileRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, source := range []string{`@{ return 1; }`, `@(new HttpClient())`, `@(System.IO.File.ReadAllText("x"))`, `@(context.Nothing)`, `@(context)`, `@("a".Explode())`,
		`@(x => x)`, `@("a)`, `@(1 +)`, `@()`, `1`, `@(` + strings.Repeat("(", 1000) + `1` + strings.Repeat(")", 1000) + `)`} {
		var e *Error
		if _, err := Compile(source); !errors.As(err, &e) {
			t.Errorf("Compile(%.40q) = %v, want a refusal", source, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`@(((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("roles", "") == "a" ? 1 : 2)`)
	f.Fuzz(func(t *testing.T, source string) {
		if p, err := Compile(source); err == nil {
			p.Eval(sample())
		}
	})
}

func BenchmarkEval(b *testing.B) {
	p, err := Compile(`@(((Jwt)context.Variables["jwt"]).Claims.ContainsKey("roles"))`)
	if err != nil {
		b.Fatal(err)
	}
	c := sample()
	for b.Loop() {
		if _, err := p.Eval(c); err != nil {
			b.Fatal(err)
		}
	}
}
