"""What the `jaxnet` command does, one module a subcommand."""
