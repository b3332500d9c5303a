package main

import (
	"log/slog"
	"os"

	"github.com/go-logr/logr"
)

// newLogger makes a logger of JSON lines on standard error.
func newLogger(level string) logr.Logger {
	least := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "error": slog.LevelError}[level]
	return logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: least}))
}
