package rules

import "testing"

func TestProvider(t *testing.T) {
	s := loadDefault(t)
	for name, c := range map[string]struct{ host, domain, want string }{
		"by the relay's name":                         {"example-com.mail.protection.outlook.com", "example.com", "microsoft"},
		"the relay counts more than the domain":       {"mx.mimecast.com", "gmail.com", "mimecast"},
		"by domain where the relay is unknown":        {"", "gmail.com", "google"},
		"by domain where the relay belongs to nobody": {"relay.internal", "web.de", "gmx"},
		"case and a final dot do not matter":          {"ASPMX.L.Google.COM.", "", "google"},
		"a suffix is cut at dots":                     {"notgoogle.com", "example.com", "other"},
		"the name itself":                             {"google.com", "", "google"},
		"nothing known":                               {"", "", "other"},
		"an address":                                  {"192.0.2.1", "example.com", "other"},
		"a name that is too long":                     {string(make([]byte, 300)) + ".google.com", "", "other"},
		"a provider of the list in Asia":              {"mx3.qq.com", "", "qq"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Provider(c.host, c.domain); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
