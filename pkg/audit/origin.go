package audit

import "context"

// Origin is where an act came from: the peer's address and the correlation id
// that also stands in the operators' log and on the error page.
type Origin struct{ Address, Correlation string }

type originKey struct{}

// WithOrigin returns a context whose acts are recorded as coming from o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns the origin in the context, or the zero Origin.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
