package rules

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestSuppressionIsJoinedWhenExtending(t *testing.T) {
	base := loadBase(t)
	hard := SuppressAfter{Category: "hard", Messages: 1}
	for name, c := range map[string]struct {
		source string
		want   Suppression
	}{
		"without a word everything is as before": {"extends: default\n", Suppression{After: []SuppressAfter{hard}}},
		"a threshold takes the place of the old one": {"extends: default\nsuppression: {hard: {messages: 3, window: 9d}, expires: 90d}\n",
			Suppression{Expires: 90 * 24 * time.Hour, After: []SuppressAfter{{Category: "hard", Messages: 3, Window: 9 * 24 * time.Hour}}}},
		"another category can be added": {"extends: default\nsuppression: {general: {messages: 5, spread: 14d}}\n",
			Suppression{After: []SuppressAfter{hard, {Category: "general", Messages: 5, Spread: 14 * 24 * time.Hour}}}},
		"none turns it off": {"extends: default\nsuppression: {hard: {messages: 0}}\n", Suppression{After: []SuppressAfter{}}},
	} {
		if got := parseOn(t, base, c.source).Suppression(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := base.Suppression(); !reflect.DeepEqual(got, Suppression{After: []SuppressAfter{hard}}) {
		t.Errorf("the base has changed: %+v", got)
	}
}

func TestReasonsAreThoseOfRulesAndTables(t *testing.T) {
	if got := loadBase(t).Reasons(); !slices.Equal(got, []string{"user-unknown"}) {
		t.Errorf("%q", got)
	}
}
