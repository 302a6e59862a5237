"""Access to registries: logins, challenges, proxies, TLS, and what an answer says that is no document."""
