package admin

import (
	"encoding/json"
	"net/http"

	"github.com/popservice/popservice/pop3server/control"
)

// ControlHandler serves control.Path: GET answers what status gives, as JSON. Nothing else is served.
func ControlHandler(status func() control.Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+control.Path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(status())
	})
	return mux
}
