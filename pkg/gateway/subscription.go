package gateway

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/touchstone-id/touchstone/pkg/apim/expr"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// The names of the subscription key, unless an API gives others.
const (
	subscriptionHeader = "Ocp-Apim-Subscription-Key"
	subscriptionQuery  = "subscription-key"
)

// subscription is a key that opens one product, one API or all.
type subscription struct {
	Subscription
	digests [][]byte
}

// opens reports whether the subscription is for the API, and through which product.
func (s subscription) opens(a *api, products []Product) (product *Product, ok bool) {
	switch {
	case s.Product != "":
		i := slices.IndexFunc(products, func(p Product) bool { return p.Name == s.Product && slices.Contains(p.APIs, a.Name) })
		if i < 0 {
			return nil, false
		}
		return &products[i], true
	case s.API != "":
		return nil, s.API == a.Name
	}
	return nil, true
}

// subscribed checks the subscription key before any policy runs. The query is
// looked at only when there is no header. A wrong key is refused even where
// none is needed; without one, a call may come through a product that is open.
func (r *run) subscribed() bool {
	key := r.request.header.Get(r.api.SubscriptionHeader)
	if key == "" {
		key = r.client.URL.Query().Get(r.api.SubscriptionQuery)
	}
	if key == "" {
		open := slices.IndexFunc(r.gateway.products, func(p Product) bool { return p.Open && slices.Contains(p.APIs, r.api.Name) })
		if open >= 0 {
			r.product = &r.gateway.products[open]
		}
		if open >= 0 || !r.api.SubscriptionRequired {
			return true
		}
		return r.unsubscribed("SubscriptionKeyNotFound", "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.")
	}
	digest := secret.Of(key).Digest()
	for _, s := range r.gateway.subscriptions {
		match := 0
		for _, d := range s.digests {
			match |= subtle.ConstantTimeCompare(d, digest)
		}
		if product, ok := s.opens(r.api, r.gateway.products); match == 1 && ok {
			r.product, r.subscription = product, &expr.Subscription{ID: s.Name, Name: s.Name, Key: secret.Of(key)}
			return true
		}
	}
	return r.unsubscribed("SubscriptionKeyInvalid", "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.")
}

func (r *run) unsubscribed(reason, message string) bool {
	scheme := "http"
	if r.client.TLS != nil {
		scheme = "https"
	}
	realm := url.URL{Scheme: scheme, Host: r.client.Host, Path: r.api.Path}
	r.refuse("authorization", reason, http.StatusUnauthorized, message,
		http.Header{"Www-Authenticate": {fmt.Sprintf(`AzureApiManagementKey realm=%q,name=%q,type="header"`, realm.String(), r.api.SubscriptionHeader)}})
	return false
}
