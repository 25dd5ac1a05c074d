"""The `taskq` command: arguments in, one verb of the application, a table out."""
