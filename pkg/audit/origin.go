package audit

import "context"

// Origin is where an act came from: the peer's address, the correlation id that
// also stands in the operators' log and on the error page, and who acted, when
// that is somebody else than the person the act is about: the administrator and
// the session in which they did it. Whoever lets an administrator in puts them
// here, so that no act of theirs can be recorded as nobody's.
type Origin struct{ Address, Correlation, Actor, Session string }

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
