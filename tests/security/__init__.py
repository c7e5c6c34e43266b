"""Nobody gets in, and nothing gets out: permissions, tokens, headers, leaks."""
