package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestNothingPrintsASecret(t *testing.T) {
	v := Of("correct-horse")
	holder := struct {
		Name  string
		Inner Value
		Ref   *Value
	}{"x", v, &v}

	var zero, text bytes.Buffer
	zl := zerolog.New(&zero)
	zl.Info().Interface("holder", holder).Object("v", v).Stringer("s", v).Any("any", v).Msg("m")
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v, "holder", holder)
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{
		"fmt %v": fmt.Sprintf("%v %s %+v %#v %q", v, v, holder, holder, v), "fmt %x": fmt.Sprintf("%x", v),
		"json": string(asJSON), "zerolog": zero.String(), "slog": text.String(), "error": fmt.Errorf("bad %v", v).Error(),
	} {
		if strings.Contains(out, "correct-horse") || strings.Contains(out, fmt.Sprintf("%x", "correct-horse")) {
			t.Errorf("%s prints the secret: %s", name, out)
		}
	}
}

func TestNewIsLongUniqueAndURLSafe(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		text := New().Reveal()
		if len(text) != 43 || strings.ContainsAny(text, "+/=") {
			t.Fatalf("New() = %d characters %q, want 43 of base64url", len(text), text)
		}
		if seen[text] {
			t.Fatal("New() repeated itself")
		}
		seen[text] = true
	}
}

func TestEqual(t *testing.T) {
	if !Of("a").Equal(Of("a")) || Of("a").Equal(Of("b")) || Of("").Equal(Of("a")) {
		t.Error("Equal does not compare the texts")
	}
}
