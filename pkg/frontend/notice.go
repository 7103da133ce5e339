package frontend

import (
	"net/http"
	"strconv"

	"github.com/touchstone-id/touchstone/pkg/account"
)

type noticeCard struct{ ID, Text, Explanation, When string }

// told is what a person reads about each kind of notice, before and after the
// passkey's name.
var told = map[account.Kind][2]string{
	account.NoticeAdded:          {"“", "” was added to your account. If that was not you, remove it, and contact your administrator."},
	account.NoticeLostStanding:   {"“", "” has lost standing: what is known about its model got worse. Applications that relied on it ask you to sign in again."},
	account.NoticeGainedStanding: {"“", "” has gained standing: more is known about its model now. Sign in again to use it."},
	account.NoticeSuspended:      {"“", "” is paused: a problem with its model was reported. Use another passkey, and contact your administrator."},
	account.NoticeReleased:       {"“", "” can be used again: your administrator released it."},
	account.NoticeCloneSuspected: {"“", "” is paused: its counter went backwards, so a copy of it may exist. Contact your administrator."},
}

// notices returns what happened while the person looked away.
func (f *Frontend) notices(r *http.Request, id account.ID) ([]noticeCard, error) {
	list, err := account.Notices(r.Context(), f.options.Pool, id)
	if err != nil {
		return nil, err
	}
	var cards []noticeCard
	for _, n := range list {
		text := told[n.Kind]
		cards = append(cards, noticeCard{strconv.FormatInt(n.ID, 10), text[0] + n.Subject + text[1], n.Explanation, when(n.CreatedAt)})
	}
	return cards, nil
}

// dismiss takes a notice off the page.
func (f *Frontend) dismiss(w http.ResponseWriter, r *http.Request) error {
	var in change
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.options.SignIn.Current(r)
	if err != nil {
		return err
	}
	if err := account.DismissNotice(r.Context(), f.options.Pool, f.options.Now(), session.User.ID, in.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{})
	return nil
}
