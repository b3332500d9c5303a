package server

import (
	"log/slog"

	"github.com/popservice/popservice/pop3server/admin"
)

// identity is the control port's, with what was last told of it. load is called by one goroutine at a time.
type identity struct {
	*admin.Identity
	log     *slog.Logger
	refused error
}

// load reads the files again. Until they could be read once, the control port takes nobody.
func (i *identity) load() {
	err := i.Load()
	switch {
	case err != nil && textOf(err) != textOf(i.refused):
		i.log.Error("identity of the control port refused", "error", err)
	case err == nil && i.refused != nil:
		i.log.Info("identity of the control port loaded")
	}
	i.refused = err
}
