package config

import "reflect"

// Static names the settings that differ and that a running server cannot take over: it has to be started again for them.
func Static(before, after *Config) []string {
	var changed []string
	differs := func(setting string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			changed = append(changed, setting)
		}
	}
	differs("listeners", before.Listeners, after.Listeners)
	differs("lmtp.address", lmtpAddress(before), lmtpAddress(after))
	differs("admin", before.Admin, after.Admin)
	differs("directory", before.Directory, after.Directory)
	differs("maildrop.path", before.Maildrop.Path, after.Maildrop.Path)
	differs("maildrop.shared", before.Maildrop.Shared, after.Maildrop.Shared)
	return changed
}

// lmtpAddress gives the address of the LMTP port; empty when there is none.
func lmtpAddress(c *Config) string {
	if c.LMTP == nil {
		return ""
	}
	return c.LMTP.Address
}
