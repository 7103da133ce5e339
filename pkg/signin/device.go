package signin

import "strings"

// Device names the session's browser and system, roughly, from what the browser
// said of itself.
func (s Session) Device() string {
	browser, system := "A browser", ""
	for _, b := range []struct{ mark, name string }{{"Edg/", "Edge"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(s.UserAgent, b.mark) {
			browser = b.name
			break
		}
	}
	for _, o := range []struct{ mark, name string }{{"iPhone", "iPhone"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS", "Mac"}, {"Linux", "Linux"}} {
		if strings.Contains(s.UserAgent, o.mark) {
			system = " on " + o.name
			break
		}
	}
	return browser + system
}
