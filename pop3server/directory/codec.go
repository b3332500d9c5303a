package directory

import "errors"

// Contents is what a bucket file holds.
type Contents struct {
	Header  Header
	Records []Record // in ascending order of their IDs
}

// Encode gives the text of a bucket file. It sorts the records; equal arguments give equal text.
func Encode(header Header, records []Record) ([]byte, error) { return nil, errors.ErrUnsupported }

// Decode reads and checks a bucket file. name is the file's name, such as "2a.jsonl".
func Decode(name string, data []byte) (Contents, error) { return Contents{}, errors.ErrUnsupported }
