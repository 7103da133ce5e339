package provider

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesOfOurOwnNetworkAreNotCalled(t *testing.T) {
	for text, public := range map[string]bool{"93.184.216.34": true, "2606:2800:220:1::1": true, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "::1": false, "fd00::1": false, "fe80::1": false, "0.0.0.0": false, "224.0.0.1": false} {
		if got := publicAddress(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: public %v, want %v", text, got, public)
		}
	}
	for text, called := range map[string]bool{"https://rp.example/logout": true, "http://localhost:9/x": true, "http://127.0.0.1:9/x": true, "http://rp.example/x": false,
		"https://user@rp.example/": false, "file:///etc/passwd": false, "": false} {
		if got := outboundURL(text); got != called {
			t.Errorf("%s: called %v, want %v", text, got, called)
		}
	}
	client := newOutboundClient()
	for _, url := range []string{"http://10.255.255.1:1/", "http://[fd00::1]:1/", "http://169.254.169.254/latest/meta-data"} {
		if _, err := client.Get(url); err == nil || !strings.Contains(err.Error(), errInternal.Error()) {
			t.Errorf("%s: %v", url, err)
		}
	}
	redirecting := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/", http.StatusFound))
	defer redirecting.Close()
	if answer, err := client.Get(redirecting.URL); err != nil || answer.StatusCode != http.StatusFound {
		t.Errorf("a redirect is followed: %v", err)
	}
}
