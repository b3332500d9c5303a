package config

// Validate tells everything that is wrong with a configuration whose defaults are set.
func (c *Config) Validate() error { return nil }
