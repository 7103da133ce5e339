package trust

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// What follows for the signing keys when a compromised model is in use.
const (
	// KeysNothing leaves them as they are.
	KeysNothing = "nothing"
	// KeysRotate lets the next key sign from then on.
	KeysRotate = "rotate"
	// KeysEmergency also takes the keys that have signed out of the key set, so
	// that tokens from before end as gateways learn of it.
	KeysEmergency = "emergency"
)

// Keys says how signing keys rotate.
type Keys struct {
	// OnCompromise is KeysNothing, KeysRotate or KeysEmergency.
	OnCompromise string
	// PublishAhead is how long a key is published before it signs.
	PublishAhead time.Duration
	// RotateEvery is the time between rotations, up to a week moved to follow the metadata.
	RotateEvery time.Duration
}

const (
	// minPublishAhead is what gateways need to learn of a key: an hour's cache,
	// five minutes of caches in between, and five of a replica that lags.
	minPublishAhead = 70 * time.Minute
	maxPublishAhead = 30 * 24 * time.Hour
	// minRotateEvery leaves room for a month's metadata update to be followed.
	minRotateEvery = 14 * 24 * time.Hour
	maxRotateEvery = 400 * 24 * time.Hour
	// followsMetadata is by how much a rotation may be moved.
	followsMetadata = 7 * 24 * time.Hour
)

// defaultKeys is what a file says that says nothing.
func defaultKeys() Keys {
	return Keys{OnCompromise: KeysRotate, PublishAhead: 24 * time.Hour, RotateEvery: 30 * 24 * time.Hour}
}

// keys reads how signing keys rotate.
func (r *reader) keys(t *Trust) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.mapping(n, at, map[string]func(*yaml.Node, string){
			"on_compromise": r.text(&t.Keys.OnCompromise, oneOf(KeysNothing, KeysRotate, KeysEmergency)),
			"publish_ahead": r.duration(&t.Keys.PublishAhead, minPublishAhead, maxPublishAhead),
			"rotate_every":  r.duration(&t.Keys.RotateEvery, minRotateEvery, maxRotateEvery),
		})
		if t.Keys.RotateEvery < t.Keys.PublishAhead+followsMetadata {
			r.fault(n, at+".rotate_every", "%s leaves no room: at least publish_ahead and a week, %s", t.Keys.RotateEvery, t.Keys.PublishAhead+followsMetadata)
		}
	}
}
