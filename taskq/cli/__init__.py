"""The `taskq` command: arguments in, one verb of the application, a table out.

`taskq.cli.main` is the program and imports a command's module when that command is typed. What a command of a plugin
(an entry point of `taskq.commands`) needs is in `taskq.cli.session`.
"""
