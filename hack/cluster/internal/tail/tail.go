// Package tail reads the end of log files.
package tail

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// window bounds how much of a file is read.
const window = 64 << 10

// Lines returns the last n lines of a file, or a line that says why it could not be read: it is for messages.
func Lines(path string, n int) string {
	data, err := end(path)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	data = bytes.TrimRight(data, "\n")
	at := len(data)
	for ; n > 0 && at >= 0; n-- {
		at = bytes.LastIndexByte(data[:at], '\n')
	}
	return string(data[at+1:])
}

func end(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-window)
	return io.ReadAll(io.NewSectionReader(f, from, window))
}
